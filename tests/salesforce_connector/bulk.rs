//! What goes as a job comes to what calls come to, whatever becomes of the job.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value as Json, json};
use truce::crm::http::Call;
use truce::crm::salesforce::Bulk;
use truce::peer::{Notes, PeerError, Scan as _, Writer as _};
use truce::reconcile::{Consent, LinkId, Outcome, Presence, RecordId, RefusalKind, Value, Write};

use crate::stage::{
    CONSENT, CONTACTS, DESCRIPTION, EMAIL, LAST_NAME, MEMBER, SCORE, Stage, TITLE, expecting, text,
};

const DONE: Outcome = Outcome::Done { created: None, xid: None };

/// Writes as jobs from so few that a test has them.
async fn eager() -> Stage {
    Stage::with(|settings| {
        settings.batch = 1;
        let look = Duration::from_millis(1);
        settings.bulk = Bulk {
            from_records: Some(16),
            look_first: look,
            look_longest: look,
            patience: Duration::from_millis(50),
        };
    })
    .await
}

async fn contacts(stage: &Stage, count: usize) -> Vec<RecordId> {
    let records: Vec<Json> = (0..count)
        .map(|n| json!({ "LastName": format!("n{n}"), "SystemModstamp": "2026-10-01T00:00:00Z" }))
        .collect();
    let made = stage.order("seed", json!({ "object": "Contact", "records": records })).await;
    let ids = made["ids"].as_array().unwrap().iter();
    ids.map(|id| RecordId::from(id.as_str().unwrap())).collect()
}

fn titled(stage: &mut Stage, ids: &[RecordId]) -> Vec<Write> {
    let mut writes = Vec::new();
    for (n, id) in ids.iter().enumerate() {
        let write = stage.set(id, &[(TITLE, text(&format!("t{n}")))]);
        writes.push(expecting(write, TITLE, Value::Null));
    }
    writes
}

/// Keeps what it is told of jobs.
#[derive(Default)]
struct Told(Mutex<Vec<Option<String>>>);

impl Notes for Told {
    async fn note(&self, _: Vec<LinkId>, _: u64) -> Result<(), PeerError> {
        panic!("a CRM has no transactions to note");
    }

    async fn job(&self, job: Option<&str>) -> Result<(), PeerError> {
        self.0.lock().unwrap().push(job.map(str::to_owned));
        Ok(())
    }
}

async fn jobs(stage: &Stage) -> u64 {
    let told = stage.look("counters").await;
    told["by_kind"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(kind, _)| kind.contains("ingest"))
        .filter_map(|(_, count)| count.as_u64())
        .sum()
}

#[tokio::test]
async fn many_updates_go_as_one_job_each_with_its_own_outcome() {
    let mut stage = eager().await;
    let ids = contacts(&stage, 40).await;
    stage.edit(&ids[3], json!({ "Title": "theirs" })).await;
    stage.order("delete", json!({ "object": "Contact", "ids": [&*ids[4].0] })).await;
    let mut writes = titled(&mut stage, &ids);
    writes[5] = stage.set(&ids[5], &[(EMAIL, text("no mail"))]);
    writes[6] = stage.set(&ids[6], &[(DESCRIPTION, text("a \"b\", c\nd")), (SCORE, Value::Null)]);
    writes[7] = stage.set(&ids[7], &[(TITLE, text("#N/A"))]);
    let told = Told::default();
    let before = stage.crm.account().calls().made(Call::Write);
    let outcomes = stage.writer.write(writes, &told, &mut stage.ticks).await.unwrap();
    let calls = stage.crm.account().calls().made(Call::Write) - before;
    assert!(
        matches!(&outcomes[3], Outcome::Stale(Some(seen)) if seen.value(TITLE) == Some(&text("theirs")))
    );
    assert!(
        matches!(&outcomes[4], Outcome::Gone(Some(seen)) if matches!(seen.presence, Presence::Gone(_)))
    );
    let Outcome::Refused(refusal) = &outcomes[5] else { panic!("{:?}", outcomes[5]) };
    assert_eq!((&*refusal.code, &refusal.kind), ("INVALID_EMAIL_ADDRESS", &RefusalKind::Record));
    assert_eq!(refusal.fields, [EMAIL]);
    for n in (0..3).chain(6..40) {
        assert_eq!(outcomes[n], DONE, "{n}");
    }
    assert_eq!(stage.held(&ids[6]).await["Description"], "a \"b\", c\nd");
    assert_eq!(stage.held(&ids[7]).await["Title"], "#N/A", "by a call: no cell can say it");
    assert_eq!(stage.held(&ids[39]).await["Title"], "t39");
    assert!(calls < 12, "{calls} calls");
    let told = told.0.lock().unwrap().clone();
    assert!(matches!(told.as_slice(), [Some(_), None]), "{told:?}");
}

