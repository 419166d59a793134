//! Two accounts of a CRM in one agent: each is kept in agreement, by way of Campaign also with the
//! other, and neither waits for the other.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod cli_world;

use cli_world::{Agent, PATIENCE, World};
use serde_json::{Value as Json, json};
use truce::simulator::any::Kind;
use truce::simulator::people::Screen;
use truce::simulator::salesforce::{self, Options, Running};

/// A second organisation, which reads the recipients and shares the accounts.
struct Service {
    screen: Screen,
    _running: Running,
}

impl Service {
    async fn start(world: &World) -> Self {
        let ca_file = Some(world.file("service.pem"));
        let options = Options { ca_file, seed: 2, ..Options::default() };
        let running = salesforce::start(options).await.unwrap();
        std::fs::write(world.file("service_secret"), &running.client_secret).unwrap();
        let (url, id) = (&running.base_url, &running.client_id);
        let second = format!(
            r#"
[crm.service]
kind = "salesforce"
url = "{url}"
ca_file = "service.pem"
client_id = "{id}"
client_secret_file = "service_secret"
poll_seconds = 0.1
poll_idle_seconds = 0.2
timeout_seconds = 5
retry_seconds_max = 1

[mapping.served]
crm = "service"
table = "nmsrecipient"
key = "irecipientid"
object = "Contact"
external_id = "Truce_Id__c"
stamp = "Truce_Stamp__c"
match_on = ["email"]
conflict = "campaign"
pairing = "campaign"
create = ["crm"]

[mapping.served.create_with]
crm = {{ LastName = "unknown" }}

[mapping.served.fields]
email = {{ campaign = "semail", crm = "Email", direction = "to_crm" }}
first_name = {{ campaign = "sfirstname", crm = "FirstName", direction = "to_crm" }}
last_name = {{ campaign = "slastname", crm = "LastName", direction = "to_crm" }}

[mapping.firms]
crm = "service"
table = "cusaccount"
key = "icusaccountid"
object = "Account"
external_id = "Truce_Id__c"
stamp = "Truce_Stamp__c"
match_on = ["name"]
conflict = "crm"
pairing = "crm"
create = ["campaign", "crm"]

[mapping.firms.fields]
name = {{ campaign = "sname", crm = "Name" }}
city = {{ campaign = "scity", crm = "BillingCity" }}
"#
        );
        world.configure(&(world.config() + &second));
        Self { screen: Screen::of(Kind::Salesforce, &running.control_url), _running: running }
    }

    async fn served(&self) -> Vec<String> {
        lines(&self.screen.records("Contact", "Email,FirstName").await.unwrap())
    }

    async fn firms(&self) -> Vec<String> {
        lines(&self.screen.records("Account", "Name,BillingCity").await.unwrap())
    }
}

/// Records as lines, in order.
fn lines(records: &[Json]) -> Vec<String> {
    let names = ["Email", "FirstName", "Name", "BillingCity"];
    let line = |record: &Json| {
        let values = names.iter().filter_map(|name| record[*name].as_str());
        values.collect::<Vec<_>>().join("|")
    };
    let mut lines: Vec<String> = records.iter().map(line).collect();
    lines.sort();
    lines
}

/// Looks until it sees this.
async fn until(agent: &Agent, wanted: &[&str], look: impl AsyncFn() -> Vec<String>) {
    let mut seen = Vec::new();
    let looking = async {
        while seen != wanted {
            seen = look().await;
        }
    };
    let late = tokio::time::timeout(PATIENCE, looking).await.is_err();
    let ready = if late { agent.get("readyz").await } else { (0, String::new()) };
    assert!(!late, "wanted {wanted:#?}, and there are {seen:#?}; {ready:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_in_one_account_arrives_in_the_other_and_neither_waits_for_the_other() {
    let world = World::start().await;
    let service = Service::start(&world).await;
    world
        .sql(
            "insert into nmsrecipient (irecipientid, semail, sfirstname, slastname)
             values (1, 'ann@x.org', 'Ann', 'Roe');
             insert into cusaccount (icusaccountid, sname, scity) values (70, 'Acme', 'Brest')",
        )
        .await;
    let ids = world
        .contacts_made(json!([{"Email": "eve@x.org", "FirstName": "Eve", "LastName": "Poe"}]))
        .await;
    let firm = service.screen.create("Account", json!({"Name": "Beta"})).await.unwrap();
    world.done(&["setup"]).await;
    assert!(world.done(&["check"]).await.contains("crm.service"));
    let agent = world.run().await;
    world.agree_on(&agent, &["ann@x.org|Ann|Roe|0", "eve@x.org|Eve|Poe|0"]).await;
    until(&agent, &["ann@x.org|Ann", "eve@x.org|Eve"], || service.served()).await;
    until(&agent, &["Acme|Brest", "Beta"], || service.firms()).await;

    // From the one organisation by way of Campaign to the other.
    world.edit(&ids[0], json!({"FirstName": "Eva"})).await;
    until(&agent, &["ann@x.org|Ann", "eve@x.org|Eva"], || service.served()).await;

    // One is down, and the other goes on.
    service.screen.order("connections", json!({"accept": false})).await.unwrap();
    world.edit(&ids[0], json!({"FirstName": "Evi"})).await;
    world.sql("update nmsrecipient set sfirstname = 'Anna' where irecipientid = 1").await;
    world.agree_on(&agent, &["ann@x.org|Anna|Roe|0", "eve@x.org|Evi|Poe|0"]).await;
    agent.until("readyz", "\"ready\":false").await;
    assert!(world.done(&["status"]).await.contains("served"));

    // A killed agent finds both again.
    agent.kill().await;
    service.screen.order("connections", json!({"accept": true})).await.unwrap();
    service.screen.edit("Account", &firm, ("BillingCity", &json!("Gent"))).await.unwrap();
    let agent = world.run().await;
    until(&agent, &["ann@x.org|Anna", "eve@x.org|Evi"], || service.served()).await;
    let firms = "select concat_ws('|', sname, scity) from cusaccount where icusaccountid <> 0
                  order by sname";
    until(&agent, &["Acme|Brest", "Beta|Gent"], || world.rows(firms)).await;
    let (code, log) = agent.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(service.served().await.len(), 2, "none is doubled");
    assert_eq!(service.firms().await.len(), 2, "none is doubled");
}
