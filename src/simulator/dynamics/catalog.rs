//! The tables that an environment has from the start.
//!
//! Lengths and choices are those of a fresh environment (the public Common Data Model); what begins
//! with `new_` an integration would have asked its administrator for.

use super::catalog_service;
use super::columns::{
    BULK, DO_NOT, address, amount, choice, count, flag, lookup, memo, multi, ownership, person,
    phones, read_only, state, system, text, truce,
};
use super::model::{Choices, Column, Flavour, Kind, Model, Required, Table, Target, Zone};

const INDUSTRIES: [&str; 12] = [
    "Accounting",
    "Agriculture and Non-petrol Natural Resource Extraction",
    "Broadcasting Printing and Publishing",
    "Brokers",
    "Building Supply Retail",
    "Business Services",
    "Consulting",
    "Consumer Services",
    "Design, Direction and Creative Management",
    "Distributors, Dispatchers and Processors",
    "Doctor's Offices and Clinics",
    "Durable Manufacturing",
];
const CUSTOMER_TYPES: [&str; 12] = [
    "Competitor",
    "Consultant",
    "Customer",
    "Investor",
    "Partner",
    "Influencer",
    "Press",
    "Prospect",
    "Reseller",
    "Supplier",
    "Vendor",
    "Other",
];
const SOURCES: [&str; 10] = [
    "Advertisement",
    "Employee Referral",
    "External Referral",
    "Partner",
    "Public Relations",
    "Seminar",
    "Trade Show",
    "Web",
    "Word of Mouth",
    "Other",
];
const INTERESTS: [&str; 9] =
    ["News", "Offers", "Events", "Travel", "Sports", "Music", "Books", "Food", "Family"];
const RATINGS: [&str; 3] = ["Hot", "Warm", "Cold"];

/// The model of a fresh environment.
pub(super) fn model() -> Model {
    let mut tables =
        vec![account(), contact(), lead(), opportunity(), consent(), membership(), purpose()];
    tables.extend(catalog_service::tables());
    Model { tables }
}

fn account() -> Table {
    let mut columns = system("accountid");
    columns.push(Column { required: Required::ByForms, ..text("name", "Account Name", 160) });
    columns.push(text("accountnumber", "Account Number", 20));
    columns.push(text("tickersymbol", "Ticker Symbol", 10));
    columns.push(text("sic", "SIC Code", 20));
    columns.extend(phones(50));
    columns.push(memo("description", "Description", 2000));
    for (name, label) in [("revenue", "Annual Revenue"), ("creditlimit", "Credit Limit")] {
        columns.extend(amount(name, label));
    }
    columns.push(count("numberofemployees", "Number of Employees", 1_000_000_000));
    columns.push(choice("account", "industrycode", "Industry", &INDUSTRIES, None));
    columns.push(choice("account", "customertypecode", "Relationship Type", &CUSTOMER_TYPES, None));
    columns.push(flag("creditonhold", "Credit Hold", BULK, false));
    columns.extend(address());
    columns.extend(consents());
    columns.push(lookup(
        "parentaccountid",
        "Parent Account",
        &[("account", "parentaccountid", "account_parent_account")],
    ));
    columns.push(lookup(
        "primarycontactid",
        "Primary Contact",
        &[("contact", "primarycontactid", "account_primary_contact")],
    ));
    columns.extend(merging("account"));
    columns.extend(ownership("account"));
    columns.extend(state(
        "account",
        &["Active", "Inactive"],
        &[(1, "Active", 0), (2, "Inactive", 1)],
    ));
    columns.extend(truce());
    let table = Table::new(("account", "accounts"), "Account", 1, columns);
    Table { mergeable: true, ..table }
        .with_key("new_AccountNumberKey", &["accountnumber"])
        .with_key("new_AccountTruceKey", &["new_truceid"])
}