#[tokio::test]
async fn creates_go_as_a_job_but_no_opt_out_does() {
    let mut stage = eager().await;
    let mut writes = Vec::new();
    for n in 0..30 {
        let row = [(LAST_NAME, text(&format!("n{n}"))), (CONSENT, Value::Consent(Consent::In))];
        writes.push(stage.create(&n.to_string(), &row));
    }
    let out = [(LAST_NAME, text("out")), (CONSENT, Value::Consent(Consent::Out))];
    writes[9] = stage.create("9", &out);
    let outcomes = stage.write(writes).await.unwrap();
    let made = stage.contacts().await;
    assert_eq!(made.len(), 30, "none twice");
    for (n, outcome) in outcomes.iter().enumerate() {
        let Outcome::Done { created: Some(id), .. } = outcome else { panic!("{n}: {outcome:?}") };
        let record = made.iter().find(|record| record["Id"] == *id.0).unwrap();
        assert_eq!(record["Truce_Id__c"], format!("campaign:{n}"), "its own, in whatever order");
    }
    assert_eq!(stage.requests("upsert").await, 1, "the one that opts out, by a call");
}

#[tokio::test]
async fn a_job_that_fails_half_way_leaves_the_rest_to_be_tried_again() {
    let mut stage = eager().await;
    let ids = contacts(&stage, 40).await;
    let order = json!({ "batch": 10, "fail_after": 2, "message": "InternalServerError : no" });
    stage.order("bulk", order).await;
    let writes = titled(&mut stage, &ids);
    let outcomes = stage.write(writes).await.unwrap();
    let (mut done, mut later) = (0, 0);
    for (id, outcome) in ids.iter().zip(&outcomes) {
        let titled = stage.held(id).await["Title"] != Json::Null;
        if matches!(outcome, Outcome::Later(_)) {
            assert!(!titled);
            later += 1;
        } else {
            assert!(*outcome == DONE && titled, "{outcome:?}");
            done += 1;
        }
    }
    assert_eq!((done, later), (20, 20));
}

#[tokio::test]
async fn a_job_that_takes_too_long_is_aborted_and_does_nothing_later() {
    let mut stage = eager().await;
    let ids = contacts(&stage, 20).await;
    stage.order("bulk", json!({ "seconds": 3_600 })).await;
    let told = Told::default();
    let writes = titled(&mut stage, &ids);
    let outcomes = stage.writer.write(writes, &told, &mut stage.ticks).await.unwrap();
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Later(_))), "{outcomes:?}");
    stage.at(7_200).await;
    assert_eq!(stage.held(&ids[0]).await["Title"], Json::Null);
    assert_eq!(told.0.lock().unwrap().last(), Some(&None), "no job is left");
}

#[tokio::test]
async fn lost_answers_of_a_job_are_resolved_by_looking_and_never_by_a_second_job() {
    for (method, path) in [("POST", "jobs/ingest"), ("PUT", "batches"), ("PATCH", "jobs/ingest/")] {
        let mut stage = eager().await;
        let ids = contacts(&stage, 20).await;
        let fault = json!({ "count": 1, "kind": "reset", "effect": "after", "method": method,
            "path_contains": path });
        stage.order("fail", fault).await;
        let writes = titled(&mut stage, &ids);
        let outcomes = match stage.write(writes).await {
            Ok(outcomes) => outcomes,
            // Nothing was carried out: it was not closed.
            Err(error) => {
                assert!(matches!(error, PeerError::Transient { .. }), "{method}: {error:?}");
                vec![Outcome::Later(Duration::ZERO.into()); 20]
            }
        };
        for (id, outcome) in ids.iter().zip(&outcomes) {
            let titled = stage.held(id).await["Title"] != Json::Null;
            let later = matches!(outcome, Outcome::Later(_));
            assert!(later || *outcome == DONE, "{method}: {outcome:?}");
            assert_eq!(titled, !later, "{method}");
        }
        let jobs = jobs(&stage).await;
        assert!(jobs <= 12, "{method}: {jobs} requests");
    }
}

