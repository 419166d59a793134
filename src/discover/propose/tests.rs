//! What is proposed for an organisation with people, firms and an object of its own.

use super::*;
use crate::discover::object::{Choice, Crm, Field, Found};
use crate::discover::{config_text, schema, sql};
use crate::reconcile::mapping::{Column, Kind};
use crate::reconcile::shape::Case;

pub(crate) fn text(max: usize) -> Kind {
    Kind::Text { max: Some(max), case: Case::Kept, only: None }
}

pub(crate) fn field(name: &str, kind: Kind) -> Field {
    Field {
        column: Column {
            name: name.into(),
            type_name: "string".into(),
            kind: kind.clone(),
            nullable: true,
            required: false,
            unique: false,
            creatable: true,
            updatable: true,
        },
        beside_text: kind,
        label: name.replace("__c", "").replace('_', " "),
        custom: name.ends_with("__c"),
        choices: Vec::new(),
        aside: None,
        filterable: true,
    }
}

pub(crate) fn object(name: &str, fields: Vec<Field>) -> Object {
    let label = name.replace("__c", "");
    Object {
        name: name.into(),
        plural: format!("{label}s"),
        label,
        custom: name.ends_with("__c"),
        count: Some(3),
        fields,
        external_id: Found::Fit("Truce_Id__c".into()),
        stamp: Found::Nothing,
        no_create: None,
        no_update: None,
    }
}

pub(crate) fn account() -> Account {
    Account { name: "sales".to_owned(), crm: Crm::Salesforce }
}

fn column(name: &str, kind: Kind) -> Column {
    let nullable = !matches!(kind, Kind::Int { .. } | Kind::Decimal { .. });
    Column { nullable, ..field(name, kind).column }
}

fn short() -> Kind {
    Kind::Int { min: -32_768, max: 32_767 }
}

pub(crate) fn tables() -> Vec<Table> {
    let recipients = [
        ("irecipientid", short()),
        ("semail", text(128)),
        ("sfirstname", text(30)),
        ("slastname", text(50)),
        ("iblacklistemail", short()),
        ("iblacklist", short()),
        ("iblacklistphone", short()),
        ("ifolderid", short()),
        ("iaccountid", short()),
        ("tsbirth", Kind::Date),
        ("sphone", text(32)),
        ("smobilephone", text(32)),
    ];
    let accounts =
        [("iaccountid", short()), ("sname", text(160)), ("dscore", DOUBLE), ("sphone", text(40))];
    let table = |name: &str, key: &str, columns: &[(&str, Kind)]| Table {
        name: name.into(),
        key: key.into(),
        columns: columns.iter().map(|(name, kind)| column(name, kind.clone())).collect(),
        folder: (name == "nmsrecipient").then_some(1182),
    };
    vec![
        table("nmsrecipient", "irecipientid", &recipients),
        table("cusaccount", "iaccountid", &accounts),
    ]
}

const DOUBLE: Kind = Kind::Decimal { whole: 15, scale: 6 };

pub(crate) fn objects() -> Vec<Object> {
    let lookup = |name: &str, to: &[&str]| {
        field(name, Kind::Reference(to.iter().map(|to| (*to).into()).collect()))
    };
    let mut last_name = field("LastName", text(80));
    last_name.column.required = true;
    let mut created = field("CreatedDate", Kind::Instant);
    created.aside = Some("Salesforce itself keeps it".to_owned());
    let mut full_name = field("Name", text(121));
    full_name.column.updatable = false;
    let contact = object(
        "Contact",
        vec![
            lookup("AccountId", &["Account"]),
            field("Birthdate", Kind::Date),
            created,
            field("DoNotCall", Kind::Bool),
            field("Email", text(80)),
            field("FirstName", text(40)),
            field("HasOptedOutOfEmail", Kind::Bool),
            last_name,
            full_name,
            field("OtherPhone", text(40)),
            field("Phone", text(40)),
            field("Truce_Id__c", text(80)),
            lookup("WhoId", &["Contact", "Lead"]),
        ],
    );
    let account = object(
        "Account",
        vec![
            field("Name", text(255)),
            field("Phone", text(40)),
            lookup("Primary__c", &["Contact"]),
            field("Score__c", Kind::Decimal { whole: 8, scale: 2 }),
            field("Truce_Id__c", text(80)),
        ],
    );
    let mut stage = field("Stage__c", text(40));
    stage.choices = ["Open", "Won \"big\""]
        .map(|value| Choice { value: value.to_owned(), label: value.to_owned(), active: true })
        .into();
    let mut number = field("Number__c", text(20));
    number.column.unique = true;
    let project = object(
        "Project__c",
        vec![
            lookup("Account__c", &["Account"]),
            field("Budget__c", Kind::Decimal { whole: 16, scale: 2 }),
            field("Due__c", Kind::Date),
            field("Name", text(80)),
            field("Notes__c", text(32_000)),
            number,
            field("OptOut__c", Kind::Bool),
            lookup("Owner__c", &["Contact"]),
            lookup("Parent__c", &["Project__c"]),
            lookup("Second__c", &["Account"]),
            stage,
            field("Tags__c", Kind::Set { max: Some(4_099), only: None }),
            field("Truce_Id__c", text(80)),
            field("Where__c", Kind::Other),
        ],
    );
    vec![contact, account, project]
}

