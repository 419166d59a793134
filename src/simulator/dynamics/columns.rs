//! Columns as the catalogue writes them down.

use super::model::{Choice, Choices, Column, Flavour, Kind, Required, Target, Writable, Zone};

/// Labels of `false` and `true`.
pub(super) const DO_NOT: [&str; 2] = ["Allow", "Do Not Allow"];
pub(super) const BULK: [&str; 2] = ["No", "Yes"];

/// Largest amount of money.
pub(super) const AMOUNT_MAX: i64 = 100_000_000_000_000;

/// The columns that the service keeps in every table, in the order that `model` numbers them.
pub(super) fn system(primary: &str) -> Vec<Column> {
    let instant = || Kind::Instant { zone: Zone::UserLocal, date_format: false };
    let user = |name: &str, label: &str| {
        let table = primary.strip_suffix("id").unwrap_or(primary);
        let relationship = format!("lk_{table}base_{name}");
        read_only(lookup(name, label, &[("systemuser", name, &relationship)]))
    };
    let key =
        Column { required: Required::BySystem, writable: Writable::OnCreate, ..id(primary, "Id") };
    vec![
        key,
        read_only(Column::new("createdon", "Created On", instant())),
        user("createdby", "Created By"),
        read_only(Column::new("modifiedon", "Modified On", instant())),
        user("modifiedby", "Modified By"),
        read_only(Column::new("versionnumber", "Version Number", Kind::BigInt)),
        Column {
            writable: Writable::OnCreate,
            ..Column::new("overriddencreatedon", "Record Created On", instant())
        },
    ]
}

pub(super) fn id(name: &str, label: &str) -> Column {
    Column::new(name, label, Kind::Id)
}

pub(super) fn text(name: &str, label: &str, max: usize) -> Column {
    let format = if name.starts_with("emailaddress") { "Email" } else { "Text" };
    Column::new(name, label, Kind::Text { max, format })
}

pub(super) fn memo(name: &str, label: &str, max: usize) -> Column {
    Column::new(name, label, Kind::Memo { max })
}

pub(super) fn count(name: &str, label: &str, max: i64) -> Column {
    Column::new(name, label, Kind::Int { min: 0, max })
}

