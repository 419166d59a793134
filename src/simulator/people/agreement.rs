//! Whether both sides hold the same: told by reading both, and by nothing that the agent says.
//!
//! Who is who is told by the e-mail address (accounts: by the name), which nobody edits here. So
//! what is missing on one side shows, and what is there twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::{Desk, PeopleError, Screen};

/// A person as one side holds it: fields by their name in the CRM, nothing where blank.
pub type Person = BTreeMap<&'static str, String>;

/// An account, likewise.
pub type Firm = BTreeMap<&'static str, String>;

/// What both sides hold, by e-mail address or name; each may be there more than once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Both {
    /// Campaign's recipients.
    pub recipients: BTreeMap<String, Vec<Person>>,
    /// The CRM's contacts.
    pub contacts: BTreeMap<String, Vec<Person>>,
    /// Campaign's accounts.
    pub firms: BTreeMap<String, Vec<Firm>>,
    /// The CRM's accounts.
    pub accounts: BTreeMap<String, Vec<Firm>>,
}

/// One thing in which they differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Of whom: an e-mail address or the name of an account.
    pub who: String,
    /// In what: a field by its name in the CRM; empty where the record itself is missing or double.
    pub field: String,
    /// In Campaign.
    pub campaign: String,
    /// In the CRM.
    pub crm: String,
}

const CONTACT: [&str; 9] = [
    "FirstName",
    "LastName",
    "Phone",
    "MobilePhone",
    "Title",
    "MailingCity",
    "LeadSource",
    "Birthdate",
    "HasOptedOutOfEmail",
];
const RECIPIENTS: &str = "
select r.semail, r.sfirstname, r.slastname, r.sphone, r.smobilephone, r.stext1, r.scity, r.sorigin,
       r.tsbirth::text,
       case when r.iblacklistemail <> 0 or r.iblacklist <> 0 then 'true' else 'false' end,
       a.sname
  from nmsrecipient r
  left join cusaccount a on a.icusaccountid = r.iaccountid and r.iaccountid <> 0
 where r.irecipientid <> 0";
const ACCOUNT: [&str; 2] = ["BillingCity", "Phone"];

impl Both {
    /// Reads both sides, one after the other.
    pub async fn read(desk: &Desk, screen: &Screen) -> Result<Self, PeopleError> {
        let mut both = Self::default();
        for row in desk.read(RECIPIENTS, &[]).await? {
            let columns = (1..=CONTACT.len()).map(|at| row.get::<_, Option<String>>(at));
            let mut person = fields(CONTACT.iter().copied().zip(columns));
            keep(&mut person, "Account", row.get(10));
            let email: Option<String> = row.get(0);
            both.recipients.entry(email.unwrap_or_default()).or_default().push(person);
        }
        let firms = "select sname, scity, sphone from cusaccount where icusaccountid <> 0";
        for row in desk.read(firms, &[]).await? {
            let columns = (1..=ACCOUNT.len()).map(|at| row.get::<_, Option<String>>(at));
            let name: Option<String> = row.get(0);
            let firm = fields(ACCOUNT.iter().copied().zip(columns));
            both.firms.entry(name.unwrap_or_default()).or_default().push(firm);
        }
        both.read_crm(screen).await?;
        Ok(both)
    }

    async fn read_crm(&mut self, screen: &Screen) -> Result<(), PeopleError> {
        let mut names = BTreeMap::new();
        for record in screen.records("Account", "Id,Name,BillingCity,Phone").await? {
            let name = text(&record["Name"]).unwrap_or_default();
            names.insert(text(&record["Id"]).unwrap_or_default(), name.clone());
            let firm = fields(ACCOUNT.iter().map(|field| (*field, text(&record[*field]))));
            self.accounts.entry(name).or_default().push(firm);
        }
        let wanted = format!("Id,Email,AccountId,{}", CONTACT.join(","));
        for record in screen.records("Contact", &wanted).await? {
            let mut person = fields(CONTACT.iter().map(|field| (*field, text(&record[*field]))));
            let account = text(&record["AccountId"]).and_then(|id| names.get(&id).cloned());
            keep(&mut person, "Account", account);
            let email = text(&record["Email"]).unwrap_or_default();
            self.contacts.entry(email).or_default().push(person);
        }
        Ok(())
    }

