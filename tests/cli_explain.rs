//! `truce explain` tells what both sides hold, why, and what was decided; an echo decides nothing.

mod cli_world;

use cli_world::{Agent, PATIENCE, World};
use serde_json::{Value as Json, json};

/// One pair; both sides changed the first name while nobody looked, and the CRM's value stands.
async fn contested(world: &World) -> (Agent, String) {
    let ann = json!({"Email": "ann@x.org", "FirstName": "Ann", "LastName": "Roe"});
    let id = world.contacts_made(json!([ann])).await.remove(0);
    world.done(&["setup"]).await;
    let agent = world.run().await;
    world.agree_on(&agent, &["ann@x.org|Ann|Roe|0"]).await;
    let (code, log) = agent.end().await;
    assert_eq!(code, Some(0), "{log}");
    world.sql("update nmsrecipient set sfirstname = 'Ours' where semail = 'ann@x.org'").await;
    world.edit(&id, json!({"FirstName": "Theirs"})).await;
    let agent = world.run().await;
    world.agree_on(&agent, &["ann@x.org|Theirs|Roe|0"]).await;
    (agent, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_explained_by_either_key_with_every_decision_and_its_answer() {
    let world = World::start().await;
    let (agent, id) = contested(&world).await;
    // The write is concluded once its echo is seen.
    let concluded = async {
        loop {
            let story = world.done(&["explain", "contacts", &id[..15], "--json"]).await;
            let story: Json = serde_json::from_str(&story).unwrap();
            if story["writes"] == json!([]) {
                return story;
            }
        }
    };
    let story = tokio::time::timeout(PATIENCE, concluded).await.expect("the echo is seen");
    agent.end().await;
    let field = |name: &str| {
        let fields = story["fields"].as_array().unwrap();
        fields.iter().find(|field| field["field"] == name).unwrap().clone()
    };
    let name = field("first_name");
    assert_eq!((&name["campaign"], &name["crm"]), (&json!("Theirs"), &json!("Theirs")));
    assert!(name["why"].as_str().unwrap().starts_with("crm's value went over at "), "{name}");
    let email = field("email");
    assert!(email["why"].as_str().unwrap().contains("by `create`"), "{email}");

    let log = story["log"].as_array().unwrap();
    let decided: Vec<&Json> = log.iter().filter(|event| event["what"] == "decided").collect();
    let answer = |event: &Json| {
        let of =
            |answer: &&Json| answer["what"] == "answered" && answer["write"] == event["write"][1];
        log.iter().find(of).unwrap().clone()
    };
    // Where the CRM's change came alone at first, the guard found the other: a stale write. Nothing
    // else was decided: an echo decides nothing.
    let (created, contest) = (decided[0], decided[decided.len() - 1]);
    assert_eq!((&created["rule"], &contest["rule"]), (&json!("create"), &json!("crm")), "{log:#?}");
    for early in &decided[1..decided.len() - 1] {
        assert_eq!(answer(early)["answer"], "stale", "{log:#?}");
    }
    assert_eq!(created["values"]["set"]["email"], "ann@x.org");
    assert_eq!(contest["verdict"], "discarded");
    let values = &contest["values"];
    let inputs = ["base", "campaign", "crm"].map(|name| values[name].as_str().unwrap());
    assert_eq!(inputs, ["Ann", "Ours", "Theirs"]);
    assert!(
        values["changed"]["campaign"][1].is_i64() && values["seen"]["crm"].is_i64(),
        "{values}"
    );
    let answer = answer(contest);
    assert_eq!((&answer["side"], &answer["answer"]), (&json!("campaign"), &json!("done")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_reads_well_and_an_unknown_record_is_told() {
    let world = World::start().await;
    let (agent, _) = contested(&world).await;
    let key = "select irecipientid::text from nmsrecipient where semail = 'ann@x.org'";
    let key = world.rows(key).await.remove(0);
    let told = world.done(&["explain", "contacts", &key]).await;
    for line in [
        "first_name: discarded by crm, base \"Ann\", campaign \"Ours\", crm \"Theirs\" (stands)",
        "record: written by create, email \"ann@x.org\"",
        "campaign answered write 1: done (transaction ",
    ] {
        assert!(told.contains(line), "no `{line}` in:\n{told}");
    }
    let log = agent.end().await.1;
    assert!(
        !log.contains("Theirs") && !log.contains("ann@x.org"),
        "values are not for logs: {log}"
    );
    let told = world.ends(&["explain", "contacts", "4711"], 1).await;
    assert!(told.contains("no record of `contacts` has the key or id `4711`"), "{told}");
    let told = world.ends(&["explain", "people", "4711"], 2).await;
    assert!(told.contains("there is no mapping `people`; there are: contacts"), "{told}");
}

/// An explanation without what differs between runs: moments, positions, numbers of writes and
/// transactions, the CRM's ids.
fn normal(told: &str, id: &str) -> String {
    let mut lines = Vec::new();
    for line in told.replace(id, "CRM-ID").lines() {
        let words = line.split(' ').collect::<Vec<_>>();
        let word = |at: usize| {
            let before = at.checked_sub(1).map_or("", |before| words[before]);
            let bare = words[at].trim_end_matches([',', ':', ')', ';']);
            let (known, rest) = (bare, &words[at][bare.len()..]);
            let known = match (before, known) {
                (_, time) if time.parse::<jiff::Timestamp>().is_ok() => "TIME",
                (_, place) if place.contains('/') => "PLACE",
                ("write" | "link" | "(transaction", number) if number.parse::<u64>().is_ok() => "N",
                (_, "once") => "N times",
                (_, known) => known,
            };
            format!("{known}{rest}")
        };
        let mut line = (0..words.len()).map(word).collect::<Vec<_>>().join(" ");
        if let Some((start, rest)) = line.split_once(" times") {
            let start = start.trim_end_matches(char::is_numeric).trim_end_matches('N');
            line = format!("{start}N times{rest}");
        }
        lines.push(line);
    }
    lines.join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_put_off_is_explained_by_what_for_how_often_and_until_when() {
    let world = World::start().await;
    let ann = json!({"Email": "ann@x.org", "FirstName": "Ann", "LastName": "Roe"});
    let id = world.contacts_made(json!([ann])).await.remove(0);
    world.done(&["setup"]).await;
    let agent = world.run().await;
    world.agree_on(&agent, &["ann@x.org|Ann|Roe|0"]).await;
    // Somebody's transaction is in the row.
    world.sql("begin; select from nmsrecipient where semail = 'ann@x.org' for update").await;
    world.edit(&id, json!({"FirstName": "Anna"})).await;
    let told = async |words: &str, without: &str| {
        let explained = async {
            loop {
                let told = world.done(&["explain", "contacts", &id]).await;
                if told.contains(words) && !told.contains(without) {
                    return told;
                }
            }
        };
        tokio::time::timeout(PATIENCE, explained).await.expect("it is explained so")
    };
    let put_off = told("its write to campaign is put off", "answer awaited").await;
    // However often it is tried meanwhile, the answer is kept once.
    let again = told(" 3 times, until", "answer awaited").await;
    assert_eq!(again.matches("(the row is locked)").count(), 1, "{again}");
    world.sql("commit").await;
    world.agree_on(&agent, &["ann@x.org|Anna|Roe|0"]).await;
    let gone_over = told("crm's value went over at ", "\nwrite ").await;
    agent.end().await;
    insta::assert_snapshot!("put_off", normal(&put_off, &id));
    insta::assert_snapshot!("gone_over", normal(&gone_over, &id));
}