pub(crate) fn world(tables: &[Table]) -> World<'_> {
    World { tables, mappings: &[], schemas: &[], earlier: None, namespace: "acme", extend: false }
}

fn of<'a>(drafts: &'a [Draft], object: &str) -> &'a Draft {
    drafts.iter().find(|draft| &*draft.object == object).unwrap()
}

fn pair<'a>(draft: &'a Draft, crm: &str) -> Option<&'a Mapped> {
    draft.fields.iter().find(|field| field.crm.iter().any(|name| name == crm))
}

fn why<'a>(draft: &'a Draft, crm: &str) -> &'a str {
    &draft.notes.iter().find(|note| note.field == crm).unwrap().why
}

#[test]
fn what_is_proposed_reads_well_and_can_be_made() {
    let (tables, objects) = (tables(), objects());
    let drafts = propose(&account(), &objects, &world(&tables));
    insta::assert_snapshot!("config", config_text::written("", &account(), &drafts).unwrap());
    let own = of(&drafts, "Project__c").schema.as_ref().unwrap();
    insta::assert_snapshot!("schema", own.document());
    insta::assert_snapshot!("sql", sql::script("public", &sql::statements(own, None), "Why."));
    let view = view::schema(&account(), &objects, None);
    insta::assert_snapshot!("view", view.document());
    for one in [own, &view] {
        assert_eq!(schema::problems(one), Vec::<String>::new());
        assert_eq!(Schema::parse(&one.document()).as_ref(), Ok(one));
    }
    assert_eq!(view.full_name(), "sfdc:sfdcSchemasales");
    assert!(sql::statements(&view, None).is_empty(), "no table is made of a view");
}

#[test]
fn an_object_gets_the_table_that_is_its_own_by_name_and_columns() {
    let (tables, objects) = (tables(), objects());
    let drafts = propose(&account(), &objects, &world(&tables));
    let table = |object: &str| of(&drafts, object).table.0.clone();
    assert_eq!(
        [table("Contact"), table("Account"), table("Project__c")],
        ["nmsrecipient", "cusaccount", "acmeproject"]
    );
    // A table that another mapping has is not taken twice.
    let taken = [Existing {
        label: "others".to_owned(),
        crm: "other".to_owned(),
        table: "nmsrecipient".to_owned(),
        ..Existing::default()
    }];
    let world = World { mappings: &taken, ..world(&tables) };
    assert_eq!(of(&propose(&account(), &objects, &world), "Contact").table.0, "acmecontact");
}

#[test]
fn fields_find_their_columns_each_with_a_reason() {
    let (tables, objects) = (tables(), objects());
    let drafts = propose(&account(), &objects, &world(&tables));
    let contact = of(&drafts, "Contact");
    let found = |crm: &str| pair(contact, crm).map(|field| (&*field.campaign[0], field.confidence));
    assert_eq!(found("Email"), Some(("semail", Confidence::Certain)));
    assert_eq!(found("Phone"), Some(("sphone", Confidence::Certain)));
    assert_eq!(found("OtherPhone"), None, "one column stands for one field");
    let consent = pair(contact, "HasOptedOutOfEmail").unwrap();
    assert!(consent.consent && consent.campaign == ["iblacklistemail", "iblacklist"]);
    assert_eq!(pair(contact, "AccountId").unwrap().references.as_deref(), Some("accounts"));
    assert!(why(contact, "WhoId").contains("several objects"));
    assert!(why(contact, "Name").contains("read-only"));
    assert!(why(contact, "CreatedDate").contains("itself keeps it"));
    assert_eq!(contact.settings.match_on, ["email"]);
    assert_eq!(contact.settings.create, (true, true));
    let accounts = of(&drafts, "Account");
    let score = pair(accounts, "Score__c").unwrap();
    assert!(score.zero_is_null && score.why.contains("0 is no value"), "{score:?}");
    assert_eq!(pair(accounts, "Name").unwrap().confidence, Confidence::Likely);
    let circle = why(accounts, "Primary__c");
    assert!(circle.contains("no order creates both"), "{circle}");
}

