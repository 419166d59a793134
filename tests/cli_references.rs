//! References through the real loops: a recipient's account and a contact's are one, whichever
//! side it was set on, changed, or taken away.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod cli_world;

use cli_world::{Agent, PATIENCE, World};
use serde_json::json;
use truce::simulator::any::Kind;
use truce::simulator::people::Screen;

const ACCOUNTS: &str = r#"
account = { campaign = "iaccountid", crm = "AccountId", references = "accounts" }

[mapping.accounts]
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

[mapping.accounts.fields]
name = { campaign = "sname", crm = "Name" }
"#;

struct Office {
    world: World,
    screen: Screen,
    agent: Agent,
}

impl Office {
    async fn open(first: &str) -> Self {
        let world = World::start().await;
        world.sql(first).await;
        let screen = Screen::of(Kind::Salesforce, &world.org.control_url);
        // A create whose answer was lost waits for as long as the CRM may take to carry it out.
        let limits = "timeout_seconds = 5\nlate_commit_seconds = 2\nwrite_time_limit_seconds = 5";
        let config = world.config().replace("timeout_seconds = 5", limits);
        world.configure(&(config.trim_end().to_owned() + ACCOUNTS));
        world.done(&["setup"]).await;
        let agent = world.run().await;
        Self { world, screen, agent }
    }

    async fn in_campaign(&self) -> Vec<String> {
        self.world
            .rows(
                "select concat_ws('|', r.semail, a.sname) from nmsrecipient r
                   left join cusaccount a on a.icusaccountid = r.iaccountid and r.iaccountid <> 0
                  where r.irecipientid <> 0 order by 1",
            )
            .await
    }

    async fn in_crm(&self) -> Vec<String> {
        let accounts = self.screen.records("Account", "Id,Name").await.unwrap();
        let contacts = self.screen.records("Contact", "Email,AccountId").await.unwrap();
        let line = |contact: &serde_json::Value| {
            let account = accounts.iter().find(|account| account["Id"] == contact["AccountId"]);
            let name = account.and_then(|account| account["Name"].as_str());
            let email = contact["Email"].as_str().unwrap();
            name.map_or(email.to_owned(), |name| format!("{email}|{name}"))
        };
        let mut lines: Vec<String> = contacts.iter().map(line).collect();
        lines.sort();
        lines
    }

    /// Waits until both sides tell who is with whom alike.
    async fn until(&self, wanted: &[&str]) {
        let mut seen = (Vec::new(), Vec::new());
        let looking = async {
            while seen.0 != wanted || seen.1 != wanted {
                seen = (self.in_campaign().await, self.in_crm().await);
            }
        };
        let late = tokio::time::timeout(PATIENCE, looking).await.is_err();
        let held = if late { self.world.done(&["held", "list"]).await } else { String::new() };
        assert!(!late, "wanted {wanted:#?}, and there are {seen:#?}\n{held}");
    }

    async fn with(&self, contact: &str, account: serde_json::Value) {
        self.screen.edit("Contact", contact, ("AccountId", &account)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_is_the_same_on_both_sides_made_changed_and_taken_away() {
    let office = Office::open(
        "insert into cusaccount (icusaccountid, sname) values (70, 'Acme');
         insert into nmsrecipient (irecipientid, semail, slastname, iaccountid)
         values (1, 'ann@x.org', 'Roe', 70)",
    )
    .await;
    office.until(&["ann@x.org|Acme"]).await;

    // Made in the CRM, parent and child.
    let beta = office.screen.create("Account", json!({"Name": "Beta"})).await.unwrap();
    let bob = json!({"Email": "bob@x.org", "LastName": "Low", "AccountId": beta});
    let bob = office.screen.create("Contact", bob).await.unwrap();
    office.until(&["ann@x.org|Acme", "bob@x.org|Beta"]).await;

    // Made in Campaign, in one transaction, child first.
    office
        .world
        .sql(
            "begin;
             insert into nmsrecipient (irecipientid, semail, slastname, iaccountid)
             values (3, 'cat@x.org', 'Moe', 73);
             insert into cusaccount (icusaccountid, sname) values (73, 'Core');
             commit",
        )
        .await;
    office.until(&["ann@x.org|Acme", "bob@x.org|Beta", "cat@x.org|Core"]).await;

    // Changed on either side.
    office.with(&bob, office.account("Acme").await).await;
    let move_ann = "update nmsrecipient set iaccountid = 73 where semail = 'ann@x.org'";
    office.world.sql(move_ann).await;
    office.until(&["ann@x.org|Core", "bob@x.org|Acme", "cat@x.org|Core"]).await;

    // Taken away on either side.
    office.with(&bob, json!(null)).await;
    office.world.sql("update nmsrecipient set iaccountid = 0 where semail = 'cat@x.org'").await;
    office.until(&["ann@x.org|Core", "bob@x.org", "cat@x.org"]).await;
    let (code, log) = office.agent.end().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_goes_over_before_its_parent_and_is_given_it_when_it_comes() {
    let office = Office::open(
        "insert into nmsrecipient (irecipientid, semail, slastname, iaccountid)
         values (1, 'ann@x.org', 'Roe', 70)",
    )
    .await;
    // Number 70 is nobody yet: the contact is made all the same, without an account.
    office.until(&["ann@x.org"]).await;
    office.world.sql("insert into cusaccount (icusaccountid, sname) values (70, 'Acme')").await;
    office.until(&["ann@x.org|Acme"]).await;

    // The CRM refuses the parent for a while; what it does not concern goes on.
    let fault = json!({"count": 2, "status": 503, "path_contains": "composite/sobjects/Account"});
    office.screen.order("fail", fault).await.unwrap();
    office
        .world
        .sql(
            "insert into cusaccount (icusaccountid, sname) values (71, 'Beta');
             insert into nmsrecipient (irecipientid, semail, slastname, iaccountid)
             values (2, 'bob@x.org', 'Low', 71)",
        )
        .await;
    office.until(&["ann@x.org|Acme", "bob@x.org|Beta"]).await;
    let (code, log) = office.agent.end().await;
    assert_eq!(code, Some(0), "{log}");
}

impl Office {
    async fn account(&self, name: &str) -> serde_json::Value {
        let accounts = self.screen.records("Account", "Id,Name").await.unwrap();
        let account = accounts.iter().find(|account| account["Name"] == *name);
        account.unwrap()["Id"].clone()
    }
}
