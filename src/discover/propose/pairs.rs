//! What is known to stand for the same, whatever its name: columns of recipients, and consent.

/// Columns of recipients, each with the fields of contacts and leads that it stands for, by
/// [`plain`](crate::discover::names::plain) name.
const RECIPIENT: [(&str, &[&str]); 13] = [
    ("semail", &["email", "emailaddress1"]),
    ("sfirstname", &["firstname"]),
    ("smiddlename", &["middlename"]),
    ("slastname", &["lastname"]),
    ("ssalutation", &["salutation"]),
    ("sphone", &["phone", "telephone1"]),
    ("smobilephone", &["mobilephone"]),
    ("sfax", &["fax"]),
    ("tsbirth", &["birthdate"]),
    ("igender", &["gendercode"]),
    ("scity", &["mailingcity", "city", "address1city"]),
    ("szipcode", &["mailingpostalcode", "postalcode", "address1postalcode"]),
    ("scompany", &["company", "companyname"]),
];

/// The table of people.
pub const RECIPIENTS: &str = "nmsrecipient";

/// Objects whose records are people, those that are told first.
pub(super) const PEOPLE: [&str; 2] = ["contact", "lead"];

/// Fields by which somebody forbids something, and the flags of recipients that say the same. Of
/// several in one line the first is the one that an opt-out writes. `iblacklist` forbids every channel;
/// only one field may write it, so it stands with the channel that Campaign uses most.
const CONSENT: [(&[&str], &[&str]); 7] = [
    (&["hasoptedoutofemail"], &["iblacklistemail", "iblacklist"]),
    (&["donotbulkemail", "donotemail"], &["iblacklistemail", "iblacklist"]),
    (&["hasoptedoutoffax"], &["iblacklistfax"]),
    (&["donotfax"], &["iblacklistfax"]),
    (&["donotcall"], &["iblacklistphone"]),
    (&["donotphone"], &["iblacklistphone"]),
    (&["donotpostalmail", "donotbulkpostalmail"], &["iblacklistpostalmail"]),
];

/// The column of recipients that a field stands for.
pub(super) fn recipient(field: &str) -> Option<&'static str> {
    RECIPIENT.iter().find(|(_, fields)| fields.contains(&field)).map(|(column, _)| *column)
}

/// Words of names by which somebody forbids something.
const REFUSALS: [&str; 10] = [
    "optout",
    "optedout",
    "unsubscri",
    "donot",
    "dontcall",
    "blacklist",
    "blocklist",
    "denylist",
    "nomail",
    "suppress",
];

/// Words of names that speak of consent, and leave open which value forbids.
const OF_CONSENT: [&str; 6] = ["optin", "optedin", "consent", "subscri", "permission", "gdpr"];

/// What a field's name says of consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Somebody forbids something by it.
    Refusal,
    /// It is about consent; which of its values forbids is for a person to say.
    Unclear,
    /// Nothing.
    Nothing,
}

/// What a name says of consent, with and without what only tells whose it is. Better once too often than
/// not: an opt-out that goes over as any other value could be undone.
pub(super) fn said(names: [&str; 2]) -> Said {
    let has = |words: &[&str]| words.iter().any(|word| names.iter().any(|n| n.contains(word)));
    match (has(&REFUSALS), has(&OF_CONSENT)) {
        (true, _) => Said::Refusal,
        (false, true) => Said::Unclear,
        (false, false) => Said::Nothing,
    }
}

/// Whether a column is one of the flags of recipients, which only consent may write.
pub(super) fn is_flag(column: &str) -> bool {
    column.starts_with("iblacklist")
}

/// The fields that are known to say one thing of consent with this one, and the flags of recipients.
pub(super) fn consent(field: &str) -> Option<(&'static [&'static str], &'static [&'static str])> {
    CONSENT.iter().find(|(fields, _)| fields.contains(&field)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_consent_is_not_taken_for_any_other_value() {
        let said = |name: &str| said([name, name]);
        for name in ["optout", "et4ae5hasoptedoutofmobile", "newdonotcontact", "blacklistemail"] {
            assert_eq!(said(name), Said::Refusal, "{name}");
        }
        for name in ["emailconsent", "optin", "subscribed"] {
            assert_eq!(said(name), Said::Unclear, "{name}");
        }
        assert_eq!(said("optional"), Said::Nothing);
        assert_eq!(said("firstname"), Said::Nothing);
    }
}
