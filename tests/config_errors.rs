//! What a person reads who made a mistake in the config file: the line, the key, the value, what
//! is wrong and what would be right. One golden file has a message for each mistake.

use std::fmt::Write as _;
use std::path::Path;

use truce::config::{self, ConfigError};

const GOOD: &str = r#"[campaign]
url = "postgresql://truce@127.0.0.1:5432/campaign"
password_env = "CAMPAIGN_PASSWORD"

[crm.sales]
kind = "salesforce"
url = "https://example.my.salesforce.com"
client_id = "truce"
client_secret_file = "/run/secrets/salesforce"

[mapping.accounts]
crm = "sales"
table = "cusaccount"
key = "iaccountid"
object = "Account"

[mapping.accounts.fields]
name = { campaign = "sname", crm = "Name" }

[mapping.contacts]
crm = "sales"
table = "nmsrecipient"
key = "irecipientid"
object = "Contact"
external_id = "Truce_Id__c"
match_on = ["email"]
conflict = "newest"
fallback = "crm"

[mapping.contacts.fields]
email = { campaign = "semail", crm = "Email" }
account = { campaign = "iaccountid", crm = "AccountId", references = "accounts" }
opted_out = { campaign = ["iblacklistemail", "iblacklist"], crm = "HasOptedOutOfEmail", conflict = "most_restrictive" }
"#;