#[test]
fn a_new_table_has_a_column_for_all_that_one_can_hold() {
    let (tables, objects) = (tables(), objects());
    let drafts = propose(&account(), &objects, &world(&tables));
    let project = of(&drafts, "Project__c");
    let column = |crm: &str| pair(project, crm).map(|field| field.campaign[0].clone());
    let is = |crm: &str, name: &str| assert_eq!(column(crm).as_deref(), Some(name), "{crm}");
    is("Budget__c", "dbudget");
    is("Notes__c", "mnotes");
    is("Tags__c", "mtags");
    is("Owner__c", "irecipientid");
    is("Parent__c", "iparentid");
    assert!(why(project, "Where__c").contains("no column of Campaign's holds"));
    assert_eq!(project.settings.match_on, ["number"]);
    let live = sql::columns(project.schema.as_ref().unwrap());
    let all = project.fields.iter().flat_map(|field| &field.campaign);
    all.for_each(|column| assert!(live.contains(column), "{column} is made by no schema"));
}

#[test]
fn recipients_get_columns_only_where_somebody_wants_that() {
    let (tables, objects) = (tables(), objects());
    let plain = propose(&account(), &objects, &world(&tables));
    assert!(why(of(&plain, "Contact"), "OtherPhone").contains("--extend"), "{plain:?}");
    let extended = World { extend: true, ..world(&tables) };
    let drafts = propose(&account(), &objects, &extended);
    let contact = of(&drafts, "Contact");
    assert_eq!(pair(contact, "OtherPhone").unwrap().campaign, ["sotherphone"]);
    let schema = contact.schema.as_ref().unwrap();
    assert_eq!(schema.extends.as_deref(), Some("nms:recipient"));
    let live = tables[0].columns.iter().map(|column| column.name.to_string()).collect();
    let statements = sql::statements(schema, Some(&live));
    assert_eq!(statements, ["alter table NmsRecipient add column sOtherPhone varchar(40)"]);
}

#[test]
fn an_object_that_may_not_be_written_is_only_read() {
    let mut project = objects().remove(2);
    project.no_update = Some("the user lacks Edit".to_owned());
    project.no_create = Some("the user lacks Create".to_owned());
    let drafts = propose(&account(), &[project], &world(&[]));
    let settings = &drafts[0].settings;
    assert!(settings.to_campaign && settings.create == (true, false), "{settings:?}");
    let text = config_text::written("", &account(), &drafts).unwrap();
    assert!(text.contains("direction = \"to_campaign\"") && text.contains("lacks Edit"), "{text}");
}

#[test]
fn an_extension_grows_by_each_object_whose_records_are_recipients() {
    let (tables, objects) = (tables(), objects());
    let mapping = |label: &str, object: &str| Existing {
        label: label.to_owned(),
        crm: "sales".to_owned(),
        object: object.to_owned(),
        table: "nmsrecipient".to_owned(),
        ..Existing::default()
    };
    let mappings = [mapping("contacts", "Contact"), mapping("leads", "Lead")];
    let lead = object("Lead", vec![field("OtherPhone", text(40)), field("Rating", text(9))]);
    let seen = [objects[0].clone(), lead];
    let blank = |object: &Object| Object { fields: Vec::new(), ..object.clone() };
    let earlier = view::schema(&account(), &seen.each_ref().map(blank), None);
    let world =
        World { mappings: &mappings, earlier: Some(&earlier), extend: true, ..world(&tables) };
    let drafts = propose(&account(), &seen, &world);
    let last = drafts.last().unwrap().schema.as_ref().unwrap();
    let names: Vec<&str> = last.element.attributes.iter().map(|one| &*one.name).collect();
    assert_eq!(names, ["otherPhone", "otherPhone2", "rating"]);
}
