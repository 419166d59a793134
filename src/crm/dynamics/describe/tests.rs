use super::*;
use crate::crm::wanted::Rights;

fn option(value: i64) -> DescribedOption {
    DescribedOption { value, state: None, status: None }
}

fn column(name: &str, kind: &str) -> DescribedColumn {
    let (create, update, read) = (true, true, true);
    DescribedColumn {
        name: name.to_owned(),
        kind: kind.to_owned(),
        create,
        update,
        read,
        ..DescribedColumn::default()
    }
}

fn contact() -> Described {
    let text =
        |name: &str, length| DescribedColumn { length: Some(length), ..column(name, "StringType") };
    let money = DescribedColumn {
        precision: Some(2),
        max: Some("100000000000000".to_owned()),
        ..column("creditlimit", "MoneyType")
    };
    let date = |name: &str, behaviour: &str, date_only_format| DescribedColumn {
        behaviour: Some(behaviour.to_owned()),
        date_only_format,
        ..column(name, "DateTimeType")
    };
    let secret = DescribedColumn { secured: true, ..text("new_secret", 100) };
    let state = DescribedColumn {
        options: vec![
            DescribedOption { status: Some(1), ..option(0) },
            DescribedOption { status: Some(2), ..option(1) },
        ],
        ..column("statecode", "StateType")
    };
    let status = DescribedColumn {
        options: vec![
            DescribedOption { state: Some(0), ..option(1) },
            DescribedOption { state: Some(1), ..option(2) },
        ],
        ..column("statuscode", "StatusType")
    };
    let choice = DescribedColumn {
        options: (1..=5).map(option).collect(),
        ..column("preferredcontactmethodcode", "PicklistType")
    };
    Described {
        name: "contact".to_owned(),
        set: "contacts".to_owned(),
        id: "contactid".to_owned(),
        tracked: true,
        versions: true,
        columns: vec![
            text("lastname", 50),
            text("new_truceid", 100),
            text("new_trucestamp", 100),
            secret,
            money,
            state,
            status,
            choice,
            date("birthdate", "DateOnly", true),
            date("lastused", "UserLocal", true),
            date("new_day", "TimeZoneIndependent", true),
            date("new_lastvisit", "TimeZoneIndependent", false),
        ],
        keys: vec![Key {
            name: "new_trucekey".to_owned(),
            columns: vec!["new_truceid".to_owned()],
            status: "Active".to_owned(),
        }],
        navigations: Vec::new(),
    }
}

fn wanted() -> Wanted<'static> {
    let rights = Rights { query: true, create: true, update: true, delete: true };
    Wanted { external_id: Some("new_truceid"), stamp: Some("new_trucestamp"), rights }
}

fn problems(change: impl FnOnce(&mut Described)) -> Vec<String> {
    let mut contact = contact();
    change(&mut contact);
    contact.table().problems(&wanted())
}

fn check(change: impl FnOnce(&mut Described), words: &str) {
    let problems = problems(change);
    assert!(problems.len() == 1 && problems[0].contains(words), "{problems:?}");
}

#[test]
fn each_obstacle_has_its_own_line_with_what_mends_it() {
    assert_eq!(problems(|_| ()), Vec::<String>::new());
    check(|contact| contact.tracked = false, "switches on \"Track changes\"");
    check(|contact| contact.versions = false, "IsOptimisticConcurrencyEnabled");
    check(
        |contact| contact.keys[0].status = "Pending".to_owned(),
        "is Pending, and only an active",
    );
    check(|contact| contact.keys[0].status = "Failed".to_owned(), "reactivate it");
    check(|contact| contact.keys.clear(), "is no alternate key");
    check(|contact| contact.keys[0].columns.push("lastname".to_owned()), "is no alternate key");
    check(|contact| contact.columns[2].length = Some(20), "holds 20 characters");
    check(|contact| contact.columns[1].name = "other".to_owned(), "no column `new_truceid`");
}

#[test]
fn a_column_with_column_security_is_refused_and_looks_as_if_it_were_not_there() {
    let table = contact().table();
    assert!(table.unreadable("new_secret").unwrap().contains("secured_columns"));
    assert_eq!(table.unreadable("lastname"), None);
    assert!(Looks::column(&table, "new_secret").is_none());
    assert!(Looks::missing(&table, "new_secret").contains("column security"));
}

#[test]
fn types_are_what_they_hold() {
    let table = contact().table();
    let kind = |name: &str| table.column(name).unwrap().kind.clone();
    assert_eq!(kind("lastname"), Kind::Text { max: Some(50), case: Case::Kept, only: None });
    assert_eq!(kind("creditlimit"), Kind::Decimal { whole: 13, scale: 2 });
    assert_eq!(kind("birthdate"), Kind::Date);
    assert_eq!(kind("lastused"), Kind::Instant, "a format is not a behaviour");
    assert_eq!(kind("new_day"), Kind::Date);
    assert_eq!(table.wires["new_day"], Wire::DateAsInstant);
    assert_eq!(kind("new_lastvisit"), Kind::Instant);
    assert_eq!(kind("preferredcontactmethodcode"), Kind::Int { min: 1, max: 5 });
    assert_eq!(table.column("LastName").unwrap().name, "lastname".into());
}

#[test]
fn a_choice_beside_a_text_is_its_number_as_text() {
    let table = contact().table();
    let text = Kind::Text { max: Some(40), case: Case::Kept, only: None };
    let column = table.column_beside("preferredcontactmethodcode", Some(&text)).unwrap();
    let Kind::Text { only: Some(only), .. } = &column.kind else { panic!("{column:?}") };
    assert_eq!(only.len(), 5);
    let now = table.column_now(&column).unwrap();
    assert_eq!(*now, column, "and is still, when it is looked at again");
    let whole = Kind::Int { min: 0, max: 9 };
    let column = table.column_beside("preferredcontactmethodcode", Some(&whole)).unwrap();
    assert_eq!(column.kind, Kind::Int { min: 1, max: 5 });
}

#[test]
fn a_status_knows_its_state_and_a_state_its_usual_status() {
    let states = contact().table().states;
    assert_eq!(states.default_status, BTreeMap::from([(0, 1), (1, 2)]));
    assert_eq!(states.state_of, BTreeMap::from([(1, 0), (2, 1)]));
}

#[test]
fn a_description_is_kept_and_read_again() {
    let kept = serde_json::to_value(contact()).unwrap();
    assert_eq!(serde_json::from_value::<Described>(kept).unwrap(), contact());
}
