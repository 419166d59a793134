//! The objects that an organisation has from the start.
//!
//! Account, Contact and Lead carry what a recipient of a mailing needs; User and Organization can
//! be read. Lengths, precisions and picklists are those of a fresh organisation; the custom fields
//! are what an integration would have asked its administrator for.

use super::model::{Choice, Field, Kind, Model, Object, Reference, Uniqueness, Writable};

const SALUTATIONS: [&str; 5] = ["Mr.", "Ms.", "Mrs.", "Dr.", "Prof."];
const SOURCES: [&str; 5] = ["Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other"];
const INTERESTS: [&str; 6] = ["News", "Offers", "Events", "Travel", "Sports", "Music"];

/// The model of a fresh organisation.
pub(super) fn model() -> Model {
    Model::new(vec![
        account(),
        contact(),
        lead(),
        opportunity(),
        individual(),
        user(),
        organization(),
        record_type(),
    ])
}

/// The fields that Salesforce itself keeps, in the order that `model` numbers them.
pub(super) fn system_fields() -> Vec<Field> {
    let by = |name: &str, label: &str, parent: &str| {
        let field = lookup(name, label, "User", parent);
        Field { writable: Writable::Never, required: true, ..field }
    };
    vec![
        Field { id_lookup: true, length: 18, required: true, ..never("Id", "ID", Kind::Id) },
        never("IsDeleted", "Deleted", Kind::Boolean),
        Field {
            hidden: true,
            reference: Some(Reference {
                to: String::new(),
                parent: None,
                children: None,
                cascade: false,
            }),
            length: 18,
            ..never("MasterRecordId", "Master Record ID", Kind::Reference)
        },
        Field {
            required: true,
            default: Some(String::new()),
            ..lookup("OwnerId", "Owner ID", "User", "Owner")
        },
        Field { required: true, ..never("CreatedDate", "Created Date", Kind::DateTime) },
        by("CreatedById", "Created By ID", "CreatedBy"),
        Field { required: true, ..never("LastModifiedDate", "Last Modified Date", Kind::DateTime) },
        by("LastModifiedById", "Last Modified By ID", "LastModifiedBy"),
        Field { required: true, ..never("SystemModstamp", "System Modstamp", Kind::DateTime) },
    ]
}

fn account() -> Object {
    let mut fields = vec![
        Field { required: true, is_name: true, ..text("Name", "Account Name", 255) },
        choice("Type", "Account Type", &["Prospect", "Customer", "Partner", "Other"]),
        choice("Industry", "Industry", &["Banking", "Education", "Media", "Retail", "Other"]),
        phone("Phone", "Account Phone"),
        phone("Fax", "Account Fax"),
        Field::new("Website", "Website", Kind::Url),
        number("AnnualRevenue", "Annual Revenue", Kind::Currency, (18, 0)),
        number("NumberOfEmployees", "Employees", Kind::Int, (8, 0)),
        long_text("Description", "Account Description", 32_000),
    ];
    fields.extend(address("Billing"));
    fields.extend(keys());
    mergeable(Object::new("Account", "Accounts", "001", fields))
}

fn contact() -> Object {
    let mut fields = person_name();
    fields.push(Field {
        reference: Some(Reference {
            to: "Account".to_owned(),
            parent: Some("Account".to_owned()),
            children: Some("Contacts".to_owned()),
            cascade: true,
        }),
        ..lookup("AccountId", "Account ID", "Account", "Account")
    });
    fields.push(lookup("ReportsToId", "Reports To ID", "Contact", "ReportsTo"));
    fields.push(Field::new("Birthdate", "Birthdate", Kind::Date));
    fields.push(text("Department", "Department", 80));
    fields.push(long_text("Description", "Contact Description", 32_000));
    fields.extend(address("Mailing"));
    fields.extend(person_fields());
    fields.extend(keys());
    mergeable(Object::new("Contact", "Contacts", "003", fields))
}

