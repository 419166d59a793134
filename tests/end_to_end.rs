//! The whole thing, by those who judge it from outside: the program as its users have it, a real
//! PostgreSQL, a CRM over https, people on both sides, and a fall of the agent in the middle. Each
//! test is there for each CRM.
//!
//! What is checked is told by reading both sides, by the CRM's own history and by the diary of the
//! people. The ledger is asked for one thing only: the decisions that excuse a discarded value.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]
#![expect(clippy::print_stdout, reason = "what was measured is of use beside the verdict")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};
use truce::simulator::any::Kind;
use truce::simulator::people::{
    Agent, Both, Cast, Deed, Desk, Diary, Draw, EDITED, Roster, Stage, StageOptions, Where, address,
};

const RECORDS: usize = 2000;
const EDITS: usize = 1000;
/// On the same field of the same person as an edit of the other side.
const CONTESTED: usize = 100;
const OPT_OUTS: usize = 20;
/// A debug build on a machine that does other things too.
const AGREE_MAX: Duration = Duration::from_mins(6);
const LOOK_EVERY: Duration = Duration::from_millis(500);

async fn set(kind: Kind) -> Stage {
    let options = StageOptions { roster: Roster::of([kind]), ..StageOptions::default() };
    Stage::set(Path::new(env!("CARGO_BIN_EXE_truce")), options).await.unwrap()
}

async fn both(stage: &Stage) -> Both {
    Both::read(&stage.desk, &stage.screen).await.unwrap()
}

/// Waits until nothing is due and both sides hold the same, three times in a row.
async fn agree(stage: &Stage, agent: &mut Agent) -> Both {
    let deadline = Instant::now() + AGREE_MAX;
    let mut quiet = 0;
    loop {
        agent.must_live().unwrap();
        let now = both(stage).await;
        let differences = now.differences();
        let due = agent.metric("truce_links_due", "").await.unwrap_or(0.0);
        quiet = if differences.is_empty() && due < 1.0 { quiet + 1 } else { 0 };
        if quiet == 3 {
            return now;
        }
        let first: Vec<String> = differences.iter().take(10).map(ToString::to_string).collect();
        assert!(
            Instant::now() < deadline,
            "{} differences, {due} due:\n{}\n{}",
            differences.len(),
            first.join("\n"),
            stage.truce(&["held", "list"]).await.unwrap()
        );
        sleep(LOOK_EVERY).await;
    }
}

/// One edit that somebody is going to make.
struct Plan {
    side: Where,
    number: usize,
    field: usize,
    value: String,
}

/// A thousand edits a side. Each uncontested field is edited once, by one side.
fn plans(cast: &Cast, draw: &mut Draw) -> Vec<Plan> {
    let pairs = cast.both.len() * EDITED.len();
    let slots = draw.shuffled((0..pairs).collect::<Vec<usize>>());
    let place = |slot: usize| (slot / EDITED.len(), slot % EDITED.len());
    let mut plans = Vec::new();
    for (at, slot) in slots.into_iter().take(2 * EDITS - CONTESTED).enumerate() {
        let (number, field) = place(slot);
        let plan = |side: Where| {
            let word = if side == Where::Campaign { "campaign" } else { "crm" };
            Plan { side, number, field, value: format!("{word} {at}") }
        };
        if at < CONTESTED {
            plans.extend([plan(Where::Crm), plan(Where::Campaign)]);
        } else if at.is_multiple_of(2) {
            plans.push(plan(Where::Campaign));
        } else {
            plans.push(plan(Where::Crm));
        }
    }
    // Contested edits stay together and are spread over the whole.
    let (contested, mut alone) = (plans.drain(..2 * CONTESTED).collect::<Vec<_>>(), plans);
    let step = alone.len() / CONTESTED;
    let mut pairs = contested.into_iter();
    let mut all = Vec::new();
    for _ in 0..CONTESTED {
        all.extend(alone.drain(..step.min(alone.len())));
        all.extend(pairs.by_ref().take(2));
    }
    all.extend(alone);
    all
}

