//! What each CRM calls the things that people keep in it.
//!
//! People say it in Salesforce's words, whichever CRM they sit at; this is the dictionary. A further
//! CRM is a further one here, and nothing else that people do knows of it.

use serde_json::{Map, Value};

use crate::simulator::any::Kind;

/// The words of one CRM.
#[derive(Debug)]
pub(super) struct Terms {
    /// How the control address names a kind of record.
    pub(super) object: &'static str,
    /// Parameters of a look at all records that are not deleted.
    pub(super) live: &'static str,
    /// Which field says that a record was merged into another, where such a record is not deleted.
    pub(super) merged: Option<&'static str>,
    /// Where an entry of the history has an old value, and a new one.
    pub(super) old: &'static str,
    pub(super) new: &'static str,
    /// Which counter has the calls.
    pub(super) calls: &'static str,
    /// The field that an administrator made for the external id, and the one for the stamp.
    pub(super) own_fields: [&'static str; 2],
    things: &'static [Thing],
}

/// A kind of record.
#[derive(Debug)]
struct Thing {
    said: &'static str,
    name: &'static str,
    terms: &'static [Term],
}

/// A field.
#[derive(Debug)]
struct Term {
    said: &'static str,
    /// In a config, and where it is read unless it is read by another name.
    name: &'static str,
    /// Of a reference: by which name it is read, by which it is written, and what before the id.
    reference: Option<[&'static str; 3]>,
}

const fn term(said: &'static str, name: &'static str) -> Term {
    Term { said, name, reference: None }
}

impl Term {
    fn read(&self) -> &'static str {
        self.reference.map_or(self.name, |[read, _, _]| read)
    }
}

const SALESFORCE: Terms = Terms {
    object: "object",
    live: "deleted=false&",
    merged: None,
    old: "/old",
    new: "/new",
    calls: "api_used",
    own_fields: ["Truce_Id__c", "Truce_Stamp__c"],
    things: &[],
};

const DYNAMICS: Terms = Terms {
    object: "table",
    live: "",
    merged: Some("merged"),
    old: "/0",
    new: "/1",
    calls: "requests",
    own_fields: ["new_truceid", "new_trucestamp"],
    things: &[
        Thing {
            said: "Contact",
            name: "contact",
            terms: &[
                term("Id", "contactid"),
                term("Email", "emailaddress1"),
                term("FirstName", "firstname"),
                term("LastName", "lastname"),
                term("Phone", "telephone1"),
                term("MobilePhone", "mobilephone"),
                term("Title", "jobtitle"),
                term("MailingCity", "address1_city"),
                term("LeadSource", "leadsourcecode"),
                term("Birthdate", "birthdate"),
                term("HasOptedOutOfEmail", "donotbulkemail"),
                term("SystemModstamp", "modifiedon"),
                Term {
                    said: "MasterRecordId",
                    name: "masterid",
                    reference: Some(["_masterid_value", "masterid@odata.bind", "contacts"]),
                },
                Term {
                    said: "AccountId",
                    name: "parentcustomerid",
                    reference: Some([
                        "_parentcustomerid_value",
                        "parentcustomerid_account@odata.bind",
                        "accounts",
                    ]),
                },
            ],
        },
        Thing {
            said: "Account",
            name: "account",
            terms: &[
                term("Id", "accountid"),
                term("Name", "name"),
                term("BillingCity", "address1_city"),
                term("Phone", "telephone1"),
                term("SystemModstamp", "modifiedon"),
            ],
        },
    ],
};

impl Terms {
    pub(super) fn of(kind: Kind) -> &'static Self {
        match kind {
            Kind::Salesforce => &SALESFORCE,
            Kind::Dynamics => &DYNAMICS,
        }
    }

    /// A kind of record by the name that the CRM has for it.
    pub(super) fn thing<'a>(&self, said: &'a str) -> &'a str {
        self.things.iter().find(|thing| thing.said == said).map_or(said, |thing| thing.name)
    }

    /// A field by its name in a config.
    pub(super) fn field<'a>(&self, thing: &str, said: &'a str) -> &'a str {
        self.term(thing, said).map_or(said, |term| term.name)
    }

    /// A field by the name that it is read by.
    pub(super) fn read<'a>(&self, thing: &str, said: &'a str) -> &'a str {
        self.term(thing, said).map_or(said, |term| term.read())
    }

    /// A record that is written.
    pub(super) fn written(&self, thing: &str, said: Map<String, Value>) -> Map<String, Value> {
        let own = |(name, value): (String, Value)| match self.term(thing, &name) {
            None => (name, value),
            Some(Term { reference: Some([_, written, set]), .. }) => {
                let value = value.as_str().map(|id| format!("/{set}({id})").into());
                ((*written).to_owned(), value.unwrap_or_default())
            }
            Some(Term { name, .. }) => ((*name).to_owned(), value),
        };
        said.into_iter().map(own).collect()
    }

    /// A record that was read, in people's words; what they have none for stays as it is.
    pub(super) fn told(&self, thing: &str, read: Map<String, Value>) -> Map<String, Value> {
        let told = |(name, value): (String, Value)| {
            let term = self.terms(thing).iter().find(|term| term.read() == name);
            (term.map_or(name, |term| term.said.to_owned()), value)
        };
        read.into_iter().map(told).collect()
    }

    fn term(&self, thing: &str, said: &str) -> Option<&'static Term> {
        self.terms(thing).iter().find(|term| term.said == said)
    }

    fn terms(&self, thing: &str) -> &'static [Term] {
        self.things.iter().find(|one| one.said == thing).map_or(&[], |one| one.terms)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).expect("it is an object")
    }

    #[test]
    fn a_record_is_written_in_the_crms_words_and_told_in_peoples() {
        let said = json!({ "Title": "Dr", "AccountId": "7", "new_score": 3 });
        let own = json!({
            "jobtitle": "Dr", "parentcustomerid_account@odata.bind": "/accounts(7)", "new_score": 3,
        });
        assert_eq!(DYNAMICS.written("Contact", map(said.clone())), map(own));
        assert_eq!(SALESFORCE.written("Contact", map(said.clone())), map(said.clone()));
        let read = json!({ "jobtitle": "Dr", "_parentcustomerid_value": "7", "new_score": 3 });
        assert_eq!(DYNAMICS.told("Contact", map(read)), map(said));
    }

    #[test]
    fn a_field_of_two_things_has_the_name_of_its_thing() {
        assert_eq!(
            DYNAMICS.told("Account", map(json!({ "address1_city": "Gent" })))["BillingCity"],
            "Gent"
        );
        assert_eq!(DYNAMICS.read("Contact", "MailingCity"), "address1_city");
        assert_eq!(DYNAMICS.field("Contact", "AccountId"), "parentcustomerid");
        assert_eq!(SALESFORCE.field("Contact", "AccountId"), "AccountId");
    }
}
