//! Everything at once, for minutes: two sides of ten thousand, people who edit both, and all that can
//! go wrong beside them. In the end both sides hold the same, and the judge, who reads what happened
//! on both sides and not what the agent says of it, finds nothing that should not have happened.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]
#![expect(clippy::print_stdout, reason = "what was measured is of use beside the verdict")]

mod crm;
mod foretold;
mod histories;
mod judge;
mod plans;
mod size;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};
use truce::simulator::any::Kind;
use truce::simulator::people::{
    Agent, Both, Cast, Desk, Draw, Roster, Stage, StageOptions, Where, address, person,
};

use foretold::Foretold;
use histories::{CONSENT, Histories};
use judge::{Finals, judge};
use plans::{Plan, plans};
use size::{CREATES, MERGES, OPT_OUTS, Size};

/// A debug build on a machine that does other things too.
const AGREE_MAX: Duration = Duration::from_mins(8);
const LOOK_EVERY: Duration = Duration::from_millis(500);

struct Run {
    kind: Kind,
    size: Size,
    stage: Stage,
    cast: Cast,
    /// Whose contact was merged into another's: their recipients stay.
    merged: BTreeSet<String>,
    deleted: BTreeSet<String>,
}

impl Run {
    async fn set(kind: Kind) -> Self {
        let size = Size::of(kind);
        let options = StageOptions { roster: Roster::of([kind]), ..StageOptions::default() };
        let stage = Stage::set(Path::new(env!("CARGO_BIN_EXE_truce")), options).await.unwrap();
        let config = std::fs::read_to_string(stage.config()).unwrap();
        std::fs::write(stage.config(), crm::adjusted(kind, &config, &size)).unwrap();
        let cast = stage.fill(size.records, &mut Draw::new(12)).await.unwrap();
        histories::begin(&stage).await;
        stage.truce(&["setup"]).await.unwrap();
        Self { kind, size, stage, cast, merged: BTreeSet::new(), deleted: BTreeSet::new() }
    }

    async fn start(&self) -> Agent {
        let mut agent = self.stage.agent().unwrap();
        agent.leads().await.unwrap();
        agent
    }

    async fn order(&self, route: &str, order: serde_json::Value) {
        drop(self.stage.screen.order(route, order).await.unwrap());
    }