fn contact() -> Table {
    let mut columns = system("contactid");
    columns.extend(person(&[("firstname", 50), ("middlename", 50), ("lastname", 50)]));
    for (name, label, max) in [
        ("nickname", "Nickname", 100),
        ("salutation", "Salutation", 100),
        ("suffix", "Suffix", 10),
        ("jobtitle", "Job Title", 100),
        ("department", "Department", 100),
        ("mobilephone", "Mobile Phone", 50),
        ("pager", "Pager", 50),
        ("governmentid", "Government", 50),
        ("employeeid", "Employee", 50),
        ("externaluseridentifier", "External User Identifier", 50),
        ("managername", "Manager", 100),
    ] {
        columns.push(text(name, label, max));
    }
    columns.extend(phones(50));
    columns.push(memo("description", "Description", 2000));
    columns.push(Column::new("birthdate", "Birthday", Kind::Date));
    columns.push(Column::new("anniversary", "Anniversary", Kind::Date));
    columns.push(Column::new(
        "lastusedincampaign",
        "Last Date Included in Campaign",
        Kind::Instant { zone: Zone::UserLocal, date_format: true },
    ));
    columns.extend(amount("creditlimit", "Credit Limit"));
    columns.extend(amount("annualincome", "Annual Income"));
    columns.push(count("numberofchildren", "No. of Children", 1_000_000_000));
    columns.push(flag("creditonhold", "Credit Hold", BULK, false));
    columns.extend(contact_choices());
    columns.extend(address());
    columns.extend(consents());
    columns.push(flag("marketingonly", "Marketing Only", BULK, false));
    let customer = [
        ("account", "parentcustomerid_account", "contact_customer_accounts"),
        ("contact", "parentcustomerid_contact", "contact_customer_contacts"),
    ];
    columns.push(with_flavour(
        Flavour::Customer,
        lookup("parentcustomerid", "Company Name", &customer),
    ));
    columns.push(lookup(
        "new_SponsorId",
        "Sponsor",
        &[("contact", "new_SponsorId", "new_contact_sponsor")],
    ));
    columns.extend(merging("contact"));
    columns.extend(ownership("contact"));
    columns.extend(state(
        "contact",
        &["Active", "Inactive"],
        &[(1, "Active", 0), (2, "Inactive", 1)],
    ));
    columns.extend(custom());
    columns.extend(truce());
    let table = Table::new(("contact", "contacts"), "Contact", 2, columns);
    Table { mergeable: true, primary_name: "fullname".to_owned(), ..table }
        .with_key("new_ExternalUserKey", &["externaluseridentifier"])
        .with_key("new_ContactTruceKey", &["new_truceid"])
}

/// One column of each kind that an administrator may add, one of them secured.
fn custom() -> Vec<Column> {
    let mut columns = Vec::new();
    columns.push(multi("contact", "new_interests", "Interests", &INTERESTS));
    columns.push(Column::new("new_memberuntil", "Member Until", Kind::Date));
    let zone = Zone::Independent;
    columns.push(Column::new(
        "new_lastvisit",
        "Last Visit",
        Kind::Instant { zone, date_format: false },
    ));
    columns.push(Column::new("new_score", "Score", Kind::Decimal { precision: 2 }));
    columns.push(Column::new("new_weight", "Weight", Kind::Double { precision: 3 }));
    let secret = text("new_healthnote", "Health Note", 100);
    columns.push(Column { secured: true, denied: true, ..secret });
    columns
}

fn contact_choices() -> Vec<Column> {
    let of = |name: &str, label: &str, options: &[&str], default| {
        choice("contact", name, label, options, default)
    };
    let methods = ["Any", "Email", "Phone", "Fax", "Mail"];
    let days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
    let mut day = of("preferredappointmentdaycode", "Preferred Day", &days, None);
    if let Kind::Choice(Choices { options, .. }) = &mut day.kind {
        for option in options {
            option.value -= 1;
        }
    }
    vec![
        of("preferredcontactmethodcode", "Preferred Method of Contact", &methods, Some(1)),
        of("gendercode", "Gender", &["Male", "Female"], None),
        of(
            "familystatuscode",
            "Marital Status",
            &["Single", "Married", "Divorced", "Widowed"],
            None,
        ),
        of("accountrolecode", "Role", &["Decision Maker", "Employee", "Influencer"], None),
        of("haschildrencode", "Has Children", &["Default Value"], Some(1)),
        of("educationcode", "Education", &["Default Value"], Some(1)),
        of("territorycode", "Territory", &["Default Value"], Some(1)),
        of("leadsourcecode", "Lead Source", &["Default Value"], None),
        day,
    ]
}

