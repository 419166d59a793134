//! The config file of the stage: what the agent is told of all sides.

use std::path::Path;

use super::super::database_campaign::CampaignDatabase;
use super::office::{Office, Roster};

/// What differs between one stage and another.
#[derive(Clone, Debug)]
pub struct Mappings {
    /// What a deleted contact or recipient does.
    pub delete_contacts: &'static str,
    /// How often a CRM is asked for changes, in seconds.
    pub poll_seconds: f64,
}

impl Default for Mappings {
    fn default() -> Self {
        Self { delete_contacts: "propagate", poll_seconds: 0.5 }
    }
}

/// Writes it.
pub(super) fn config(
    campaign: &CampaignDatabase,
    (offices, roster): (&[Office], &Roster),
    port: u16,
    mappings: &Mappings,
) -> String {
    let (server, database) = (campaign.truce.port(), campaign.truce.database());
    let mut text = format!(
        r#"# Written for a private server and simulated CRMs on this machine.

[campaign]
url = "postgresql://truce@127.0.0.1:{server}/{database}?sslmode=disable"
password_file = "password"
instance = "stage"
save_seconds = 1

[agent]
listen = "127.0.0.1:{port}"
log_format = "text"
"#,
    );
    for (at, office) in offices.iter().enumerate() {
        text.push_str(&account(office, mappings.poll_seconds));
        text.push_str(&accounts(office, (roster, at)));
        text.push_str(&contacts(office, (roster, at), mappings.delete_contacts));
    }
    text
}

fn account(office: &Office, poll_seconds: f64) -> String {
    let (kind, access) = (office.kind.word(), office.running.access());
    let tenant = access.tenant.map(|tenant| format!("tenant = \"{tenant}\"\n"));
    format!(
        r#"
[crm.{kind}]
kind = "{kind}"
url = "{}"
token_url = "{}"
ca_file = "{kind}.pem"
{}client_id = "{}"
client_secret_file = "{kind}_secret"
poll_seconds = {poll_seconds}
poll_idle_seconds = {poll_seconds}
# The simulator shows a change at once, and ends calls within seconds.
late_commit_seconds = 2
write_time_limit_seconds = 5
retry_seconds_max = 2
requests_per_second = 200
"#,
        access.base_url,
        access.token_url,
        tenant.unwrap_or_default(),
        access.client_id,
    )
}

/// The accounts are the first CRM's; a further one takes what Campaign holds of them.
fn accounts(office: &Office, (roster, at): (&Roster, usize)) -> String {
    let head = head(office, (roster, at), ["accounts", "cusaccount", "icusaccountid", "Account"]);
    let term = |said| office.terms().field("Account", said);
    let ways = if at == 0 {
        "conflict = \"crm\"\npairing = \"crm\"\ncreate = [\"campaign\", \"crm\"]"
    } else {
        "direction = \"to_crm\"\ncreate = [\"crm\"]"
    };
    format!(
        r#"{head}match_on = ["name"]
{ways}
# An account holds others together: a person decides.
delete = "hold"

[mapping.{}.fields]
name = {{ campaign = "sname", crm = "{}" }}
city = {{ campaign = "scity", crm = "{}" }}
phone = {{ campaign = "sphone", crm = "{}" }}
"#,
        roster.mapping(at, "accounts"),
        term("Name"),
        term("BillingCity"),
        term("Phone"),
    )
}

/// The fields of people: in the config, in Campaign, in the CRM, and whom a conflict goes to.
const FIELDS: [(&str, &str, &str, &str); 10] = [
    ("email", "semail", "Email", "crm"),
    ("first_name", "sfirstname", "FirstName", ""),
    ("last_name", "slastname", "LastName", ""),
    ("phone", "sphone", "Phone", ""),
    ("mobile", "smobilephone", "MobilePhone", "crm"),
    ("title", "stext1", "Title", "campaign"),
    ("city", "scity", "MailingCity", ""),
    ("birth_date", "tsbirth", "Birthdate", ""),
    ("source", "sorigin", "LeadSource", ""),
    ("account", "iaccountid", "AccountId", ""),
];

fn contacts(office: &Office, (roster, at): (&Roster, usize), delete: &str) -> String {
    let head = head(office, (roster, at), ["contacts", "nmsrecipient", "irecipientid", "Contact"]);
    let create = if at == 0 { r#""campaign", "crm""# } else { r#""crm""# };
    let mapping = roster.mapping(at, "contacts");
    let term = |said| office.terms().field("Contact", said);
    let fields = FIELDS.map(|(name, column, said, conflict)| {
        let conflict = match conflict {
            _ if roster.says(said) != at => r#", direction = "to_crm""#.to_owned(),
            "" => String::new(),
            winner => format!(", conflict = \"{winner}\""),
        };
        let references = match said {
            "AccountId" => format!(", references = \"{}\"", roster.mapping(at, "accounts")),
            _ => String::new(),
        };
        let field = term(said);
        format!(
            r#"{name} = {{ campaign = "{column}", crm = "{field}"{conflict}{references} }}
"#
        )
    });
    format!(
        r#"{head}match_on = ["email"]
conflict = "newest"
fallback = "crm"
pairing = "fill_blank"
create = [{create}]
delete = "{delete}"
delete_conflict = "update_wins"

[mapping.{mapping}.create_with]
campaign = {{ ifolderid = 1182 }}
crm = {{ {} = "unknown" }}

[mapping.{mapping}.fields]
{}# Campaign's iblacklist is its flag for every channel.
opted_out = {{ campaign = ["iblacklistemail", "iblacklist"], crm = "{}", conflict = "most_restrictive" }}
"#,
        term("LastName"),
        fields.concat(),
        term("HasOptedOutOfEmail"),
    )
}

fn head(office: &Office, (roster, at): (&Roster, usize), names: [&str; 4]) -> String {
    let [of, table, key, object] = names;
    let [external_id, stamp] = office.terms().own_fields;
    format!(
        r#"
[mapping.{}]
crm = "{}"
table = "{table}"
key = "{key}"
object = "{}"
external_id = "{external_id}"
stamp = "{stamp}"
"#,
        roster.mapping(at, of),
        office.kind.word(),
        office.terms().thing(object),
    )
}

/// What the config refers to, beside it.
pub(super) fn secrets(password: &str, offices: &[Office]) -> Vec<(String, String)> {
    let mut all = vec![("password".to_owned(), password.to_owned())];
    for office in offices {
        let (kind, access) = (office.kind.word(), office.running.access());
        all.push((format!("{kind}_secret"), access.client_secret.to_owned()));
        all.push((format!("{kind}.pem"), access.ca_pem.to_owned()));
    }
    all
}

/// Where the config is.
pub(super) fn path(directory: &Path) -> std::path::PathBuf {
    directory.join("truce.toml")
}