async fn perform(stage: &Stage, cast: &Cast, plans: &[Plan], diary: &mut Diary) {
    for plan in plans {
        let (number, id) = &cast.both[plan.number];
        let (who, (column, field)) = (address(*number), EDITED[plan.field]);
        match plan.side {
            Where::Campaign => {
                assert_eq!(stage.desk.edit(&who, column, &plan.value).await.unwrap(), 1);
            }
            Where::Crm => {
                let edit = (field, &json!(plan.value));
                stage.screen.edit("Contact", id, edit).await.unwrap();
            }
        }
        diary.note(plan.side, &who, field, &plan.value);
    }
}

/// Opts people out on both sides, some by Campaign's flag for every channel.
async fn opt_out(stage: &Stage, people: &[(usize, String)]) -> BTreeSet<String> {
    for (at, (number, id)) in people.iter().enumerate() {
        let who = address(*number);
        match at % 3 {
            0 => drop(stage.desk.flag(&who, "iblacklistemail", 1).await.unwrap()),
            1 => drop(stage.desk.flag(&who, "iblacklist", 1).await.unwrap()),
            _ => {
                let edit = ("HasOptedOutOfEmail", &json!(true));
                stage.screen.edit("Contact", id, edit).await.unwrap();
            }
        }
    }
    people.iter().map(|(number, _)| address(*number)).collect()
}

mod salesforce {
    use truce::simulator::any::Kind;

