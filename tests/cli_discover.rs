//! From a config without a mapping to agreement, with nothing edited by hand; and a second discovery
//! that keeps what a person edited. With both CRMs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod cli_world;

use std::fs::File;
use std::io::Write as _;
use std::process::Stdio;

use cli_world::{Agent, PATIENCE, World, terminal};
use serde_json::{Value as Json, json};
use truce::discover::schema::{Schema, problems};
use truce::simulator::dynamics::{self, Options, Running};

/// The config as far as somebody types it: databases and an account.
fn accounts_only(config: &str) -> String {
    config[..config.find("[mapping.").unwrap()].to_owned()
}

/// An object that an administrator made, with fields of many kinds.
async fn project(world: &World) {
    let text = |name: &str, length: u32| json!({"name": name, "type": "string", "length": length});
    let fields = json!([
        {"name": "Name", "type": "string", "length": 80, "required": true},
        {"name": "Budget__c", "type": "currency", "precision": 18, "scale": 2},
        {"name": "Due__c", "type": "date"},
        {"name": "Active__c", "type": "boolean"},
        {"name": "Stage__c", "type": "picklist", "values": ["Open", "Won", "Löst \"so\""]},
        {"name": "Tags__c", "type": "multipicklist", "length": 4099, "values": ["a", "b", "c"]},
        {"name": "Seen__c", "type": "datetime"},
        {"name": "Score__c", "type": "double", "precision": 10, "scale": 2},
        {"name": "Account__c", "type": "reference", "referenceTo": "Account"},
        {"name": "Contact__c", "type": "reference", "referenceTo": "Contact"},
        text("Code__c", 20),
        {"name": "Truce_Id__c", "type": "string", "length": 80, "unique": true,
         "caseSensitive": true, "externalId": true},
        text("Truce_Stamp__c", 80),
    ]);
    let object =
        json!({"name": "Project__c", "plural": "Projects", "prefix": "a01", "fields": fields});
    world.order("objects", object).await;
}

/// An account with a contact, two projects, and a recipient that the CRM does not know.
async fn records(world: &World) {
    let account = world
        .order("create", json!({"object": "Account", "records": [{"Name": "Roe Ltd"}]}))
        .await["ids"][0]
        .clone();
    let ann =
        json!({"Email": "ann@x.org", "FirstName": "Ann", "LastName": "Roe", "AccountId": account});
    let contact = world.contacts_made(json!([ann])).await.remove(0);
    let one = json!({"Name": "One", "Budget__c": 12.5, "Due__c": "2026-02-28", "Active__c": true,
        "Stage__c": "Won", "Tags__c": "a;c", "Score__c": 0, "Account__c": account,
        "Contact__c": contact, "Code__c": "c-1"});
    world.order("create", json!({"object": "Project__c", "records": [one, {"Name": "Two"}]})).await;
    world
        .sql(
            "insert into nmsrecipient (irecipientid, semail, sfirstname, slastname)
             values (7, 'bob@x.org', 'Bob', 'Low')",
        )
        .await;
}

/// Lets Campaign's owner run what discovery says.
async fn structure_update(world: &World) {
    let sql = std::fs::read_to_string(world.file("discovered/campaign.sql")).unwrap();
    world.sql(&sql).await;
}

/// What discovery wrote into the config.
fn mapped(world: &World) -> String {
    let config = std::fs::read_to_string(world.file("truce.toml")).unwrap();
    // Nobody types a comment here.
    config[config.find("\n# ").unwrap()..].to_owned()
}