#[tokio::test]
async fn results_that_cannot_be_read_leave_their_rows_to_be_read() {
    let mut stage = eager().await;
    let ids = contacts(&stage, 20).await;
    let fault = json!({ "count": 50, "kind": "answer", "status": 500, "path_contains": "successfulResults" });
    stage.order("fail", fault).await;
    let writes = titled(&mut stage, &ids);
    let outcomes = stage.write(writes).await.unwrap();
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Lost), "{outcomes:?}");
    assert_eq!(stage.held(&ids[0]).await["Title"], "t0", "its stamp will tell");
}

#[tokio::test]
async fn a_job_that_an_earlier_leader_left_running_is_ended() {
    let mut stage = eager().await;
    let ids = contacts(&stage, 20).await;
    stage.order("bulk", json!({ "seconds": 3_600 })).await;
    let told = Told::default();
    let writes = titled(&mut stage, &ids);
    {
        let writing = stage.writer.write(writes, &told, &mut stage.ticks);
        tokio::pin!(writing);
        // Killed while the job runs.
        loop {
            tokio::select! {
                _ = &mut writing => panic!("it takes an hour"),
                () = tokio::time::sleep(Duration::from_millis(1)) => (),
            }
            if !told.0.lock().unwrap().is_empty() {
                break;
            }
        }
    }
    let job = told.0.lock().unwrap()[0].clone().unwrap();
    stage.writer.end_job(&job).await.unwrap();
    stage.writer.end_job(&job).await.unwrap();
    stage.writer.end_job("750xx0000000999AAA").await.unwrap();
    stage.at(7_200).await;
    assert_eq!(stage.held(&ids[0]).await["Title"], Json::Null);
}

#[tokio::test]
async fn a_large_object_is_read_as_one_job_and_goes_on_by_another() {
    let mut stage = eager().await;
    let mut made = contacts(&stage, 30_000).await;
    made.sort();
    stage
        .edit(&made[7], json!({ "Score__c": 12.5, "DoNotCall": true, "Description": "a,\n\"b\"" }))
        .await;
    let mut scan = stage.crm.scan();
    let (mut seen, mut last) = (Vec::new(), None);
    let before = stage.crm.account().calls().made(Call::Scan);
    loop {
        let page = scan.scan(CONTACTS, last.as_ref(), 100_000, &mut stage.ticks).await.unwrap();
        let Some(end) = page.last() else { break };
        last = Some(end.record.clone());
        seen.extend(page);
        if seen.len() == 20_000 {
            // Whoever takes over has no job, and the rest is not worth one.
            scan = stage.crm.scan();
        }
    }
    let calls = stage.crm.account().calls().made(Call::Scan) - before;
    assert!(seen.iter().map(|seen| &seen.record).eq(&made));
    assert!(calls < 14, "{calls} calls");
    let read = scan.read(CONTACTS, &made[7..8], &mut stage.ticks).await.unwrap();
    assert_eq!(seen[7].presence, read[0].presence, "as a query tells it");
    assert_eq!(seen[7].modified, read[0].modified);
    assert!(seen[7].at < read[0].at, "ordered by when the job was asked for");
    assert_eq!(seen[0].value(MEMBER), Some(&Value::Null));
}

/// Spoils all requests of this kind; says later how many there were.
async fn refuse(stage: &Stage, code: &str, (method, path): (&str, &str)) {
    let fault = json!({ "count": 50, "status": 400, "code": code, "method": method,
        "path_contains": path });
    stage.order("fail", fault).await;
}

