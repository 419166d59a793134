//! What differs between the CRMs that the cases are played in: what each calls things, and how its
//! simulator is told what a person does, or what goes wrong.

use serde_json::Value as Json;

use crate::cli_world::World;

/// A simulated CRM, and what it calls things. The cases speak the language of the mappings, whose
/// fields are the same for each.
pub(crate) trait Crm: Sized {
    /// How an order names the table that it is about.
    const TABLE: &'static str;
    /// The table of people, and that of firms.
    const PERSON: &'static str;
    const FIRM: &'static str;
    /// Where a record has its id, its external id, its stamp.
    const KEYS: [&'static str; 3];
    /// The fields of people, as the mappings and as the CRM call them.
    const FIELDS: [(&'static str, &'static str); 6];
    /// What says that a person is opted out: what the mapping lists, in TOML, and the one of them
    /// that an edit and an opt-out of ours set.
    const CONSENT: (&'static str, &'static str);
    /// The account of a person, and the name of a firm, as they are read.
    const ACCOUNT: (&'static str, &'static str);
    const FIRM_NAME: &'static str;
    /// What new people are given beside what is mapped, in TOML.
    const CONSTANTS: &'static str;
    /// What every write changes by itself.
    const BY_ITSELF: &'static [&'static str];

    /// Whether a write names the version of the record that it is for.
    const GUARDED: bool;

    async fn start(world: &World) -> Self;

    /// The account `sales` of the config.
    fn account(&self, world: &World) -> String;

    /// Where its simulator takes orders.
    fn control<'a>(&'a self, world: &'a World) -> &'a str;

    /// Which requests write, for an order that is about them.
    fn writes() -> Json;

    /// The order that merges the second person into the first.
    fn merge(winner: &str, loser: &str) -> Json;

    /// The order that has a record refused for what it says, until faults are forgotten.
    fn refusal(key: &str) -> Json;

    /// What a change made of a field.
    fn new_value(values: &Json) -> &Json;

    /// Whether a record is that of a person, and whether they are opted out.
    fn is_here(record: &Json) -> bool;
    fn is_out(record: &Json) -> bool;

    /// From now on nobody sees what people do, until they may again.
    async fn hide(control: &Control);
    async fn show(control: &Control);

    /// Fields as the CRM calls them.
    fn told(fields: &Json) -> Json {
        let fields = fields.as_object().unwrap();
        let name = |field: &String| Self::name(field).to_owned();
        Json::Object(fields.iter().map(|(field, value)| (name(field), value.clone())).collect())
    }

    /// The CRM's name of a field.
    fn name(field: &str) -> &'static str {
        if field == "opted_out" {
            return Self::CONSENT.1;
        }
        if field == "account" {
            return Self::ACCOUNT.1;
        }
        Self::FIELDS.iter().find(|(ours, _)| *ours == field).unwrap().1
    }

    /// The mappings' name of one of the CRM's, where it is mapped.
    fn field(name: &str) -> &str {
        if name == Self::CONSENT.1 {
            return "opted_out";
        }
        Self::FIELDS.iter().find(|(_, theirs)| *theirs == name).map_or(name, |(ours, _)| ours)
    }
}

/// The control address of a simulator.
pub(crate) struct Control {
    http: reqwest::Client,
    url: String,
}

impl Control {
    pub(crate) fn of(url: &str) -> Self {
        Self { http: reqwest::Client::new(), url: url.to_owned() }
    }

    /// Gives an order.
    pub(crate) async fn order(&self, route: &str, order: Json) -> Json {
        let request = self.http.post(format!("{}/{route}", self.url)).json(&order);
        self.answer(route, request).await
    }

    pub(crate) async fn look(&self, route: &str) -> Json {
        self.answer(route, self.http.get(format!("{}/{route}", self.url))).await
    }

    /// Takes back what was ordered to fail.
    pub(crate) async fn forget_faults(&self) {
        self.answer("faults", self.http.delete(format!("{}/faults", self.url))).await;
    }

    async fn answer(&self, route: &str, request: reqwest::RequestBuilder) -> Json {
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{route}: {text}");
        serde_json::from_str(&text).unwrap()
    }
}

/// An order with the keys of another.
pub(crate) fn with(order: Json, more: Json) -> Json {
    let (Json::Object(mut order), Json::Object(more)) = (order, more) else {
        panic!("orders are objects")
    };
    order.extend(more);
    Json::Object(order)
}

/// The mappings of the cases: people, with what they are matched by and what they are refused.
pub(crate) fn people<C: Crm>() -> String {
    let [_, external_id, stamp] = C::KEYS;
    let columns = [
        ("email", "semail", ""),
        ("first_name", "sfirstname", ""),
        ("last_name", "slastname", ""),
        ("phone", "sphone", ""),
        ("note", "mdata", ", direction = \"to_crm\""),
        ("member", "smember", ""),
    ];
    let field = |(field, column, more): (&str, &str, &str)| {
        let name = C::name(field);
        format!("{field} = {{ campaign = \"{column}\", crm = \"{name}\"{more} }}\n")
    };
    let fields: String = columns.into_iter().map(field).collect();
    format!(
        r#"
[mapping.contacts]
crm = "sales"
table = "nmsrecipient"
key = "irecipientid"
object = "{person}"
external_id = "{external_id}"
stamp = "{stamp}"
match_on = ["email"]
conflict = "crm"
pairing = "crm"
create = ["campaign", "crm"]

[mapping.contacts.create_with]
campaign = {{ ifolderid = 1182 }}
{constants}
[mapping.contacts.fields]
opted_out = {{ campaign = ["iblacklistemail", "iblacklist"], crm = {consent}, conflict = "most_restrictive" }}
{fields}"#,
        person = C::PERSON,
        constants = C::CONSTANTS,
        consent = C::CONSENT.0,
    )
}

/// A field of people that refers to firms, and the mapping of these.
pub(crate) fn firms<C: Crm>() -> String {
    let [_, external_id, stamp] = C::KEYS;
    format!(
        r#"account = {{ campaign = "iaccountid", crm = "{account}", references = "accounts" }}

[mapping.accounts]
crm = "sales"
table = "cusaccount"
key = "icusaccountid"
object = "{firm}"
external_id = "{external_id}"
stamp = "{stamp}"
match_on = ["name"]
create = ["campaign", "crm"]

[mapping.accounts.fields]
name = {{ campaign = "sname", crm = "{name}" }}
"#,
        account = C::ACCOUNT.0,
        firm = C::FIRM,
        name = C::FIRM_NAME,
    )
}
