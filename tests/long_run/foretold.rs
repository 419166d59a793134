//! What `truce plan` says before the first run, against what that run then does.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use truce::simulator::people::{Agent, Stage};

/// Counts of records by mapping, side and deed.
type Deeds = BTreeMap<(&'static str, &'static str, String), u64>;

/// What both mappings are called on both sides.
const MAPPINGS: [(&str, &str, &str); 2] =
    [("accounts", "Account", "cusaccount"), ("contacts", "Contact", "nmsrecipient")];

/// So many calls are made beyond a tenth where rounds begin before they are full.
const ROUNDS: u64 = 12;

/// A plan.
pub(crate) struct Foretold {
    deeds: Deeds,
    calls: BTreeMap<&'static str, u64>,
    /// How many rows Campaign's tables had.
    rows: BTreeMap<&'static str, u64>,
}

impl Foretold {
    /// Has a plan made, before anything has run.
    pub(crate) async fn read(stage: &Stage) -> Self {
        let plan: Json =
            serde_json::from_str(&stage.truce(&["plan", "--json"]).await.unwrap()).unwrap();
        let mut deeds = Deeds::new();
        for (mapping, ..) in MAPPINGS {
            for side in ["campaign", "crm"] {
                for (deed, count) in plan["mappings"][mapping][side].as_object().unwrap() {
                    let deed = deed.replace("opt_out", "update");
                    *deeds.entry((mapping, side, deed)).or_default() += count.as_u64().unwrap();
                }
            }
        }
        let accounts = plan["accounts"].as_object().unwrap();
        let account = accounts.values().next().unwrap();
        let calls = [("scan", "to_scan"), ("read", "to_read"), ("write", "to_write")];
        let calls = calls.map(|(kind, name)| (kind, account[name].as_u64().unwrap())).into();
        Self { deeds, calls, rows: rows(stage).await }
    }

    /// Compares: to the record, and within a tenth of the calls but for a few rounds that were not full.
    pub(crate) async fn compare(&self, stage: &Stage, agent: &Agent) {
        let mut done = Deeds::new();
        let rows = rows(stage).await;
        for (mapping, object, table) in MAPPINGS {
            for change in stage.screen.history(object).await.unwrap() {
                if change["via"] == "api" {
                    let deed = change["deed"].as_str().unwrap().to_owned();
                    *done.entry((mapping, "crm", deed)).or_default() += 1;
                }
            }
            let made = rows[table] - self.rows[table];
            if 0 < made {
                done.insert((mapping, "campaign", "create".to_owned()), made);
            }
        }
        let updated = "select count(distinct new->>'irecipientid') from people_audit
                        where who = 'truce' and old is not null";
        let updated = count(stage, updated).await;
        if 0 < updated {
            done.insert(("contacts", "campaign", "update".to_owned()), updated);
        }
        println!("planned {:?} and {:?}", self.deeds, self.calls);
        assert_eq!(done, self.deeds, "the run did what was planned");
        let (mut planned, mut made) = (0, 0);
        for (kind, calls) in &self.calls {
            let label = format!("kind=\"{kind}\"");
            let told = agent.metric("truce_crm_calls_total", &label).await.unwrap_or(0.0);
            println!("{kind}: {calls} calls planned, {told} made");
            planned += calls;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            let told = told as u64;
            made += told;
        }
        // How full the rounds are depends on when the pages of a scan come in, and a reading or two come
        // of answers that are awaited.
        let (least, most) = (planned - planned / 10, planned + planned / 10 + ROUNDS);
        assert!((least..=most).contains(&made), "{planned} calls planned, {made} made");
    }
}

async fn rows(stage: &Stage) -> BTreeMap<&'static str, u64> {
    let mut rows = BTreeMap::new();
    for (.., table) in MAPPINGS {
        rows.insert(table, count(stage, &format!("select count(*) from {table}")).await);
    }
    rows
}

async fn count(stage: &Stage, sql: &str) -> u64 {
    let rows = stage.desk.read(sql, &[]).await.unwrap();
    u64::try_from(rows[0].get::<_, i64>(0)).unwrap()
}