    /// Two CRMs, of which each was read with Campaign: the first stands in its place.
    pub fn across(first: &Self, second: &Self) -> Self {
        Self {
            recipients: first.contacts.clone(),
            contacts: second.contacts.clone(),
            firms: first.accounts.clone(),
            accounts: second.accounts.clone(),
        }
    }

    /// All in which they differ.
    pub fn differences(&self) -> Vec<Difference> {
        let mut found = Vec::new();
        compare(&self.recipients, &self.contacts, &mut found);
        compare(&self.firms, &self.accounts, &mut found);
        found
    }

    /// This person, as each side holds it, where it is there.
    pub fn person(&self, email: &str) -> (Option<&Person>, Option<&Person>) {
        (
            self.recipients.get(email).and_then(|all| all.first()),
            self.contacts.get(email).and_then(|all| all.first()),
        )
    }
}

type Records = BTreeMap<String, Vec<BTreeMap<&'static str, String>>>;

fn compare(campaign: &Records, crm: &Records, found: &mut Vec<Difference>) {
    let names: BTreeSet<&String> = campaign.keys().chain(crm.keys()).collect();
    for who in names {
        let here = campaign.get(who).map(Vec::as_slice).unwrap_or_default();
        let there = crm.get(who).map(Vec::as_slice).unwrap_or_default();
        let ([ours], [theirs]) = (here, there) else {
            let told = |count: usize| format!("{count} of it");
            let (campaign, crm) = (told(here.len()), told(there.len()));
            found.push(Difference { who: who.clone(), field: String::new(), campaign, crm });
            continue;
        };
        let fields: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
        for field in fields {
            if ours.get(field) != theirs.get(field) {
                let told = |side: &BTreeMap<&'static str, String>| {
                    side.get(field).cloned().unwrap_or_default()
                };
                let (campaign, crm) = (told(ours), told(theirs));
                let field = (*field).to_owned();
                found.push(Difference { who: who.clone(), field, campaign, crm });
            }
        }
    }
}

fn fields(all: impl Iterator<Item = (&'static str, Option<String>)>) -> Person {
    let mut person = Person::new();
    for (field, value) in all {
        keep(&mut person, field, value);
    }
    person
}

/// What is blank is nothing, on either side.
fn keep(person: &mut Person, field: &'static str, value: Option<String>) {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        person.insert(field, value);
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Some(value.to_string())
        }
    }
}

impl Difference {
    /// As it is told of the two sides that are called so.
    pub fn told(&self, [first, second]: [&str; 2]) -> String {
        let Self { who, field, campaign, crm } = self;
        let field = if field.is_empty() { "record" } else { field };
        format!("{who}, {field}: `{campaign}` in {first}, `{crm}` in {second}")
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(["Campaign", "the CRM"]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(all: &[(&str, &[&str])]) -> Records {
        let person = |phone: &&str| Person::from([("Phone", (*phone).to_owned())]);
        let one = |(who, phones): &(&str, &[&str])| {
            ((*who).to_owned(), phones.iter().map(person).collect())
        };
        all.iter().map(one).collect()
    }

    fn check(campaign: &[(&str, &[&str])], crm: &[(&str, &[&str])], expected: &[&str]) {
        let mut found = Vec::new();
        compare(&records(campaign), &records(crm), &mut found);
        let told: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn what_differs_is_missing_or_double_is_told() {
        check(&[("a", &["1"])], &[("a", &["1"])], &[]);
        check(&[("a", &["1"])], &[("a", &["2"])], &["a, Phone: `1` in Campaign, `2` in the CRM"]);
        check(&[("a", &["1"])], &[], &["a, record: `1 of it` in Campaign, `0 of it` in the CRM"]);
        check(
            &[("a", &["1", "1"])],
            &[("a", &["1"])],
            &["a, record: `2 of it` in Campaign, `1 of it` in the CRM"],
        );
    }
}