    #[tokio::test(flavor = "multi_thread")]
    async fn two_populated_sides_agree_through_edits_on_both_and_a_kill() {
        super::edits_and_a_kill(Kind::Salesforce).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_update_of_every_row_that_changes_no_mapped_column_costs_the_crm_nothing() {
        super::unmapped_update(Kind::Salesforce).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_crm_that_is_down_keeps_no_log_on_campaigns_server() {
        super::crm_down(Kind::Salesforce).await;
    }
}

mod dynamics {
    use truce::simulator::any::Kind;

    #[tokio::test(flavor = "multi_thread")]
    async fn two_populated_sides_agree_through_edits_on_both_and_a_kill() {
        super::edits_and_a_kill(Kind::Dynamics).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_update_of_every_row_that_changes_no_mapped_column_costs_the_crm_nothing() {
        super::unmapped_update(Kind::Dynamics).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_crm_that_is_down_keeps_no_log_on_campaigns_server() {
        super::crm_down(Kind::Dynamics).await;
    }
}

async fn edits_and_a_kill(kind: Kind) {
    let stage = set(kind).await;
    let mut draw = Draw::new(11);
    let cast = stage.fill(RECORDS, &mut draw).await.unwrap();
    let zero = row_zero(&stage.desk).await;
    stage.truce(&["setup"]).await.unwrap();
    let mut agent = stage.agent().unwrap();
    agent.leads().await.unwrap();
    let begun = Instant::now();
    let paired = agree(&stage, &mut agent).await;
    println!("paired and in agreement after {:?}", begun.elapsed());
    // A quarter of each side was on that side only, and was made on the other.
    assert_eq!(paired.contacts.len(), RECORDS + RECORDS / 4);

    let plans = plans(&cast, &mut draw);
    let count = |side| plans.iter().filter(|plan| plan.side == side).count();
    assert_eq!((count(Where::Campaign), count(Where::Crm)), (EDITS, EDITS));
    let mut diary = Diary::default();
    let (first, second) = plans.split_at(plans.len() / 2);
    perform(&stage, &cast, first, &mut diary).await;
    let out = opt_out(&stage, &cast.both[..OPT_OUTS]).await;
    agent.kill().unwrap();
    perform(&stage, &cast, &second[..200], &mut diary).await;
    let mut agent = stage.agent().unwrap();
    perform(&stage, &cast, &second[200..], &mut diary).await;
    let begun = Instant::now();
    let both = agree(&stage, &mut agent).await;
    println!("in agreement {:?} after the last edit", begun.elapsed());

    assert_eq!(both.contacts.len(), RECORDS + RECORDS / 4, "no record is lost or doubled");
    for who in &out {
        let (recipient, contact) = both.person(who);
        let flag = |side: Option<&truce::simulator::people::Person>| {
            side.unwrap()["HasOptedOutOfEmail"].clone()
        };
        assert_eq!((flag(recipient), flag(contact)), ("true".into(), "true".into()), "{who}");
    }
    nobody_was_opted_in(&stage).await;
    let excused = account_for_every_edit(&stage, &both, &diary).await;
    // The window is that between a read and the write right after it; of Dynamics each write is under
    // the version that was read.
    let most = match kind {
        Kind::Salesforce => CONTESTED / 10,
        Kind::Dynamics => 0,
    };
    assert!(excused <= most, "{excused} of {CONTESTED} contested values");
    assert_eq!(row_zero(&stage.desk).await, zero, "row 0 is not a record");
    assert!(agent.stop().await.unwrap().success());
}

/// Nobody opted in here, so no write of anybody may have cleared an opt-out on the way either.
async fn nobody_was_opted_in(stage: &Stage) {
    for change in stage.screen.history("Contact").await.unwrap() {
        let flag = &change["fields"]["HasOptedOutOfEmail"];
        assert!(flag["old"] != json!(true) || flag["new"] != json!(false), "{change}");
    }
}

/// Each field holds the last word of one who edited it; a word that gave way has its decision, or
/// lay in the CRM's window between read and write: how many did.
async fn account_for_every_edit(stage: &Stage, both: &Both, diary: &Diary) -> usize {
    let mut edits: BTreeMap<(&str, &str), Vec<&Deed>> = BTreeMap::new();
    for deed in &diary.0 {
        edits.entry((&deed.who, &deed.field)).or_default().push(deed);
    }
    let decisions = decisions(stage).await;
    let history = overwritten(stage).await;
    let (mut decided, mut excused) = (0, 0);
    for ((who, field), deeds) in edits {
        let holds = both.person(who).0.unwrap().get(field).cloned().unwrap_or_default();
        let won = deeds.iter().any(|deed| deed.value == holds);
        assert!(won, "{who}, {field}: nobody said `{holds}`");
        for lost in deeds.iter().filter(|deed| deed.value != holds) {
            assert!(1 < deeds.len(), "{who}, {field}: `{}` is lost, uncontested", lost.value);
            if decisions.iter().any(|values| values.contains(&format!("\"{}\"", lost.value))) {
                decided += 1;
            } else if history.contains(&lost.value) {
                excused += 1;
            } else {
                panic!("{who}, {field}: `{}` gave way to `{holds}` without a decision", lost.value);
            }
        }
    }
    println!("{decided} values gave way by a decision, {excused} in the CRM's window");
    excused
}

async fn decisions(stage: &Stage) -> Vec<String> {
    let ledger =
        Desk::open(&stage.campaign.superuser.clone().with_database("truce")).await.unwrap();
    let sql = "select d.\"values\"::text from truce.decision d where d.verdict = 'discarded'";
    let rows = ledger.read(sql, &[]).await.unwrap();
    rows.iter().filter_map(|row| row.get::<_, Option<String>>(0)).collect()
}

/// The values of people that a write of the agent replaced in the CRM, by its own history.
async fn overwritten(stage: &Stage) -> BTreeSet<String> {
    let mut values = BTreeSet::new();
    for change in stage.screen.history("Contact").await.unwrap() {
        if change["via"] != "api" {
            continue;
        }
        for field in change["fields"].as_object().unwrap().values() {
            values.extend(field["old"].as_str().map(ToOwned::to_owned));
        }
    }
    values
}

async fn row_zero(desk: &Desk) -> Vec<String> {
    let sql = "select r::text from nmsrecipient r where irecipientid = 0 \
               union all select a::text from cusaccount a where icusaccountid = 0";
    desk.read(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Writes, and reads that are about a record rather than about what is new.
async fn calls_about_records(kind: Kind, stage: &Stage) -> u64 {
    let counters = stage.screen.look("counters").await.unwrap();
    let kinds: &[&str] = match kind {
        Kind::Salesforce => &["upsert", "create", "update", "delete", "retrieve", "read"],
        Kind::Dynamics => &["batch", "multiple", "create", "update", "delete", "query", "read"],
    };
    kinds.iter().map(|kind| counters["by_kind"][kind].as_u64().unwrap_or(0)).sum()
}

async fn unmapped_update(kind: Kind) {
    let stage = set(kind).await;
    let cast = stage.fill(400, &mut Draw::new(3)).await.unwrap();
    stage.truce(&["setup"]).await.unwrap();
    let mut agent = stage.agent().unwrap();
    agent.leads().await.unwrap();
    agree(&stage, &mut agent).await;
    let before = calls_about_records(kind, &stage).await;
    let sql = "update nmsrecipient set stext5 = 'workflow', tslastmodified = now() \
               where irecipientid <> 0";
    assert_eq!(stage.desk.run(sql, &[]).await.unwrap(), 500);
    // What comes later in the log is done later: this edit is the end of the wait.
    let (number, _) = &cast.both[0];
    stage.desk.edit(&address(*number), "sphone", "the end").await.unwrap();
    let both = agree(&stage, &mut agent).await;
    assert_eq!(both.person(&address(*number)).1.unwrap()["Phone"], "the end");
    let calls = calls_about_records(kind, &stage).await - before;
    // A changed row of Dynamics is read once more, as it does not say of which table its account is.
    let most = match kind {
        Kind::Salesforce => 2,
        Kind::Dynamics => 3,
    };
    assert!(calls <= most, "a read and a write for the one edit, not {calls} calls");
    assert!(agent.stop().await.unwrap().success());
}

async fn confirmed(stage: &Stage) -> i64 {
    let sql = "select (confirmed_flush_lsn - '0/0'::pg_lsn)::bigint from pg_replication_slots";
    let superuser = Desk::open(&stage.campaign.superuser).await.unwrap();
    superuser.read(sql, &[]).await.unwrap()[0].get(0)
}

async fn crm_down(kind: Kind) {
    let stage = set(kind).await;
    let cast = stage.fill(80, &mut Draw::new(5)).await.unwrap();
    stage.truce(&["setup"]).await.unwrap();
    let mut agent = stage.agent().unwrap();
    agent.leads().await.unwrap();
    agree(&stage, &mut agent).await;
    let accept = |accept: bool| stage.screen.order("connections", json!({ "accept": accept }));
    drop(accept(false).await.unwrap());
    for (at, (number, _)) in cast.both.iter().enumerate() {
        stage.desk.edit(&address(*number), "sphone", &format!("down {at}")).await.unwrap();
    }
    let sql = "select (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint";
    let written: i64 = stage.desk.read(sql, &[]).await.unwrap()[0].get(0);
    let deadline = Instant::now() + Duration::from_mins(1);
    while confirmed(&stage).await < written {
        agent.must_live().unwrap();
        assert!(Instant::now() < deadline, "the slot stands still while the CRM is down");
        sleep(LOOK_EVERY).await;
    }
    let differing = both(&stage).await.differences().len();
    assert_eq!(differing, cast.both.len(), "nothing can have gone over");
    drop(accept(true).await.unwrap());
    agree(&stage, &mut agent).await;
    assert!(agent.stop().await.unwrap().success());
}

/// What the demo says from its examples on, without numbers; of what is held only which mappings.
fn closing(told: &str) -> String {
    let (_, closing) = told.split_once("\nBy example\n").unwrap();
    let mut text = String::new();
    for section in closing.split("\n\n") {
        let mut lines: Vec<&str> = section.lines().collect();
        if let ["Held for a person (truce held list)", held @ ..] = lines.as_mut_slice() {
            for line in &mut *held {
                *line = line.split_whitespace().next().unwrap();
            }
            held.sort_unstable();
        }
        writeln!(text, "{}\n", lines.join("\n")).unwrap();
    }
    let mut numberless = String::new();
    for c in text.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }) {
        if !(c == '#' && numberless.ends_with('#')) {
            numberless.push(c);
        }
    }
    numberless
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_of_two_crms_ends_in_agreement_of_all_three_sides() {
    let mut demo = tokio::process::Command::new(env!("CARGO_BIN_EXE_truce"));
    demo.args(["demo", "--seconds", "8", "--records", "60"]).kill_on_drop(true);
    let output = tokio::time::timeout(AGREE_MAX, demo.output()).await.unwrap().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    insta::assert_snapshot!(closing(&told));
}