async fn refused(stage: &Stage) -> u64 {
    stage.look("faults").await["answers"][0]["hits"].as_u64().unwrap()
}

#[tokio::test]
async fn writes_go_by_calls_where_no_job_is_to_be_had_and_jobs_are_left_alone() {
    const MADE: (&str, &str) = ("POST", "jobs/ingest");
    for (code, step) in [
        ("LIMIT_EXCEEDED", MADE),
        ("EXCEEDED_QUOTA", MADE),
        ("FUNCTIONALITY_NOT_ENABLED", MADE),
        ("FEATURENOTENABLED", MADE),
        ("INSUFFICIENT_ACCESS", MADE),
        ("LIMIT_EXCEEDED", ("PUT", "batches")),
        ("EXCEEDED_QUOTA", ("PATCH", "jobs/ingest/")),
    ] {
        let mut stage = eager().await;
        let ids = contacts(&stage, 20).await;
        refuse(&stage, code, step).await;
        assert_eq!(stage.writer.appetite(20), 20);
        let writes = titled(&mut stage, &ids);
        let told = Told::default();
        let outcomes = stage.writer.write(writes, &told, &mut stage.ticks).await.unwrap();
        assert_eq!(outcomes, vec![DONE; 20], "{code} {step:?}");
        assert!(told.0.lock().unwrap().last().is_none_or(Option::is_none), "no job is left");
        assert_eq!(stage.crm.account().usage().paused, None, "{code} {step:?}");

        let again = ids.iter().map(|id| stage.set(id, &[(TITLE, text("again"))])).collect();
        assert_eq!(stage.write(again).await.unwrap(), vec![DONE; 20], "{code} {step:?}");
        let tries = refused(&stage).await;
        assert_eq!(tries, 1, "{code} {step:?}");
        assert_eq!(stage.writer.appetite(20), 0, "as many as come");
    }
}

/// Keeps the ends of jobs from being noted.
struct Unended;

impl Notes for Unended {
    async fn note(&self, _: Vec<LinkId>, _: u64) -> Result<(), PeerError> {
        panic!("a CRM has no transactions to note");
    }

    async fn job(&self, job: Option<&str>) -> Result<(), PeerError> {
        let source = "the ledger is away".into();
        let error = PeerError::Transient { doing: "noting the end of a job", source };
        job.map(|_| ()).ok_or(error)
    }
}

#[tokio::test]
async fn what_a_job_did_is_told_also_where_its_end_is_not_noted() {
    let mut stage = eager().await;
    let ids = contacts(&stage, 20).await;
    let writes = titled(&mut stage, &ids);
    let outcomes = stage.writer.write(writes, &Unended, &mut stage.ticks).await.unwrap();
    assert_eq!(outcomes, vec![DONE; 20]);
    let again = ids.iter().map(|id| stage.set(id, &[(TITLE, text("again"))])).collect();
    let told = Told::default();
    assert_eq!(stage.writer.write(again, &told, &mut stage.ticks).await.unwrap(), vec![DONE; 20]);
    let told = told.0.lock().unwrap().clone();
    assert!(matches!(told.as_slice(), [None, Some(_), None]), "the first is ended first: {told:?}");
}

#[tokio::test]
async fn a_scan_goes_by_calls_where_no_job_is_to_be_had_and_jobs_are_left_alone() {
    for code in ["LIMIT_EXCEEDED", "EXCEEDED_QUOTA", "FUNCTIONALITY_NOT_ENABLED"] {
        let mut stage = eager().await;
        let made = contacts(&stage, 27_000).await;
        refuse(&stage, code, ("POST", "jobs/query")).await;
        for _ in 0..2 {
            let mut scan = stage.crm.scan();
            let page = scan.scan(CONTACTS, None, 100_000, &mut stage.ticks).await.unwrap();
            assert_eq!(page.len(), 2_000);
            assert!(made.contains(&page[0].record));
        }
        assert_eq!(refused(&stage).await, 1, "{code}");
        assert_eq!(stage.crm.account().usage().paused, None, "{code}");
        assert_eq!(stage.writer.appetite(20), 20, "{code}: jobs that write are another allowance");
    }
}
