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
pub(super) const RECIPIENTS: &str = "nmsrecipient";

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

/// The fields that say one thing of consent with this one, and the flags of recipients. What is named
/// as a refusal is one, known or not.
pub(super) fn consent(field: &str) -> Option<(Vec<&str>, &'static [&'static str])> {
    let known = CONSENT.iter().find(|(fields, _)| fields.contains(&field));
    let refuses = field.starts_with("hasoptedout") || field.starts_with("donot");
    known
        .map(|(fields, flags)| (fields.to_vec(), *flags))
        .or(refuses.then(|| (vec![field], &[][..])))
}