/// A mistake: a part of the good file, and what stands there instead.
type Mistake = (&'static str, &'static str, &'static str);

const FORM: [Mistake; 12] = [
    ("not TOML", "[crm.sales]", "[crm.sales"),
    ("an unknown key, nearly known", "client_id =", "clientid ="),
    ("an unknown key, far from all", "kind =", "secret = \"hunter2\"\nkind ="),
    ("an unknown table", "[crm.sales]", "[salesforce]"),
    ("a key that is missing", "object = \"Contact\"\n", ""),
    ("a table that is missing", "[campaign]", "[ledger]"),
    ("text for a number", "client_id =", "batch = \"many\"\nclient_id ="),
    ("a number over its limit", "client_id =", "batch = 201\nclient_id ="),
    ("seconds below their limit", "client_id =", "poll_seconds = 0\nclient_id ="),
    ("a share in percent", "client_id =", "reserve = 20\nclient_id ="),
    ("an unknown word", "conflict = \"newest\"", "conflict = \"newer\""),
    ("a key twice", "key = \"irecipientid\"", "key = \"irecipientid\"\nkey = \"irecipientid\""),
];

const VALUES: [Mistake; 11] = [
    ("a CRM without encryption", "https://example", "http://example"),
    ("a CRM that is no address", "https://example.my.salesforce.com", "example.my.salesforce.com"),
    ("a password in the address", "truce@127", "truce:hunter2@127"),
    ("a database that is not PostgreSQL", "postgresql://", "jdbc:postgresql://"),
    ("a table in capitals", "\"nmsrecipient\"", "\"NmsRecipient\""),
    ("a label for an API name", "\"HasOptedOutOfEmail\"", "\"Email Opt Out\""),
    ("a name in capitals", "[mapping.contacts]", "[mapping.Contacts]"),
    ("a column twice", "\"iblacklist\"]", "\"iblacklistemail\"]"),
    ("no column", "[\"iblacklistemail\", \"iblacklist\"]", "[]"),
    ("a variable that is not set", "\"truce\"", "\"${TRUCE_CLIENT}\""),
    ("a variable that is not closed", "\"truce\"", "\"${TRUCE_CLIENT\""),
];

const ACCOUNTS: [Mistake; 20] = [
    ("a reserve of everything", "client_id", "reserve = 1.0\nclient_id"),
    ("a Dynamics without a tenant", "\"salesforce\"\nurl", "\"dynamics\"\nurl"),
    ("a tenant of a Salesforce", "client_id", "tenant = \"example.com\"\nclient_id"),
    ("two passwords", "password_env", "password_file = \"p\"\npassword_env"),
    ("no secret", "client_secret_file = \"/run/secrets/salesforce\"\n", ""),
    ("two secrets", "client_secret_file", "client_secret_env = \"S\"\nclient_secret_file"),
    ("a secret and a key", "client_secret_file", "private_key_file = \"k\"\nclient_secret_file"),
    (
        "a key without a user",
        "client_secret_file = \"/run/secrets/salesforce\"",
        "private_key_file = \"k\"",
    ),
    ("a user without a key", "client_id", "username = \"u@example.com\"\nclient_id"),
    ("an audience without a key", "client_id", "audience = \"https://a.example.com\"\nclient_id"),
    ("a login page", "example.my.salesforce", "login.salesforce"),
    ("a page for people", "example.my.salesforce.com", "example.lightning.force.com"),
    ("a sandbox at production's address", "client_id", "sandbox = true\nclient_id"),
    ("more calls at once than a day", "client_id", "in_flight = 9\ncalls_per_day = 5\nclient_id"),
    ("overlaps that shrink", "client_id", "overlap_seconds = 86000\nclient_id"),
    ("a version that is none", "client_id", "api_version = \"v66\"\nclient_id"),
    ("ids without a key", "[crm.sales]", "external_id_format = \"{instance}\"\n[crm.sales]"),
    ("ids with a word", "[crm.sales]", "external_id_format = \"{id}:{key}\"\n[crm.sales]"),
    (
        "a ledger in Campaign's database",
        "[crm.sales]",
        "[ledger]\nurl = \"postgresql://truce@127.0.0.1:5432/campaign\"\n[crm.sales]",
    ),
    ("a password for nothing", "[crm.sales]", "[ledger]\npassword_file = \"p\"\n[crm.sales]"),
];

const MAPPINGS: [Mistake; 17] = [
    ("merges of a later version", "match_on", "merge = \"hold\"\nmatch_on"),
    ("a CRM that is not there", "crm = \"sales\"\ntable = \"n", "crm = \"sale\"\ntable = \"n"),
    ("newest without a fallback", "fallback = \"crm\"\n", ""),
    (
        "fill_blank that holds",
        "fallback = \"crm\"",
        "fallback = \"hold\"\npairing = \"fill_blank\"",
    ),
    ("a work table", "\"nmsrecipient\"", "\"wkfenrichment\""),
    ("a match by nothing", "[\"email\"]", "[\"emial\"]"),
    ("a match by consent", "[\"email\"]", "[\"opted_out\"]"),
    ("consent for everything", "conflict = \"newest\"", "conflict = \"most_restrictive\""),
    (
        "a field in two mappings",
        "object = \"Account\"\n\n[mapping.accounts.fields]",
        "object = \"contact\"\n\n[mapping.accounts.fields]\nmail = { campaign = \"smail\", crm = \"email\" }",
    ),
    (
        "a column in two mappings",
        "\"cusaccount\"\nkey = \"iaccountid\"\nobject = \"Account\"\n\n[mapping.accounts.fields]",
        "\"nmsrecipient\"\nkey = \"irecipientid\"\nobject = \"Lead\"\n\n[mapping.accounts.fields]\nmail = { campaign = \"semail\", crm = \"Mail\" }",
    ),
    (
        "a column that is consent in one of two mappings",
        "\"cusaccount\"\nkey = \"iaccountid\"\nobject = \"Account\"\n\n[mapping.accounts.fields]",
        "\"nmsrecipient\"\nkey = \"irecipientid\"\nobject = \"Lead\"\n\n[mapping.accounts.fields]\nout = { campaign = \"iblacklist\", crm = \"NoMail\" }",
    ),
    (
        "the same pair twice",
        "\"cusaccount\"\nkey = \"iaccountid\"\nobject = \"Account\"",
        "\"nmsrecipient\"\nkey = \"irecipientid\"\nobject = \"Contact\"",
    ),
    ("a reference to nothing", "references = \"accounts\"", "references = \"account\""),
    (
        "references in a circle",
        "[mapping.accounts.fields]",
        "[mapping.accounts.fields]\nfirst = { campaign = \"ifirstid\", crm = \"First__c\", references = \"contacts\" }",
    ),
    ("creating without an external id", "external_id = \"Truce_Id__c\"", "create = [\"crm\"]"),
    ("a stamp that is the id", "match_on", "stamp = \"truce_id__c\"\nmatch_on"),
    (
        "a new key by hand",
        "[mapping.contacts.fields]",
        "create_with.campaign = { irecipientid = 1 }\n[mapping.contacts.fields]",
    ),
];

const FIELDS: [Mistake; 9] = [
    (
        "a conversion of a later version",
        "crm = \"Email\" }",
        "crm = \"Email\", convert = \"copy\" }",
    ),
    ("several columns without consent", ", conflict = \"most_restrictive\"", ""),
    ("consent one way", "\"most_restrictive\" }", "\"most_restrictive\", direction = \"to_crm\" }"),
    ("consent that refers", "\"most_restrictive\" }", "\"most_restrictive\", pairing = \"crm\" }"),
    (
        "a fallback for nothing",
        "crm = \"Email\" }",
        "crm = \"Email\", conflict = \"crm\", fallback = \"hold\" }",
    ),
    ("the key as a field", "\"semail\"", "\"irecipientid\""),
    ("a column of the agent", "\"semail\"", "\"tslastmodified\""),
    ("a field of the agent", "\"Email\" }", "\"Truce_Id__c\" }"),
    ("the CRM's own id", "\"Email\" }", "\"Id\" }"),
];

#[test]
fn each_mistake_is_named_with_its_remedy() {
    let mut golden = String::new();
    for (group, mistakes) in [
        ("Form", FORM.as_slice()),
        ("Values", VALUES.as_slice()),
        ("Accounts", ACCOUNTS.as_slice()),
        ("Mappings", MAPPINGS.as_slice()),
        ("Fields", FIELDS.as_slice()),
    ] {
        writeln!(golden, "# {group}\n").unwrap();
        for (title, good, bad) in mistakes {
            assert!(GOOD.contains(good), "{title}: `{good}` is not in the good file");
            let message = refused(&GOOD.replacen(good, bad, 1), title);
            assert!(!message.contains("hunter2"), "{title}: a secret is printed: {message}");
            writeln!(golden, "{title}\n{message}\n").unwrap();
        }
    }
    insta::assert_snapshot!(golden);
}

#[test]
fn all_mistakes_are_named_at_once_in_the_order_of_the_lines() {
    let bad = GOOD.replace("\"truce\"", "\"\"").replace("[\"email\"]", "[\"mail\"]");
    let message = refused(&bad, "two mistakes");
    let lines: Vec<_> = message.lines().map(|line| line.split(':').nth(1).unwrap()).collect();
    assert_eq!(lines, ["8", "26"], "{message}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = config::load(Path::new("nowhere/truce.toml")).unwrap_err();
    assert!(matches!(error, ConfigError::File { .. }));
    assert!(error.to_string().contains("nowhere/truce.toml"), "{error}");
}

#[test]
fn the_good_file_is_good() {
    config::parse(GOOD, Path::new("truce.toml"), &|_| None).unwrap();
}

fn refused(text: &str, title: &str) -> String {
    match config::parse(text, Path::new("truce.toml"), &|_| None) {
        Ok(_) => panic!("{title}: was taken for a config"),
        Err(error) => error.to_string(),
    }
}