/// That all schemas in the folder are of the grammar.
fn schemas_are_sound(world: &World, expected: &[&str]) {
    for name in expected {
        let file = world.file("discovered").join(name);
        let schema = Schema::parse(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(problems(&schema), Vec::<String>::new(), "{name}");
    }
}

/// Waits until a query answers so.
async fn holds(world: &World, agent: &Agent, query: &str, wanted: &[&str]) {
    let mut seen = Vec::new();
    let looking = async {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
        while seen != wanted {
            tick.tick().await;
            seen = world.rows(query).await;
        }
    };
    let late = tokio::time::timeout(PATIENCE, looking).await.is_err();
    let ready = if late { agent.get("readyz").await } else { (0, String::new()) };
    assert!(!late, "wanted {wanted:#?}, and there are {seen:#?}; {ready:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn from_accounts_alone_to_agreement_with_salesforce() {
    let world = World::start().await;
    world.configure(&accounts_only(&world.config()));
    project(&world).await;
    records(&world).await;
    let listed = world.done(&["discover"]).await;
    assert!(
        listed.contains("(Project__c), 2 records") && listed.contains("(Contact), 1 record\n"),
        "{listed}"
    );
    let arguments =
        ["discover", "--object", "Account", "--object", "Contact", "--object", "project__c"];
    let told = world.done(&arguments).await;
    assert!(told.contains("Contact and nmsrecipient") && told.contains("cusproject"), "{told}");
    insta::assert_snapshot!("salesforce", mapped(&world));
    schemas_are_sound(&world, &["sfdcSchemasales.xml", "cus_project.xml"]);
    structure_update(&world).await;
    world.done(&["setup"]).await;
    let told = world.done(&["check"]).await;
    assert!(told.contains("it would run"), "{told}");
    let plan: Json = serde_json::from_str(&world.done(&["plan", "--json"]).await).unwrap();
    assert_eq!(plan["mappings"]["projects"]["campaign"], json!({"create": 2}), "{plan:#}");
    let agent = world.run().await;
    world.agree_on(&agent, &["ann@x.org|Ann|Roe|0", "bob@x.org|Bob|Low|0"]).await;
    let projects = "
        select concat_ws('|', p.sname, p.dbudget, p.tsdue, p.iactive, p.sstage, p.mtags, p.dscore,
                         a.sname, r.semail, p.scode)
          from cusproject p join cusaccount a on a.icusaccountid = p.iaccountid
          join nmsrecipient r on r.irecipientid = p.irecipientid
         where p.iprojectid <> 0 order by p.sname";
    let two = "Two|0";
    holds(
        &world,
        &agent,
        projects,
        &["One|12.5|2026-02-28|1|Won|a;c|0|Roe Ltd|ann@x.org|c-1", two],
    )
    .await;

    // Back the other way, and a project that is born in Campaign.
    world
        .sql(
            "update cusproject set dbudget = 99, iactive = 0 where sname = 'One';
             insert into cusproject (iprojectid, sname, sstage)
             values (nextval('auto_cusproject_seq'), 'Three', 'Open')",
        )
        .await;
    let records = "records/Project__c?deleted=false&fields=Name,Budget__c,Active__c,Stage__c";
    let there = async |wanted: &str| {
        let looking = async {
            let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
            while !world.look(records).await.to_string().contains(wanted) {
                tick.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.expect(wanted);
    };
    there("\"Budget__c\":99").await;
    there("\"Name\":\"Three\"").await;
    let held = world.done(&["held", "list", "--json"]).await;
    assert!(!held.contains("\"mapping\""), "{held}");
    agent.end().await;
}

/// An environment of Dynamics with a table that an administrator made.
async fn environment(world: &World) -> (Running, String) {
    let ca_file = Some(world.file("dynamics.pem"));
    let running = dynamics::start(Options { ca_file, ..Options::default() }).await.unwrap();
    std::fs::write(world.file("dynamics_secret"), &running.client_secret).unwrap();
    let Running { base_url, token_url, client_id, tenant_id, .. } = &running;
    let config = format!(
        r#"
[crm.dataverse]
kind = "dynamics"
url = "{base_url}"
token_url = "{token_url}"
tenant = "{tenant_id}"
ca_file = "dynamics.pem"
client_id = "{client_id}"
client_secret_file = "dynamics_secret"
poll_seconds = 0.1
poll_idle_seconds = 0.2
"#
    );
    let column = |name: &str, kind: &str| json!({"name": name, "type": kind});
    let lookup = |name: &str, to: &str| json!({"name": name, "type": "lookup", "target": to});
    let table = json!({"name": "new_project", "set": "new_projects", "tracking": true,
    "concurrency": true, "columns": [
        column("new_budget", "money"), column("new_due", "date"), column("new_active", "bool"),
        {"name": "new_stage", "type": "choice", "options": ["Open", "Won"]},
        {"name": "new_tags", "type": "multi", "options": ["a", "b", "c"]},
        column("new_seen", "instant"), column("new_many", "int"), column("new_notes", "memo"),
        lookup("new_accountid", "account"), lookup("new_contactid", "contact"),
        column("new_truceid", "text"), column("new_trucestamp", "text"),
    ]});
    order(&running, "tables", table).await;
    let key = json!({"table": "new_project", "name": "new_ProjectTruceKey",
        "columns": ["new_truceid"], "status": "Active"});
    order(&running, "keys", key).await;
    (running, config)
}

async fn order(running: &Running, route: &str, order: Json) -> Json {
    let url = format!("{}/{route}", running.control_url);
    let answer = reqwest::Client::new().post(url).json(&order).send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert!(status.is_success(), "{route} {order}: {text}");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_accounts_alone_to_agreement_with_dynamics() {
    let world = World::start().await;
    let (running, account) = environment(&world).await;
    let config = accounts_only(&world.config());
    world.configure(&(config[..config.find("[crm.").unwrap()].to_owned() + &account));
    let made = async |table: &str, record: Json| -> String {
        let made = json!({"table": table, "records": [record]});
        order(&running, "create", made).await["ids"][0].as_str().unwrap().to_owned()
    };
    let firm = made("account", json!({"name": "Roe Ltd"})).await;
    let ann = json!({"emailaddress1": "ann@x.org", "firstname": "Ann", "lastname": "Roe"});
    let contact = made("contact", ann).await;
    let one = json!({"new_name": "One", "new_budget": 12.5, "new_due": "2026-02-28",
        "new_active": true, "new_stage": 2, "new_many": 0,
        "new_accountid@odata.bind": format!("/accounts({firm})"),
        "new_contactid@odata.bind": format!("/contacts({contact})")});
    made("new_project", one).await;
    made("new_project", json!({"new_name": "Two"})).await;
    let listed = world.done(&["discover", "--json"]).await;
    let listed: Json = serde_json::from_str(&listed).unwrap();
    let known =
        listed["objects"].as_array().unwrap().iter().find(|one| one["name"] == "new_project");
    assert_eq!(known.unwrap()["records"], json!(2), "{listed:#}");
    let objects = ["--object", "account", "--object", "contact", "--object", "new_project"];
    let told = world.done(&[&["discover"], &objects[..]].concat()).await;
    assert!(told.contains("contact and nmsrecipient") && told.contains("cusproject"), "{told}");
    insta::assert_snapshot!("dynamics", mapped(&world));
    schemas_are_sound(&world, &["mscrmSchemadataverse.xml", "cus_project.xml"]);
    structure_update(&world).await;
    world.done(&["setup"]).await;
    let told = world.done(&["check"]).await;
    assert!(told.contains("it would run"), "{told}");
    let plan: Json = serde_json::from_str(&world.done(&["plan", "--json"]).await).unwrap();
    assert_eq!(plan["mappings"]["new_projects"]["campaign"], json!({"create": 2}), "{plan:#}");
    let agent = world.run().await;
    let projects = "
        select concat_ws('|', p.sname, p.dbudget, p.tsdue, p.iactive, p.istage, p.imany,
                         a.sname, r.semail)
          from cusproject p join cusaccount a on a.icusaccountid = p.iaccountid
          join nmsrecipient r on r.irecipientid = p.irecipientid
         where p.iprojectid <> 0 order by p.sname";
    holds(&world, &agent, projects, &["One|12.5|2026-02-28|1|2|0|Roe Ltd|ann@x.org", "Two|0"])
        .await;
    world.sql("update cusproject set dbudget = 99 where sname = 'One'").await;
    let there = async {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
        loop {
            tick.tick().await;
            let url = format!("{}/records/new_project", running.control_url);
            let text = reqwest::get(url).await.unwrap().text().await.unwrap();
            if text.contains("\"new_budget\":99") {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, there).await.expect("the budget goes over");
    agent.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_discovery_keeps_what_was_edited_adds_what_is_new_and_marks_what_is_gone() {
    let world = World::start().await;
    world.configure(&accounts_only(&world.config()));
    project(&world).await;
    let discover = ["discover", "--object", "Project__c", "--object", "Contact"];
    world.done(&discover).await;
    let told = world.done(&discover).await;
    assert!(told.contains("nothing is new"), "{told}");
    let read = || std::fs::read_to_string(world.file("truce.toml")).unwrap();
    let once = read();
    let edited = once
        .replace("\nscore = {", "\n# Ann's.\npoints = {")
        .replace("conflict = \"newest\"", "conflict = \"campaign\"")
        .replace("\ncode = {", "\n#code = {");
    world.configure(&edited);
    let new = json!([{"name": "Extra__c", "type": "string", "length": 30}]);
    let change = json!({"object": "Project__c", "fields": new, "remove": ["Due__c"]});
    world.order("fields", change).await;
    world.done(&discover).await;
    let again = read();
    let added = "extra = { campaign = \"sextra\", crm = \"Extra__c\" } # new;";
    assert!(again.contains(added), "{again}");
    assert!(again.contains("#! Project__c does not have this field any more"), "{again}");
    let kept = |line: &&str| !line.contains(added) && !line.starts_with("#!");
    let rest: Vec<&str> = again.lines().filter(kept).collect();
    assert_eq!(rest, edited.lines().collect::<Vec<_>>());
    // The table is to have the new column, whether it was made by now or not.
    let sql = || std::fs::read_to_string(world.file("discovered/campaign.sql")).unwrap();
    assert!(sql().contains("sExtra varchar(30)") && sql().contains("create table CusProject"));
    structure_update(&world).await;
    let told = world.done(&discover).await;
    assert!(told.contains("campaign.sql") && sql().contains("Nothing is left to do"), "{told}");
    // A gone field is what stands against the config, until the marked line is removed.
    let told = world.ends(&["check"], 1).await;
    assert!(told.contains("has no field `Due__c`"), "{told}");
    let mended: Vec<&str> = again.lines().filter(|line| !line.contains("Due__c")).collect();
    world.configure(&mended.join("\n"));
    world.done(&["setup"]).await;
    let told = world.done(&["check"]).await;
    assert!(told.contains("it would run"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_objects_make_a_config_that_would_run_and_what_cannot_be_is_said() {
    let world = World::start().await;
    world.configure(&accounts_only(&world.config()));
    project(&world).await;
    let told = world.ends(&["discover", "--object", "Nothing__c"], 2).await;
    assert!(told.contains("there is no `Nothing__c`"), "{told}");
    let told = world.ends(&["discover", "--all", "--namespace", "nms"], 2).await;
    assert!(told.contains("a namespace of Adobe's"), "{told}");
    let told = world.ends(&["discover", "--all", "--crm", "other"], 2).await;
    assert!(told.contains("there are: sales"), "{told}");
    assert!(!world.file("discovered").exists(), "nothing was written");
    let report: Json =
        serde_json::from_str(&world.done(&["discover", "--all", "--extend", "--json"]).await)
            .unwrap();
    let mappings = report["mappings"].as_array().unwrap();
    assert!(8 < mappings.len(), "{report:#}");
    structure_update(&world).await;
    world.done(&["setup"]).await;
    let told = world.done(&["check"]).await;
    assert!(told.contains("it would run"), "{told}");
    std::fs::write(world.file("discovered/cus_project.xml"), "<srcSchema/>").unwrap();
    let told = world.ends(&["discover", "--all"], 2).await;
    assert!(told.contains("cus_project.xml is no schema"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_objects_are_searched_and_marked() {
    let world = World::start().await;
    world.configure(&accounts_only(&world.config()));
    project(&world).await;
    let terminal = terminal::open();
    let side = || Stdio::from(terminal.slave.try_clone().unwrap());
    let mut command = world.command(&["discover"]);
    command.stdin(side()).stdout(side()).stderr(side()).env("TERM", "xterm");
    let mut child = command.spawn().unwrap();
    drop((command, terminal.slave));
    let mut keys = File::from(terminal.master);
    let mut screen = terminal::shown(keys.try_clone().unwrap());
    let mut see = async |words: &str| {
        let seen = tokio::time::timeout(PATIENCE, screen.wait_for(|text| text.contains(words)));
        drop(seen.await.expect(words).unwrap());
    };
    see("Which objects?").await;
    see("(Account)").await;
    keys.write_all(b"Project__c").unwrap();
    see("Which objects? Project__c").await;
    keys.write_all(b" ").unwrap();
    see("[x]").await;
    keys.write_all(b"\r").unwrap();
    see("written: ").await;
    assert!(tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap().success());
    let config = std::fs::read_to_string(world.file("truce.toml")).unwrap();
    assert!(
        config.contains("[mapping.projects]") && config.matches("[mapping.").count() == 2,
        "{config}"
    );
}