pub(super) fn flag(name: &str, label: &str, labels: [&'static str; 2], default: bool) -> Column {
    Column::new(name, label, Kind::Bool { labels, default })
}

/// An amount, and the same in the organisation's currency.
pub(super) fn amount(name: &str, label: &str) -> Vec<Column> {
    let base = format!("{name}_base");
    let label_of_base = format!("{label} (Base)");
    vec![
        Column::new(name, label, Kind::Money { precision: 2, base: false }),
        read_only(Column::new(&base, &label_of_base, Kind::Money { precision: 4, base: true })),
    ]
}

/// Choices numbered from 1.
pub(super) fn choice(
    table: &str,
    name: &str,
    label: &str,
    options: &[&str],
    default: Option<i64>,
) -> Column {
    Column::new(name, label, Kind::Choice(Choices { default, ..numbered(table, name, options) }))
}

pub(super) fn multi(table: &str, name: &str, label: &str, options: &[&str]) -> Column {
    Column::new(name, label, Kind::MultiChoice(numbered(table, name, options)))
}

fn numbered(table: &str, name: &str, options: &[&str]) -> Choices {
    let one = |(value, label): (i64, &&str)| Choice { value, label: (*label).to_owned(), state: 0 };
    Choices {
        name: format!("{table}_{name}"),
        global: false,
        options: (1..).zip(options).map(one).collect(),
        default: None,
    }
}

/// `statecode` and `statuscode`; a status names its number, label and state.
pub(super) fn state(table: &str, states: &[&str], statuses: &[(i64, &str, i64)]) -> Vec<Column> {
    let mut choices = numbered(table, "statecode", states);
    for option in &mut choices.options {
        option.value -= 1;
    }
    choices.default = Some(0);
    let mut kept = numbered(table, "statuscode", &[]);
    let one = |(value, label, state): &(i64, &str, i64)| Choice {
        value: *value,
        label: (*label).to_owned(),
        state: *state,
    };
    kept.options = statuses.iter().map(one).collect();
    let of_state = Column::new("statecode", "Status", Kind::State(choices));
    let reason = Column::new("statuscode", "Status Reason", Kind::Status(kept));
    vec![Column { required: Required::BySystem, ..of_state }, reason]
}

/// A lookup: each target's table, navigation and relationship.
pub(super) fn lookup(name: &str, label: &str, targets: &[(&str, &str, &str)]) -> Column {
    let target = |(table, navigation, relationship): &(&str, &str, &str)| Target {
        table: (*table).to_owned(),
        navigation: (*navigation).to_owned(),
        relationship: (*relationship).to_owned(),
    };
    let targets = targets.iter().map(target).collect();
    Column::new(name, label, Kind::Lookup { flavour: Flavour::Lookup, targets })
}

/// The owner, and the currency of amounts.
pub(super) fn ownership(table: &str) -> Vec<Column> {
    let owner = lookup(
        "ownerid",
        "Owner",
        &[
            ("systemuser", "ownerid", &format!("owner_{table}s")),
            ("team", "ownerid", &format!("team_{table}")),
        ],
    );
    let targets = owner.kind.targets().to_vec();
    let owner = Column {
        kind: Kind::Lookup { flavour: Flavour::Owner, targets },
        required: Required::BySystem,
        ..owner
    };
    let currency = format!("transactioncurrency_{table}");
    vec![
        owner,
        lookup(
            "transactioncurrencyid",
            "Currency",
            &[("transactioncurrency", "transactioncurrencyid", &currency)],
        ),
        read_only(Column::new("exchangerate", "Exchange Rate", Kind::Decimal { precision: 10 })),
    ]
}

/// The parts of a name, and the whole of it.
pub(super) fn person(parts: &[(&str, usize)]) -> Vec<Column> {
    let label = |name: &str| match name {
        "firstname" => "First Name",
        "middlename" => "Middle Name",
        _ => "Last Name",
    };
    let mut columns: Vec<Column> =
        parts.iter().map(|(name, max)| text(name, label(name), *max)).collect();
    if let Some(last) = columns.last_mut() {
        last.required = Required::ByForms;
    }
    columns.push(read_only(text("fullname", "Full Name", 160)));
    columns
}

pub(super) fn phones(max: usize) -> Vec<Column> {
    let mut columns: Vec<Column> = (1..=3)
        .flat_map(|number| {
            [
                text(&format!("emailaddress{number}"), &format!("Email Address {number}"), 100),
                text(&format!("telephone{number}"), &format!("Telephone {number}"), max),
            ]
        })
        .collect();
    columns.push(text("fax", "Fax", 50));
    columns.push(text("websiteurl", "Web Site", 200));
    columns
}

pub(super) fn address() -> Vec<Column> {
    let parts = [
        ("line1", "Street 1", 250),
        ("line2", "Street 2", 250),
        ("line3", "Street 3", 250),
        ("city", "City", 80),
        ("stateorprovince", "State/Province", 50),
        ("postalcode", "ZIP/Postal Code", 20),
        ("country", "Country/Region", 80),
    ];
    let mut columns: Vec<Column> = parts
        .iter()
        .map(|(name, label, max)| {
            text(&format!("address1_{name}"), &format!("Address 1: {label}"), *max)
        })
        .collect();
    columns.push(read_only(memo("address1_composite", "Address 1", 1000)));
    columns
}

/// The key by which an integration finds its records again, and its stamp.
pub(super) fn truce() -> Vec<Column> {
    vec![text("new_truceid", "Truce Id", 100), text("new_trucestamp", "Truce Stamp", 100)]
}

/// The service keeps it and always has a value.
pub(super) fn read_only(column: Column) -> Column {
    Column { writable: Writable::Never, ..column }
}
