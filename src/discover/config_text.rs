//! A config file with proposals in it: what a person wrote stays to the letter.
//!
//! New mappings are put behind what is there. A mapping that is there gets the fields that are new;
//! its notes, the lines before its fields that begin with `#-` or `#?`, are written anew; and a field
//! that the CRM does not have any more gets a line before it that says so. Nothing else is touched.

mod notes;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use super::object::Account;
use super::propose::{Draft, Existing, ExistingField, Mapped};

/// The mappings that a config file has. The text was found to be a config before.
pub fn mappings(text: &str) -> Result<Vec<Existing>, String> {
    let document: DocumentMut = text.parse().map_err(|error| format!("{error}"))?;
    let mappings = document.get("mapping").and_then(Item::as_table_like);
    let mut all = Vec::new();
    for (label, mapping) in mappings.into_iter().flat_map(TableLike::iter) {
        let Some(mapping) = mapping.as_table_like() else { continue };
        let said =
            |key: &str| mapping.get(key).and_then(Item::as_str).unwrap_or_default().to_owned();
        let fields = mapping.get("fields").and_then(Item::as_table_like);
        let fields = fields.into_iter().flat_map(TableLike::iter);
        let own = ["external_id", "stamp"].map(said);
        let header = mapping.get("fields").and_then(Item::as_table).map(before).unwrap_or_default();
        all.push(Existing {
            label: label.to_owned(),
            crm: said("crm"),
            object: said("object"),
            table: said("table"),
            own: own.into_iter().filter(|name| !name.is_empty()).collect(),
            fields: fields.map(|(label, item)| (label.to_owned(), field(item))).collect(),
            noted: notes::noted(header),
            offered: notes::offered(header),
        });
    }
    Ok(all)
}

fn field(item: &Item) -> ExistingField {
    let Some(table) = item.as_table_like() else { return ExistingField::default() };
    let names = |key: &str| -> Vec<String> {
        let Some(item) = table.get(key) else { return Vec::new() };
        let listed = item.as_array().into_iter().flat_map(Array::iter).filter_map(Value::as_str);
        item.as_str().into_iter().chain(listed).map(ToOwned::to_owned).collect()
    };
    let references = table.get("references").and_then(Item::as_str).map(ToOwned::to_owned);
    ExistingField { campaign: names("campaign"), crm: names("crm"), references }
}

/// The comments before a table's header.
fn before(table: &Table) -> &str {
    table.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default()
}

/// The config file with these proposals in it.
pub fn written(text: &str, account: &Account, drafts: &[Draft]) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error| format!("{error}"))?;
    for draft in drafts.iter().filter(|draft| !draft.is_new) {
        let fields = document
            .get_mut("mapping")
            .and_then(|mappings| mappings.get_mut(&draft.label))
            .and_then(|mapping| mapping.get_mut("fields"));
        if let Some(fields) = fields {
            merge(fields, draft);
        }
    }
    let mut text = document.to_string();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for draft in drafts.iter().filter(|draft| draft.is_new && !draft.fields.is_empty()) {
        text.push_str(&mapping(account, draft));
    }
    Ok(text)
}

fn merge(fields: &mut Item, draft: &Draft) {
    if let Some(table) = fields.as_table_mut() {
        let prefix = notes::renewed(before(table), &draft.notes);
        table.decor_mut().set_prefix(prefix);
        let labels: Vec<String> = table.iter().map(|(label, _)| label.to_owned()).collect();
        for label in labels {
            let Some(mut key) = table.key_mut(&label) else { continue };
            let decor = key.leaf_decor_mut();
            let lines = decor.prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default();
            let marked =
                notes::marked(lines, draft.gone.contains(&label).then_some(&*draft.object));
            decor.set_prefix(marked);
        }
    }
    let Some(table) = fields.as_table_like_mut() else { return };
    for mapped in &draft.fields {
        let mut value = Value::from(inline(mapped));
        value.decor_mut().set_suffix(format!(
            " # new; {}: {}",
            mapped.confidence,
            line(&mapped.why)
        ));
        table.insert(&mapped.label, Item::Value(value));
    }
}

