//! The config file of the stage: what the agent is told of both sides.

use std::fmt::Write as _;
use std::path::Path;

use super::super::database_campaign::CampaignDatabase;
use super::super::salesforce::Running;

/// What differs between one stage and another.
#[derive(Clone, Debug)]
pub struct Mappings {
    /// What a deleted contact or recipient does.
    pub delete_contacts: &'static str,
    /// How often the CRM is asked for changes, in seconds.
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
    crm: &Running,
    port: u16,
    mappings: &Mappings,
) -> String {
    let mut text = String::from(
        "# Written for a private server and a simulated CRM on this machine.\n\n[campaign]\n",
    );
    let database = (campaign.truce.port(), campaign.truce.database());
    let (base, token, client) = (&crm.base_url, &crm.token_url, &crm.client_id);
    let Mappings { delete_contacts, poll_seconds } = mappings;
    write!(
        text,
        r#"url = "postgresql://truce@127.0.0.1:{}/{}?sslmode=disable"
password_file = "password"
instance = "stage"
save_seconds = 1

[agent]
listen = "127.0.0.1:{port}"
log_format = "text"

[crm.sales]
kind = "salesforce"
url = "{base}"
token_url = "{token}"
ca_file = "ca.pem"
client_id = "{client}"
client_secret_file = "client_secret"
poll_seconds = {poll_seconds}
poll_idle_seconds = {poll_seconds}
# The simulated organisation shows a change at once, and ends calls within seconds.
late_commit_seconds = 2
write_time_limit_seconds = 5
retry_seconds_max = 2
requests_per_second = 200

"#,
        database.0, database.1
    )
    .expect("a text takes what is written to it");
    text.push_str(&FIELDS.replace("DELETE_CONTACTS", delete_contacts));
    text
}

const FIELDS: &str = r#"[mapping.accounts]
crm = "sales"
table = "cusaccount"
key = "icusaccountid"
object = "Account"
external_id = "Truce_Id__c"
stamp = "Truce_Stamp__c"
match_on = ["name"]
conflict = "crm"
pairing = "crm"
create = ["campaign", "crm"]
# An account holds others together: a person decides.
delete = "hold"

[mapping.accounts.fields]
name = { campaign = "sname", crm = "Name" }
city = { campaign = "scity", crm = "BillingCity" }
phone = { campaign = "sphone", crm = "Phone" }

[mapping.contacts]
crm = "sales"
table = "nmsrecipient"
key = "irecipientid"
object = "Contact"
external_id = "Truce_Id__c"
stamp = "Truce_Stamp__c"
match_on = ["email"]
conflict = "newest"
fallback = "crm"
pairing = "fill_blank"
create = ["campaign", "crm"]
delete = "DELETE_CONTACTS"
delete_conflict = "update_wins"

[mapping.contacts.create_with]
campaign = { ifolderid = 1182 }
crm = { LastName = "unknown" }

[mapping.contacts.fields]
email = { campaign = "semail", crm = "Email", conflict = "crm" }
first_name = { campaign = "sfirstname", crm = "FirstName" }
last_name = { campaign = "slastname", crm = "LastName" }
phone = { campaign = "sphone", crm = "Phone" }
mobile = { campaign = "smobilephone", crm = "MobilePhone", conflict = "crm" }
title = { campaign = "stext1", crm = "Title", conflict = "campaign" }
city = { campaign = "scity", crm = "MailingCity" }
birth_date = { campaign = "tsbirth", crm = "Birthdate" }
source = { campaign = "sorigin", crm = "LeadSource" }
account = { campaign = "iaccountid", crm = "AccountId", references = "accounts" }
# Campaign's iblacklist is its flag for every channel.
opted_out = { campaign = ["iblacklistemail", "iblacklist"], crm = "HasOptedOutOfEmail", conflict = "most_restrictive" }
"#;

/// What the config refers to, beside it.
pub(super) fn secrets(password: &str, crm: &Running) -> [(&'static str, String); 3] {
    [
        ("password", password.to_owned()),
        ("client_secret", crm.client_secret.clone()),
        ("ca.pem", crm.ca_pem.clone()),
    ]
}

/// Where the config is.
pub(super) fn path(directory: &Path) -> std::path::PathBuf {
    directory.join("truce.toml")
}
