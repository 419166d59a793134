//! Names as Campaign makes them of a schema's: tables, columns, keys, indexes.
//!
//! A table is its namespace and its schema's name, a column its attribute's name behind a letter that
//! tells its type. Both are created without quotes, so PostgreSQL keeps them in small letters. Index names
//! are cut to thirty characters: those that a schema gives lose their beginning, those of foreign keys
//! their end.

use std::collections::BTreeSet;

use super::schema::Type;

/// Namespaces that are Adobe's, of the product or of its CRM connector.
pub const RESERVED: [&str; 11] =
    ["xtk", "nl", "nms", "ncm", "temp", "ncl", "crm", "xxl", "sfdc", "mscrm", "ood"];

/// Campaign cuts the names of indexes to what Oracle once took.
const INDEX_CHARS_MAX: usize = 30;

/// Of a foreign key's index, one character less is left.
const LINK_INDEX_CHARS_MAX: usize = 29;

/// Enough to tell names apart, and short enough that a prefix and a number fit PostgreSQL's 63 bytes.
const NAME_CHARS_MAX: usize = 36;

/// Why a namespace cannot be used for own schemas.
pub fn unfit_namespace(namespace: &str) -> Option<String> {
    let plain = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit();
    let starts = namespace.starts_with(|one: char| one.is_ascii_lowercase());
    if RESERVED.contains(&namespace) {
        return Some(format!(
            "`{namespace}` is a namespace of Adobe's; take one of your own, such as cus"
        ));
    }
    let fits = starts && namespace.chars().all(plain) && (2..=8).contains(&namespace.len());
    (!fits).then(|| {
        format!("`{namespace}` is no namespace: two to eight small letters and digits, such as cus")
    })
}

/// A name in the letters of a schema, such as `lastVisit`: legal in XML, not beginning with a digit.
pub fn identifier(text: &str) -> String {
    let mut name = String::new();
    for word in words(text) {
        let word = if name.is_empty() { word } else { capital(&word) };
        if NAME_CHARS_MAX < name.len() + word.len() {
            break;
        }
        name.push_str(&word);
    }
    if name.is_empty() {
        return "field".to_owned();
    }
    if name.starts_with(|one: char| one.is_ascii_digit()) { format!("n{name}") } else { name }
}

/// A name in the letters of the config, such as `last_visit`.
pub fn label(text: &str) -> String {
    let mut name = String::new();
    for word in words(text) {
        let gap = usize::from(!name.is_empty());
        if NAME_CHARS_MAX < name.len() + gap + word.len() {
            break;
        }
        if gap == 1 {
            name.push('_');
        }
        name.push_str(&word);
    }
    if !name.starts_with(|one: char| one.is_ascii_lowercase()) {
        name.insert(0, 'n');
        name.truncate(NAME_CHARS_MAX);
    }
    name
}

/// The words of a name in any letters, in small ones: `HasOptedOut`, `has_opted_out` and `Has Opted
/// Out` are the same. What is not ASCII is left out.
pub fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut last = ' ';
    for (at, one) in text.char_indices() {
        if one.is_ascii_alphanumeric() {
            let next_small = text[at + 1..].starts_with(|next: char| next.is_ascii_lowercase());
            let turns = one.is_ascii_uppercase()
                && (last.is_ascii_lowercase() || last.is_ascii_digit() || next_small);
            match words.last_mut() {
                Some(word) if last.is_ascii_alphanumeric() && !turns => word.push(one),
                _ => words.push(one.to_string()),
            }
        }
        last = one;
    }
    words.iter().map(|word| word.to_ascii_lowercase()).collect()
}