fn inline(mapped: &Mapped) -> InlineTable {
    let mut table = InlineTable::new();
    table.insert("campaign", names(&mapped.campaign));
    table.insert("crm", names(&mapped.crm));
    if let Some(references) = &mapped.references {
        table.insert("references", references.as_str().into());
    }
    if mapped.consent {
        table.insert("conflict", "most_restrictive".into());
    }
    if mapped.zero_is_null {
        table.insert("zero_is_null", true.into());
    }
    table
}

fn names(names: &[String]) -> Value {
    match names {
        [one] => one.as_str().into(),
        several => several.iter().map(String::as_str).collect::<Array>().into(),
    }
}

const TAKES: &str = "a text takes what is written to it";

/// A new mapping, with its reasons.
fn mapping(account: &Account, draft: &Draft) -> String {
    let (mut text, settings) = (String::new(), &draft.settings);
    let (table, key) = &draft.table;
    let many = match draft.count {
        Some(1) => ", 1 record".to_owned(),
        Some(count) => format!(", {count} records"),
        None => String::new(),
    };
    writeln!(text, "\n# {}{many}, and {table}: {}.", line(&draft.title), line(&draft.why))
        .expect(TAKES);
    for remark in &settings.remarks {
        writeln!(text, "# Note: {}.", line(remark)).expect(TAKES);
    }
    let mut said: BTreeMap<usize, (&str, Value)> = BTreeMap::new();
    let mut say = |key: &'static str, value: Value| drop(said.insert(said.len(), (key, value)));
    say("crm", account.name.as_str().into());
    say("table", table.as_str().into());
    say("key", key.as_str().into());
    say("object", (&*draft.object).into());
    for (key, value) in [("external_id", &settings.external_id), ("stamp", &settings.stamp)] {
        if let Some(value) = value {
            say(key, value.as_str().into());
        }
    }
    if !settings.match_on.is_empty() {
        say("match_on", settings.match_on.iter().map(String::as_str).collect::<Array>().into());
    }
    if settings.to_campaign {
        say("direction", "to_campaign".into());
        say("conflict", "crm".into());
        say("pairing", "crm".into());
    } else {
        say("conflict", "newest".into());
        say("fallback", "crm".into());
        say("pairing", "fill_blank".into());
    }
    let sides = [("campaign", settings.create.0), ("crm", settings.create.1)];
    let sides: Array = sides.into_iter().filter(|(_, may)| *may).map(|(side, _)| side).collect();
    if !sides.is_empty() {
        say("create", sides.into());
    }
    writeln!(text, "[mapping.{}]", draft.label).expect(TAKES);
    for (key, value) in said.into_values() {
        if key == "conflict" && !settings.to_campaign {
            text.push_str(POLICY);
        }
        writeln!(text, "{key} = {value}").expect(TAKES);
    }
    if let Some(folder) = settings.folder.filter(|_| settings.create.0) {
        writeln!(text, "\n[mapping.{}.create_with]", draft.label).expect(TAKES);
        writeln!(text, "campaign = {{ ifolderid = {folder} }}").expect(TAKES);
    }
    writeln!(text).expect(TAKES);
    text.push_str(&notes::lines(&draft.notes));
    writeln!(text, "[mapping.{}.fields]", draft.label).expect(TAKES);
    for mapped in &draft.fields {
        let (label, why) = (&mapped.label, line(&mapped.why));
        writeln!(text, "{label} = {} # {}: {why}", inline(mapped), mapped.confidence).expect(TAKES);
    }
    text
}

/// What a person should look at before the first run.
const POLICY: &str = "\
# The later edit wins, and the CRM's where times cannot tell. Where two records meet for the first time,
# a side that has a value fills the one that has none, and between two values the CRM's stands.
";

/// A CRM's own words on one line: they must not end a comment.
fn line(words: &str) -> String {
    let words = words.chars().map(|one| if one.is_control() { ' ' } else { one });
    words.collect::<String>().trim().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
