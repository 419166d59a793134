//! What differs between the CRMs that the run is played in: what can go wrong in each, what people do
//! there in their own way, and what calls may cost.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use truce::simulator::any::Kind;
use truce::simulator::people::Screen;

use crate::size::Size;

/// The window of service protection, while it is made small.
const WINDOW_S: u32 = 4;

/// The config of a stage, as this run needs it.
pub(crate) fn adjusted(kind: Kind, config: &str, size: &Size) -> String {
    match kind {
        // Commits are held back for minutes here, and nobody may miss them.
        Kind::Salesforce => {
            let late = format!("late_commit_seconds = {}", size.held_back.as_secs() + 30);
            config
                .replace("late_commit_seconds = 2", &late)
                .replace("[crm.salesforce]\n", "[crm.salesforce]\nwide_seconds = 10\n")
        }
        Kind::Dynamics => config.to_owned(),
    }
}

/// Answers that fail before and after their effect, locks, limits, and tokens that die; all these
/// orders, the last of them about single people.
pub(crate) fn trouble(kind: Kind, people: &[&str]) -> Vec<(&'static str, Value)> {
    let mut orders = vec![
        ("fail", json!({"count": 5, "status": 503})),
        ("fail", json!({"count": 2, "kind": "html", "status": 502})),
        ("tokens", json!({"expire": true})),
    ];
    let lost = json!({"count": 3, "kind": "reset", "effect": "after"});
    match kind {
        Kind::Salesforce => {
            orders.push(("fail", with(lost, json!({"method": "PATCH"}))));
            orders.extend(people.iter().map(|id| {
                let lock = json!({
                    "key": id, "statusCode": "UNABLE_TO_LOCK_ROW", "count": 2,
                    "message": "unable to obtain exclusive access to this record",
                });
                ("fail-record", lock)
            }));
        }
        Kind::Dynamics => {
            orders.push(("fail", with(lost, json!({"method": "POST", "path_contains": "$batch"}))));
            // The three limits of service protection, and then one of them by its own accounts.
            for code in ["0x80072321", "0x80072322", "0x80072326"] {
                orders.push(("fail", json!({"count": 2, "status": 429, "code": code})));
            }
            orders.push(("limits", json!({"requests": 40, "window_s": WINDOW_S})));
            // Changes that are told twice, and a place in them that is worth nothing any more.
            orders.push(("tracking", json!({"expire": true, "repeats": true})));
            orders.extend(people.iter().map(|id| {
                let code = "0x80071154";
                ("fail-record", json!({"key": id, "code": code, "count": 2}))
            }));
        }
    }
    orders
}

/// From now on the CRM is slow to show what people do; and at once again.
pub(crate) fn late(kind: Kind, size: &Size) -> (&'static str, Value) {
    match kind {
        Kind::Salesforce => ("hold", json!({"seconds": size.held_back.as_secs(), "via": "user"})),
        // What is committed shows at once. But all is loaded anew now, while people go on.
        Kind::Dynamics => ("tracking", json!({"expire": true})),
    }
}

pub(crate) fn prompt(kind: Kind) -> (&'static str, Value) {
    match kind {
        Kind::Salesforce => ("hold", json!({"seconds": 0})),
        Kind::Dynamics => ("tracking", json!({"repeats": false})),
    }
}

/// All is well again, but for what is over by itself.
pub(crate) fn relief(kind: Kind) -> Vec<(&'static str, Value)> {
    match kind {
        Kind::Salesforce => Vec::new(),
        Kind::Dynamics => vec![
            ("limits", json!({"requests": 6_000, "window_s": 300, "clear": true})),
            ("tracking", json!({"repeats": false})),
        ],
    }
}

/// The order that makes one contact of two.
pub(crate) fn merge(kind: Kind, winner: &str, loser: &str) -> Value {
    match kind {
        Kind::Salesforce => json!({"object": "Contact", "winner": winner, "losers": [loser]}),
        Kind::Dynamics => json!({"table": "contact", "master": winner, "subordinate": loser}),
    }
}

/// Words of people that may have lain between a read of the CRM and the write behind it, of so many
/// contested ones: none, where each write is under the version that was read.
pub(crate) fn excused_max(kind: Kind, contested: usize) -> usize {
    match kind {
        Kind::Salesforce => contested / 10,
        Kind::Dynamics => 0,
    }
}