fn lead() -> Object {
    let status = ["Open - Not Contacted", "Working - Contacted", "Closed - Converted"];
    let mut fields = person_name();
    fields.push(Field { required: true, ..text("Company", "Company", 255) });
    fields.push(Field {
        required: true,
        default: Some(status[0].to_owned()),
        ..choice("Status", "Status", &status)
    });
    fields.push(never("IsConverted", "Converted", Kind::Boolean));
    fields.push(never("ConvertedDate", "Converted Date", Kind::Date));
    for to in ["Account", "Contact", "Opportunity"] {
        let field = lookup(
            &format!("Converted{to}Id"),
            &format!("Converted {to} ID"),
            to,
            &format!("Converted{to}"),
        );
        fields.push(Field { writable: Writable::Never, ..field });
    }
    fields.push(long_text("Description", "Description", 32_000));
    fields.extend(address(""));
    fields.extend(person_fields());
    fields.extend(keys());
    mergeable(Object::new("Lead", "Leads", "00Q", fields))
}

fn opportunity() -> Object {
    let stages = ["Prospecting", "Qualification", "Closed Won", "Closed Lost"];
    let account = lookup("AccountId", "Account ID", "Account", "Account");
    let children = |field: Field, name: &str| Field {
        reference: field.reference.map(|to| Reference {
            children: Some(name.to_owned()),
            cascade: true,
            ..to
        }),
        ..field
    };
    let fields = vec![
        Field { required: true, is_name: true, ..text("Name", "Name", 120) },
        children(account, "Opportunities"),
        Field { required: true, ..choice("StageName", "Stage", &stages) },
        Field { required: true, ..Field::new("CloseDate", "Close Date", Kind::Date) },
        number("Amount", "Amount", Kind::Currency, (18, 2)),
        long_text("Description", "Description", 32_000),
    ];
    Object::new("Opportunity", "Opportunities", "006", fields)
}

/// What a person agreed to, apart from the records that stand for them.
fn individual() -> Object {
    let flags = [
        ("HasOptedOutSolicit", "Don't Market"),
        ("HasOptedOutProcessing", "Don't Process"),
        ("HasOptedOutProfiling", "Don't Profile"),
        ("HasOptedOutTracking", "Don't Track"),
        ("HasOptedOutGeoTracking", "Block Geolocation Tracking"),
        ("ShouldForget", "Forget this Individual"),
        ("SendIndividualData", "Export Individual's Data"),
        ("CanStorePiiElsewhere", "Store PII Elsewhere"),
    ];
    let mut fields = person_name();
    fields.extend(flags.map(|(name, label)| Field::new(name, label, Kind::Boolean)));
    Object::new("Individual", "Individuals", "0PK", fields)
}

fn record_type() -> Object {
    let fields = vec![
        Field { is_name: true, ..never("Name", "Name", Kind::Text) },
        never("DeveloperName", "Record Type Name", Kind::Text),
        never("SobjectType", "SObject Type Name", Kind::Picklist),
        never("IsActive", "Active", Kind::Boolean),
    ];
    read_only(Object::new("RecordType", "Record Types", "012", fields))
}

fn user() -> Object {
    let fields = vec![
        Field { is_name: true, ..never("Name", "Full Name", Kind::Text) },
        Field { required: true, ..never("Username", "Username", Kind::Text) },
        never("Email", "Email", Kind::Email),
        never("IsActive", "Active", Kind::Boolean),
    ];
    read_only(Object::new("User", "Users", "005", fields))
}

fn organization() -> Object {
    let fields = vec![
        Field { is_name: true, ..never("Name", "Name", Kind::Text) },
        never("IsSandbox", "Is Sandbox", Kind::Boolean),
        never("InstanceName", "Instance Name", Kind::Text),
        never("OrganizationType", "Edition", Kind::Picklist),
    ];
    read_only(Object::new("Organization", "Organizations", "00D", fields))
}

/// The parts of a person's name and the whole, which Salesforce puts together.
fn person_name() -> Vec<Field> {
    let part = |field: Field| Field { compound: Some("Name".to_owned()), ..field };
    vec![
        part(Field { required: true, ..text("LastName", "Last Name", 80) }),
        part(text("FirstName", "First Name", 40)),
        part(choice("Salutation", "Salutation", &SALUTATIONS)),
        Field { length: 121, is_name: true, ..never("Name", "Full Name", Kind::Text) },
    ]
}