fn lead() -> Table {
    let mut columns = system("leadid");
    columns.extend(person(&[("firstname", 50), ("middlename", 50), ("lastname", 50)]));
    columns.push(Column { required: Required::ByForms, ..text("subject", "Topic", 300) });
    columns.push(text("companyname", "Company Name", 100));
    columns.push(text("jobtitle", "Job Title", 100));
    columns.push(text("salutation", "Salutation", 100));
    columns.push(text("mobilephone", "Mobile Phone", 20));
    columns.extend(phones(50));
    columns.push(memo("description", "Description", 2000));
    columns.push(choice("lead", "leadsourcecode", "Lead Source", &SOURCES, None));
    columns.push(choice("lead", "leadqualitycode", "Rating", &RATINGS, Some(2)));
    columns.push(choice("lead", "industrycode", "Industry", &INDUSTRIES, None));
    for (name, label) in [
        ("budgetamount", "Budget Amount"),
        ("revenue", "Annual Revenue"),
        ("estimatedamount", "Est. Value"),
    ] {
        columns.extend(amount(name, label));
    }
    columns.extend(address());
    columns.extend(consents());
    columns.push(lookup(
        "parentcontactid",
        "Parent Contact for lead",
        &[("contact", "parentcontactid", "lead_parent_contact")],
    ));
    columns.push(lookup(
        "parentaccountid",
        "Parent Account for lead",
        &[("account", "parentaccountid", "lead_parent_account")],
    ));
    columns.push(customer("lead"));
    columns.extend(merging("lead"));
    columns.extend(ownership("lead"));
    let statuses = [
        (1, "New", 0),
        (2, "Contacted", 0),
        (3, "Qualified", 1),
        (4, "Lost", 2),
        (5, "Cannot Contact", 2),
        (6, "No Longer Interested", 2),
        (7, "Canceled", 2),
    ];
    columns.extend(state("lead", &["Open", "Qualified", "Disqualified"], &statuses));
    columns.extend(truce());
    let table = Table::new(("lead", "leads"), "Lead", 4, columns);
    Table { mergeable: true, primary_name: "fullname".to_owned(), ..table }
        .with_key("new_LeadTruceKey", &["new_truceid"])
}

fn opportunity() -> Table {
    let mut columns = system("opportunityid");
    columns.push(Column { required: Required::ByForms, ..text("name", "Topic", 300) });
    columns.push(memo("description", "Description", 2000));
    for (name, label) in [
        ("estimatedvalue", "Est. Revenue"),
        ("actualvalue", "Actual Revenue"),
        ("totalamount", "Total Amount"),
    ] {
        columns.extend(amount(name, label));
    }
    columns.push(Column::new("estimatedclosedate", "Est. Close Date", Kind::Date));
    columns.push(Column::new("actualclosedate", "Actual Close Date", Kind::Date));
    columns.push(count("closeprobability", "Probability", 100));
    columns.push(choice("opportunity", "opportunityratingcode", "Rating", &RATINGS, Some(2)));
    columns.push(customer("opportunity"));
    columns.push(lookup(
        "parentcontactid",
        "Contact",
        &[("contact", "parentcontactid", "opportunity_parent_contact")],
    ));
    columns.push(lookup(
        "parentaccountid",
        "Account",
        &[("account", "parentaccountid", "opportunity_parent_account")],
    ));
    columns.extend(ownership("opportunity"));
    let statuses = [
        (1, "In Progress", 0),
        (2, "On Hold", 0),
        (3, "Won", 1),
        (4, "Canceled", 2),
        (5, "Out-Sold", 2),
    ];
    columns.extend(state("opportunity", &["Open", "Won", "Lost"], &statuses));
    columns.extend(truce());
    let table = Table::new(("opportunity", "opportunities"), "Opportunity", 3, columns);
    table.with_key("new_OpportunityTruceKey", &["new_truceid"])
}

/// Consent by address, as Customer Insights keeps it.
fn consent() -> Table {
    const NAME: &str = "msdynmkt_contactpointconsent4";
    let from = |first: i64, mut column: Column| {
        if let Some(choices) = column.kind.choices_mut() {
            choices.options.iter_mut().for_each(|option| option.value += first - 1);
        }
        column
    };
    let of = |name: &str, label: &str, options: &[&str]| {
        from(534_120_000, choice(NAME, name, label, options, None))
    };
    let mut columns = system("msdynmkt_contactpointconsent4id");
    columns.push(text("msdynmkt_name", "Name", 100));
    let address = text("msdynmkt_contactpointvalue", "Contact Point", 400);
    columns.push(Column { required: Required::BySystem, ..address });
    columns.push(of("msdynmkt_contactpointtype", "Channel", &["Email", "Text", "Custom", "Voice"]));
    columns.push(of("msdynmkt_value", "Value", &["Not Set", "Opted In", "Opted Out"]));
    columns.push(of("msdynmkt_contactpointconsenttype", "Type", &["Purpose", "Topic"]));
    columns.push(of("msdynmkt_source", "Source", &["Internal", "External", "Form", "Loaded"]));
    columns.push(text("msdynmkt_reason", "Reason", 500));
    let purpose = [("msdynmkt_purpose", "msdynmkt_PurposeId", "msdynmkt_purpose_consent4")];
    columns.push(lookup("msdynmkt_purposeid", "Purpose", &purpose));
    columns.extend(ownership(NAME));
    columns.extend(state(NAME, &["Active", "Inactive"], &[(1, "Active", 0), (2, "Inactive", 1)]));
    let table = Table::new(
        (NAME, "msdynmkt_contactpointconsent4s"),
        "Contact Point Consent",
        10_100,
        columns,
    );
    Table { primary_name: "msdynmkt_name".to_owned(), ..table }
}