/// When contacts were read by their ids, request and time, where a write does not say by itself what it
/// replaces.
pub(crate) async fn reads(kind: Kind, screen: &Screen) -> BTreeMap<String, Vec<(u64, i64)>> {
    let mut reads = BTreeMap::<String, Vec<(u64, i64)>>::new();
    match kind {
        Kind::Dynamics => {}
        Kind::Salesforce => {
            let log = screen.look("requests").await.unwrap();
            for request in log["requests"].as_array().unwrap() {
                let place = (request["n"].as_u64().unwrap(), request["at_ms"].as_i64().unwrap());
                for id in request["ids"].as_array().unwrap() {
                    reads.entry(id.as_str().unwrap().to_owned()).or_default().push(place);
                }
            }
        }
    }
    reads
}

/// Calls so far that read records by their ids before they are written, and that write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calls {
    pub(crate) reads: u64,
    pub(crate) writes: u64,
}

pub(crate) async fn calls(kind: Kind, screen: &Screen) -> Calls {
    let counters = screen.look("counters").await.unwrap();
    let sum = |names: &[&str]| -> u64 {
        names.iter().map(|name| counters["by_kind"][name].as_u64().unwrap_or(0)).sum()
    };
    match kind {
        Kind::Salesforce => Calls {
            reads: sum(&["retrieve", "read"]),
            writes: sum(&["upsert", "create", "update", "delete"]),
        },
        Kind::Dynamics => Calls {
            reads: reads_for_writes(screen).await,
            writes: sum(&["batch", "multiple", "create", "update", "delete"]),
        },
    }
}

/// Reads of rows by their ids, without those that belong to polls: a changed row does not say of which
/// table its account is, and what was told while a write of its record was under way is read anew.
/// So each page of changes may be read twice more.
async fn reads_for_writes(screen: &Screen) -> u64 {
    let log = screen.look("requests").await.unwrap();
    let (mut reads, mut polls) = (0, 0);
    for request in log["requests"].as_array().unwrap() {
        let scans = request["target"].as_str().unwrap().contains("orderby");
        match request["kind"].as_str().unwrap() {
            "query" | "read" if !scans => reads += 1,
            "changes" => polls += 2 * request["rows"].as_u64().unwrap().div_ceil(READ),
            _ => {}
        }
    }
    u64::saturating_sub(reads, polls)
}

/// So many rows are asked for by their ids in one address.
const READ: u64 = 150;

/// Waits until nothing but polls is asked any more: where a place in the changes was lost, all is
/// compared, and that goes on while both sides agree already.
pub(crate) async fn at_rest(kind: Kind, screen: &Screen) {
    /// More than there are between two reads of a comparison.
    const POLLS: usize = 20;
    match kind {
        // Its comparisons are none of the calls that are counted.
        Kind::Salesforce => return,
        Kind::Dynamics => {}
    }
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(500));
    loop {
        tick.tick().await;
        let log = screen.look("requests").await.unwrap();
        let log = log["requests"].as_array().unwrap();
        let mut polls = log.iter().rev().take_while(|request| request["kind"] == "changes");
        if polls.nth(POLLS).is_some() {
            return;
        }
    }
}

/// What was asked since this request, a line each: for the message of a run that asks too much.
pub(crate) async fn asked_since(screen: &Screen, last: u64) -> String {
    let log = screen.look(&format!("requests?since={last}")).await.unwrap();
    let line = |request: &Value| {
        let target = request["target"].as_str().unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let options: Vec<String> = query
            .split('&')
            .filter(|option| !option.contains("select"))
            .map(|option| option.chars().take(60).collect())
            .collect();
        let (kind, rows) = (&request["kind"], &request["rows"]);
        format!("{kind} {path} {} ({rows} rows)", options.join("&"))
    };
    let lines: Vec<String> = log["requests"].as_array().unwrap().iter().map(line).collect();
    lines.join("\n")
}

/// The most calls that so many changed contacts may cost. Consent has calls of its own, and so has
/// what both sides edited: it is read and decided again.
pub(crate) fn calls_max(kind: Kind, contacts: u64) -> u64 {
    let writes = contacts.div_ceil(200);
    let reads = match kind {
        Kind::Salesforce => contacts.div_ceil(2_000),
        Kind::Dynamics => contacts.div_ceil(READ),
    };
    (writes + reads) * 11 / 10 + 6
}

fn with(order: Value, more: Value) -> Value {
    let (Value::Object(mut order), Value::Object(more)) = (order, more) else {
        panic!("orders are objects")
    };
    order.extend(more);
    Value::Object(order)
}