fn person_fields() -> Vec<Field> {
    let email = Field { length: 80, id_lookup: true, ..Field::new("Email", "Email", Kind::Email) };
    let restricted = |field: Field| Field { restricted: true, ..field };
    vec![
        email,
        phone("Phone", "Phone"),
        phone("MobilePhone", "Mobile Phone"),
        phone("Fax", "Fax"),
        text("Title", "Title", 128),
        restricted(choice("LeadSource", "Lead Source", &SOURCES)),
        Field::new("HasOptedOutOfEmail", "Email Opt Out", Kind::Boolean),
        Field::new("HasOptedOutOfFax", "Fax Opt Out", Kind::Boolean),
        Field::new("DoNotCall", "Do Not Call", Kind::Boolean),
        lookup("IndividualId", "Individual ID", "Individual", "Individual"),
        restricted(Field {
            kind: Kind::MultiPicklist,
            length: 4099,
            ..choice("Interests__c", "Interests", &INTERESTS)
        }),
        number("Score__c", "Score", Kind::Double, (10, 2)),
        Field {
            unique: Uniqueness::FoldingCase,
            id_lookup: true,
            ..text("Member_Number__c", "Member Number", 20)
        },
        Field::new("Last_Visit__c", "Last Visit", Kind::DateTime),
        Field::new("Call_After__c", "Call After", Kind::Time),
    ]
}

/// What an integration asks for: its key, and the mark of its last write.
fn keys() -> Vec<Field> {
    vec![
        Field {
            unique: Uniqueness::Exact,
            external_id: true,
            id_lookup: true,
            ..text("Truce_Id__c", "Truce Id", 80)
        },
        text("Truce_Stamp__c", "Truce Stamp", 80),
    ]
}

fn address(kind: &str) -> Vec<Field> {
    let whole = format!("{kind}Address");
    let part = |name: &str, length: u32, of: Kind| Field {
        length,
        compound: Some(whole.clone()),
        ..Field::new(&format!("{kind}{name}"), format!("{kind} {name}").trim(), of)
    };
    vec![
        part("Street", 255, Kind::TextArea),
        part("City", 40, Kind::Text),
        part("State", 80, Kind::Text),
        part("PostalCode", 20, Kind::Text),
        part("Country", 80, Kind::Text),
        never(&whole, format!("{kind} Address").trim(), Kind::Address),
    ]
}

fn text(name: &str, label: &str, length: u32) -> Field {
    Field { length, ..Field::new(name, label, Kind::Text) }
}

fn long_text(name: &str, label: &str, length: u32) -> Field {
    Field { length, ..Field::new(name, label, Kind::TextArea) }
}

fn phone(name: &str, label: &str) -> Field {
    Field { length: 40, ..Field::new(name, label, Kind::Phone) }
}

fn number(name: &str, label: &str, kind: Kind, (precision, scale): (u32, u32)) -> Field {
    Field { precision, scale, ..Field::new(name, label, kind) }
}

fn choice(name: &str, label: &str, values: &[&str]) -> Field {
    let choices = values
        .iter()
        .map(|value| Choice {
            value: (*value).to_owned(),
            active: true,
            default: false,
            valid_for: Vec::new(),
        })
        .collect();
    Field { choices, ..Field::new(name, label, Kind::Picklist) }
}

fn never(name: &str, label: &str, kind: Kind) -> Field {
    Field { writable: Writable::Never, ..Field::new(name, label, kind) }
}

fn lookup(name: &str, label: &str, to: &str, parent: &str) -> Field {
    let reference = Reference {
        to: to.to_owned(),
        parent: Some(parent.to_owned()),
        children: None,
        cascade: false,
    };
    Field { length: 18, reference: Some(reference), ..Field::new(name, label, Kind::Reference) }
}

fn mergeable(mut object: Object) -> Object {
    let name = object.name.clone();
    let master = object.field_mut(super::model::MASTER_RECORD_ID);
    master.hidden = false;
    if let Some(reference) = &mut master.reference {
        reference.to = name;
        reference.parent = Some("MasterRecord".to_owned());
    }
    object.mergeable = true;
    object
}

fn read_only(mut object: Object) -> Object {
    for at in [super::model::IS_DELETED, super::model::OWNER_ID] {
        object.field_mut(at).hidden = true;
    }
    object.writable = false;
    object
}