/// A custom table with a key over two columns, one of them a lookup.
fn membership() -> Table {
    let mut columns = system("new_membershipid");
    columns.push(text("new_name", "Name", 100));
    columns.push(text("new_code", "Code", 20));
    columns.push(lookup(
        "new_Member",
        "Member",
        &[("contact", "new_Member", "new_contact_membership")],
    ));
    columns.push(Column::new("new_since", "Since", Kind::Date));
    columns.push(multi("new_membership", "new_topics", "Topics", &INTERESTS));
    columns.extend(ownership("new_membership"));
    let statuses = [(1, "Active", 0), (2, "Inactive", 1)];
    columns.extend(state("new_membership", &["Active", "Inactive"], &statuses));
    columns.extend(truce());
    let table = Table::new(("new_membership", "new_memberships"), "Membership", 10_200, columns);
    Table { primary_name: "new_name".to_owned(), ..table }
        .with_key("new_MemberCodeKey", &["new_member", "new_code"])
        .with_key("new_MembershipTruceKey", &["new_truceid"])
}

/// What consent is given for: a table without change tracking.
fn purpose() -> Table {
    let mut columns = system("msdynmkt_purposeid");
    columns.push(text("msdynmkt_name", "Name", 100));
    let table = Table::new(("msdynmkt_purpose", "msdynmkt_purposes"), "Purpose", 10_101, columns);
    Table { tracking: false, primary_name: "msdynmkt_name".to_owned(), ..table }
}

/// What a person agreed to. `true` forbids, but for the one that allows.
fn consents() -> Vec<Column> {
    let forbids = [
        ("donotemail", "Do not allow Emails"),
        ("donotphone", "Do not allow Phone Calls"),
        ("donotfax", "Do not allow Faxes"),
        ("donotpostalmail", "Do not allow Mails"),
        ("donotbulkemail", "Do not allow Bulk Emails"),
        ("donotbulkpostalmail", "Do not allow Bulk Mails"),
    ];
    let mut columns: Vec<Column> =
        forbids.iter().map(|(name, label)| flag(name, label, DO_NOT, false)).collect();
    // Its label says the opposite of what `true` means.
    columns.push(flag("donotsendmm", "Send Marketing Materials", ["Send", "Do Not Send"], false));
    let allows = ["Do Not Allow", "Allow"];
    columns.push(flag("followemail", "Follow Email Activity", allows, true));
    columns
}

/// What a merge leaves in the one that lost.
fn merging(table: &str) -> Vec<Column> {
    let master =
        lookup("masterid", "Master ID", &[(table, "masterid", &format!("{table}_master_{table}"))]);
    vec![read_only(flag("merged", "Merged", BULK, false)), read_only(master)]
}

fn customer(table: &str) -> Column {
    let targets = [
        ("account", "customerid_account", format!("{table}_customer_accounts")),
        ("contact", "customerid_contact", format!("{table}_customer_contacts")),
    ];
    let targets: Vec<_> =
        targets.iter().map(|(to, nav, name)| (*to, *nav, name.as_str())).collect();
    with_flavour(Flavour::Customer, lookup("customerid", "Customer", &targets))
}

fn with_flavour(flavour: Flavour, column: Column) -> Column {
    let targets: Vec<Target> = column.kind.targets().to_vec();
    Column { kind: Kind::Lookup { flavour, targets }, ..column }
}

#[cfg(test)]
mod tests {
    use super::super::model::ID;
    use super::*;

    #[test]
    fn consent_has_its_polarity() {
        let model = model();
        let contact = model.table(model.by_name("contact").unwrap());
        let label = |name: &str| {
            let column = contact.column(contact.find(name).unwrap());
            let Kind::Bool { labels, default } = &column.kind else { panic!("{name} is a flag") };
            (labels[1], *default)
        };
        assert_eq!(label("donotbulkemail"), ("Do Not Allow", false));
        assert_eq!(label("donotsendmm"), ("Do Not Send", false));
        assert_eq!(label("followemail"), ("Allow", true));
    }

    #[test]
    fn every_table_begins_with_its_id_and_knows_its_name() {
        for table in model().tables {
            assert_eq!(table.column(ID).name, format!("{}id", table.name));
            assert!(table.find(&table.primary_name).is_some(), "{}", table.name);
            assert!(table.keys.iter().all(|key| !key.columns.is_empty()), "{}", table.name);
        }
    }
}