    /// Waits until nothing is due and both sides hold the same, three times in a row.
    async fn agree(&self, agent: &mut Agent) -> Both {
        let deadline = Instant::now() + AGREE_MAX;
        let mut quiet = 0;
        loop {
            agent.must_live().unwrap();
            let now = Both::read(&self.stage.desk, &self.stage.screen).await.unwrap();
            let mut differences = now.differences();
            differences.retain(|difference| !self.merged.contains(&difference.who));
            let due = agent.metric("truce_links_due", "").await.unwrap_or(0.0);
            quiet = if differences.is_empty() && due < 1.0 { quiet + 1 } else { 0 };
            if quiet == 3 {
                return now;
            }
            if deadline < Instant::now() {
                let first = &differences[..differences.len().min(3)];
                let words: Vec<String> = first.iter().map(ToString::to_string).collect();
                let who: BTreeSet<&String> =
                    first.iter().map(|difference| &difference.who).collect();
                panic!(
                    "{} differences, {due} due:\n{}\nheld:\n{}\nthe ledger:\n{}",
                    differences.len(),
                    words.join("\n"),
                    self.stage.truce(&["held", "list"]).await.unwrap(),
                    self.links(&who).await
                );
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// What the ledger holds of these people: only for the message of a run that does not end.
    async fn links(&self, who: &BTreeSet<&String>) -> String {
        let url = self.stage.campaign.superuser.clone().with_database("truce");
        let ledger = Desk::open(&url).await.unwrap();
        let mut told = String::new();
        for who in who {
            let key = "select irecipientid::text from nmsrecipient where semail = $1";
            let keys = self.stage.desk.read(key, &[who]).await.unwrap();
            let Some(key) = keys.first().map(|row| row.get::<_, String>(0)) else { continue };
            let sql = "select concat_ws(' ', l.id, l.state, l.campaign, l.crm, l.due_at, l.body)
                         from truce.link l where l.campaign = $1";
            for row in ledger.read(sql, &[&key]).await.unwrap() {
                writeln!(told, "{who}: {}", row.get::<_, String>(0)).unwrap();
            }
        }
        told
    }

    async fn edit(&self, plans: &[Plan]) {
        for plan in plans {
            let (number, id) = &self.cast.both[plan.number];
            match plan.side {
                Where::Campaign => {
                    let (who, column) = (address(*number), plan.column);
                    let edited = self.stage.desk.edit(&who, column, &plan.value).await.unwrap();
                    assert_eq!(edited, 1);
                }
                Where::Crm => {
                    let edit = (plan.field, &json!(plan.value));
                    self.stage.screen.edit("Contact", id, edit).await.unwrap();
                }
            }
        }
    }

    /// Opts these people out, on either side, some by Campaign's flag for every channel.
    async fn opt_out(&self, numbers: std::ops::Range<usize>) {
        for at in numbers {
            let (number, id) = &self.cast.both[at];
            let who = address(*number);
            match at % 3 {
                0 => drop(self.stage.desk.flag(&who, "iblacklistemail", 1).await.unwrap()),
                1 => drop(self.stage.desk.flag(&who, "iblacklist", 1).await.unwrap()),
                _ => self.stage.screen.edit("Contact", id, (CONSENT, &json!(true))).await.unwrap(),
            }
        }
    }

    /// New people, some known to one side, some to the other.
    async fn create(&self) {
        for number in 100_000..100_000 + CREATES {
            let ((first, last), email) = (person(number), address(number));
            if number.is_multiple_of(2) {
                let record = json!({"FirstName": first, "LastName": last, "Email": email});
                self.stage.screen.create("Contact", record).await.unwrap();
            } else {
                let sql = "insert into nmsrecipient (irecipientid, ifolderid, semail, sfirstname, \
                           slastname, tscreated, tslastmodified) \
                           values (nextval('nmsrecipientid'), 1182, $1, $2, $3, now(), now())";
                self.stage.desk.run(sql, &[&email, &first, &last]).await.unwrap();
            }
        }
    }

    /// Two contacts become one; one of the two had just opted out.
    async fn merge(&mut self) {
        for at in 0..MERGES {
            let pair = OPT_OUTS + 2 * at;
            let (winner, loser) = (self.cast.both[pair].clone(), self.cast.both[pair + 1].clone());
            if at.is_multiple_of(4) {
                let out = (CONSENT, &json!(true));
                self.stage.screen.edit("Contact", &loser.1, out).await.unwrap();
            }
            self.order("merge", crm::merge(self.kind, &winner.1, &loser.1)).await;
            self.merged.insert(address(loser.0));
        }
    }

    /// Some on each side.
    async fn delete(&mut self) {
        let deletes = self.size.deletes;
        for at in 0..2 * deletes {
            let (number, id) = &self.cast.both[OPT_OUTS + 2 * MERGES + at];
            let who = address(*number);
            if at < deletes {
                self.stage.screen.delete("Contact", id).await.unwrap();
            } else {
                let sql = "delete from nmsrecipient where semail = $1";
                self.stage.desk.run(sql, &[&who]).await.unwrap();
            }
            self.deleted.insert(who);
        }
    }

    /// All is well again; what was to fail and has not had its occasion is forgotten.
    async fn relieve(&self) {
        for (route, order) in crm::relief(self.kind) {
            self.order(route, order).await;
        }
        let faults = format!("{}/faults", self.stage.offices[0].running.access().control_url);
        let answer = reqwest::Client::new().delete(faults).send().await.unwrap();
        assert!(answer.status().is_success());
    }

    /// Answers that fail before and after their effect, locks, limits, and tokens that die.
    async fn trouble(&self) {
        let people = self.cast.both.iter().skip(self.size.spared()).take(200);
        let people: Vec<&str> = people.map(|(_, id)| id.as_str()).collect();
        for (route, order) in crm::trouble(self.kind, &people) {
            self.order(route, order).await;
        }
    }
}

mod salesforce {
    use truce::simulator::any::Kind;

    #[tokio::test(flavor = "multi_thread")]
    async fn thousands_of_pairs_agree_through_everything_that_goes_wrong() {
        super::everything(Kind::Salesforce).await;
    }
}

mod dynamics {
    use truce::simulator::any::Kind;

    #[tokio::test(flavor = "multi_thread")]
    async fn thousands_of_pairs_agree_through_everything_that_goes_wrong() {
        super::everything(Kind::Dynamics).await;
    }
}

async fn everything(kind: Kind) {
    let mut run = Run::set(kind).await;
    let Size { records, edits, in_outage, .. } = run.size;
    // A plan's figures are compared for one: what it counts is counted alike for both.
    let foretold = match kind {
        Kind::Salesforce => Some(Foretold::read(&run.stage).await),
        Kind::Dynamics => None,
    };
    let begun = Instant::now();
    let mut agent = run.start().await;
    let paired = run.agree(&mut agent).await;
    println!("{records} and {records} paired and in agreement after {:?}", begun.elapsed());
    assert_eq!(paired.contacts.len(), records + records / 4, "a quarter stood on one side only");
    if let Some(foretold) = foretold {
        foretold.compare(&run.stage, &agent).await;
    }

    let all = plans(&run.cast, &mut Draw::new(13), &run.size);
    let count = |side| all.iter().filter(|plan| plan.side == side).count();
    assert_eq!((count(Where::Campaign), count(Where::Crm)), (edits, edits));
    let (amid, outage) = all.split_at(2 * edits - in_outage);
    let parts: Vec<&[Plan]> = amid.chunks(amid.len().div_ceil(4)).collect();
    let halves = |part: usize| parts[part].split_at(parts[part].len() / 2);

    run.trouble().await;
    run.edit(halves(0).0).await;
    run.opt_out(0..30).await;
    agent.kill().unwrap();
    run.edit(halves(0).1).await;
    let agent = run.start().await;

    let (route, order) = crm::late(kind, &run.size);
    run.order(route, order).await;
    run.edit(parts[1]).await;
    run.opt_out(30..60).await;
    let (route, order) = crm::prompt(kind);
    run.order(route, order).await;
    run.merge().await;
    run.create().await;
    agent.kill().unwrap();
    run.delete().await;
    let mut agent = run.start().await;

    run.edit(halves(2).0).await;
    run.stage.database.restart().await.unwrap();
    run.stage.desk = Desk::open(&run.stage.campaign.owner).await.unwrap();
    run.edit(halves(2).1).await;
    run.trouble().await;
    agent.leads().await.unwrap();
    run.edit(halves(3).0).await;
    agent.kill().unwrap();
    run.edit(halves(3).1).await;
    let mut agent = run.start().await;
    let begun = Instant::now();
    run.agree(&mut agent).await;
    println!("in agreement {:?} after the last of the faults", begun.elapsed());
    run.relieve().await;

    calls_after_an_outage(&run, &mut agent, outage).await;
    let both = run.agree(&mut agent).await;
    verdict(&run, &both).await;
    assert!(agent.stop().await.unwrap().success());
}

/// What piled up while the CRM was away goes over in full calls.
async fn calls_after_an_outage(run: &Run, agent: &mut Agent, edits: &[Plan]) {
    let rest = crm::at_rest(run.kind, &run.stage.screen);
    tokio::time::timeout(AGREE_MAX, rest).await.expect("comparisons end");
    let over = Instant::now() + run.size.outage;
    run.order("connections", json!({"accept": false})).await;
    run.edit(edits).await;
    run.opt_out(60..OPT_OUTS).await;
    tokio::time::sleep_until(over).await;
    let calls = async || crm::calls(run.kind, &run.stage.screen).await;
    let before = calls().await;
    let last = run.stage.screen.look("requests").await.unwrap()["next"].as_u64().unwrap();
    run.order("connections", json!({"accept": true})).await;
    run.agree(agent).await;
    let after = calls().await;
    let of_campaign = edits.iter().filter(|plan| plan.side == Where::Campaign);
    let contacts: BTreeSet<usize> = of_campaign.map(|plan| plan.number).collect();
    // What polls read may be taken for more than it was.
    let reads = after.reads.saturating_sub(before.reads);
    let writes = after.writes - before.writes;
    println!(
        "{} contacts written after the outage in {reads} reads, {writes} writes",
        contacts.len()
    );
    let most = crm::calls_max(run.kind, u64::try_from(contacts.len()).unwrap());
    assert!(
        reads + writes <= most,
        "{reads} reads and {writes} writes, of {most} calls allowed:\n{}",
        crm::asked_since(&run.stage.screen, last).await
    );
}

async fn verdict(run: &Run, both: &Both) {
    for who in &run.deleted {
        assert_eq!(both.person(who), (None, None), "{who} was deleted");
    }
    let Size { records, deletes, .. } = run.size;
    let kept = records + records / 4 + CREATES - 2 * deletes;
    assert_eq!(both.contacts.len(), kept - MERGES, "no contact is lost or doubled");
    assert_eq!(both.recipients.len(), kept, "no recipient is lost or doubled");
    let histories = Histories::read(run.kind, &run.stage).await;
    let mut finals = Finals::new();
    for who in both.contacts.keys() {
        let (Some(recipient), Some(_)) = both.person(who) else { continue };
        for field in plans::FIELDS {
            let value = recipient.get(field).cloned().unwrap_or_default();
            finals.insert((who.clone(), field.to_owned()), value);
        }
    }
    let verdict = judge(&histories, &finals, &decisions(&run.stage).await);
    println!(
        "{} events, {} fields edited, {} words gave way by a decision, {} in the CRM's window, {} \
         before their commit showed",
        histories.events.len(),
        verdict.cells,
        verdict.decided,
        verdict.excused,
        verdict.unseen
    );
    let told = verdict.violations.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(verdict.violations.is_empty(), "{} violations:\n{told}", verdict.violations.len());
    let most = crm::excused_max(run.kind, run.size.contested);
    assert!(verdict.excused <= most, "{} words in the window", verdict.excused);
}

/// The decisions that discarded something, as text.
async fn decisions(stage: &Stage) -> Vec<String> {
    let url = stage.campaign.superuser.clone().with_database("truce");
    let ledger = Desk::open(&url).await.unwrap();
    let sql = "select d.\"values\"::text from truce.decision d where d.verdict = 'discarded'";
    let rows = ledger.read(sql, &[]).await.unwrap();
    rows.iter().filter_map(|row| row.get::<_, Option<String>>(0)).collect()
}