/// A name without separators and capitals, to compare by.
pub fn plain(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// What is left of a CRM's name without what only tells whose it is: `__c`, a package, a publisher.
pub fn bare(name: &str, is_custom: bool) -> &str {
    if !is_custom {
        return name;
    }
    if let Some(own) = name.strip_suffix("__c") {
        return own.split_once("__").map_or(own, |(_, own)| own);
    }
    let publisher = |prefix: &str| (2..=8).contains(&prefix.len());
    match name.split_once('_') {
        Some((prefix, own)) if publisher(prefix) && !own.is_empty() => own,
        Some(_) | None => name,
    }
}

/// The name with a number behind it where it is taken; taken from now on. Letters' case tells no two
/// apart.
pub fn distinct(name: &str, taken: &mut BTreeSet<String>) -> String {
    let mut numbered = (2_u32..).map(|number| format!("{name}{number}"));
    let mut free = name.to_owned();
    while !taken.insert(free.to_lowercase()) {
        free = numbered.next().expect("there are more numbers than names");
    }
    free
}

/// The table of a schema, in Campaign's letters.
pub fn table(namespace: &str, schema: &str) -> String {
    capital(namespace) + &capital(schema)
}

/// The column of an attribute, in Campaign's letters.
pub fn column(kind: Type, attribute: &str) -> String {
    kind.prefix().to_owned() + &capital(attribute)
}

/// The column of a table's own key.
pub fn key_column(schema: &str) -> String {
    format!("i{}Id", capital(schema))
}

/// The column of a link.
pub fn link_column(link: &str) -> String {
    format!("i{}Id", capital(link))
}

/// The sequence that gives a table's keys.
pub fn sequence(namespace: &str, schema: &str) -> String {
    format!("auto_{namespace}{}_seq", schema.to_lowercase())
}

/// The index of a key or an index that a schema names.
pub fn index(table: &str, name: &str) -> String {
    let whole = format!("{table}_{name}");
    let surplus = whole.chars().count().saturating_sub(INDEX_CHARS_MAX);
    whole.chars().skip(surplus).collect()
}

/// The index of a link.
pub fn link_index(table: &str, link: &str) -> String {
    let whole = format!("{table}_{link}Id");
    if whole.chars().count() < INDEX_CHARS_MAX {
        return whole;
    }
    whole.chars().take(LINK_INDEX_CHARS_MAX).collect()
}

/// Whether XML and Campaign take it as a name.
pub fn is_name(name: &str) -> bool {
    let inner = |one: char| one.is_ascii_alphanumeric() || one == '_' || one == '-';
    name.starts_with(|one: char| one.is_ascii_alphabetic() || one == '_') && name.chars().all(inner)
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|one| one.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_columns_are_named_as_campaign_names_them() {
        assert_eq!(table("nms", "recipient"), "NmsRecipient");
        assert_eq!(table("cus", "crmLink"), "CusCrmLink");
        assert_eq!(key_column("crmLink"), "iCrmLinkId");
        assert_eq!(column(Type::String, "remoteId"), "sRemoteId");
        assert_eq!(column(Type::Boolean, "active"), "iActive");
        assert_eq!(column(Type::Int64, "count"), "biCount");
        assert_eq!(column(Type::Percent, "share"), "dShare");
        assert_eq!(column(Type::Date, "birth"), "tsBirth");
        assert_eq!(column(Type::Memo, "notes"), "mNotes");
    }

    #[test]
    fn index_names_are_cut_where_campaign_cuts_them() {
        let named = index("BehavioralAggregate", "recipientRule");
        assert_eq!(named, "avioralAggregate_recipientRule");
        let link = link_index("NmsRemaHypothesis", "modifiedBy");
        assert_eq!(link, "NmsRemaHypothesis_modifiedByI");
        assert_eq!(link_index("CusProject", "account"), "CusProject_accountId");
    }

    #[test]
    fn any_text_becomes_a_legal_name() {
        let check = |text: &str, identifier_is: &str, label_is: &str| {
            assert_eq!((&*identifier(text), &*label(text)), (identifier_is, label_is));
        };
        check("HasOptedOutOfEmail", "hasOptedOutOfEmail", "has_opted_out_of_email");
        check("Last Visit (UTC)", "lastVisitUtc", "last_visit_utc");
        check("emailaddress1", "emailaddress1", "emailaddress1");
        check("2nd e-mail", "n2ndEMail", "n2nd_e_mail");
        check("URLPath", "urlPath", "url_path");
        check("Größe", "grE", "gr_e");
        check("名前", "field", "n");
        for name in ["名前", "2", "a b", "-", &"x".repeat(90)] {
            assert!(is_name(&identifier(name)), "{name}");
        }
    }

    #[test]
    fn what_tells_whose_a_name_is_does_not_count() {
        assert_eq!(bare("Member_Number__c", true), "Member_Number");
        assert_eq!(bare("acme__Score__c", true), "Score");
        assert_eq!(bare("new_lastvisit", true), "lastvisit");
        assert_eq!(bare("address1_city", false), "address1_city");
        let mut taken = BTreeSet::new();
        let mut one = |name: &str| distinct(name, &mut taken);
        assert_eq!([one("score"), one("Score"), one("score")], ["score", "Score2", "score3"]);
    }

    #[test]
    fn adobes_namespaces_are_refused() {
        assert_eq!(unfit_namespace("cus"), None);
        assert!(unfit_namespace("nms").unwrap().contains("Adobe's"));
        assert!(unfit_namespace("Cus").is_some() && unfit_namespace("").is_some());
    }
}
