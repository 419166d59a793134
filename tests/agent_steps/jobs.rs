//! A job that runs by itself over there is ended by whoever leads next.

use std::sync::Mutex;

use truce::agent::deliver::{deliver, end_job};
use truce::peer::{Ask, Ended, Notes, PeerError, Writer};
use truce::reconcile::{Bond, Entity, Outcome, RecordId, Side, Value, Write};

use crate::stage::{NAME, Stage, pair_of, set, text};

/// Begins a job for whatever it is given, and says no more of it.
#[derive(Default)]
struct Jobs {
    ended: Mutex<Vec<String>>,
    unreachable: bool,
}

impl Writer for Jobs {
    async fn write(
        &self,
        _: Vec<Write>,
        notes: &(impl Notes + Sync),
        _: &mut (dyn Ask + Send),
    ) -> Result<Vec<Outcome>, PeerError> {
        notes.job(Some("750A")).await?;
        std::future::pending().await
    }

    async fn end_job(&self, job: &str) -> Result<(), PeerError> {
        if self.unreachable {
            return Err(PeerError::Unfit { why: "not reached".to_owned() });
        }
        self.ended.lock().unwrap().push(job.to_owned());
        Ok(())
    }

    async fn draw_keys(&self, _: Entity, _: usize) -> Result<Vec<RecordId>, PeerError> {
        panic!("no key is to be drawn")
    }

    async fn transaction(&self, _: u64) -> Result<Option<Ended>, PeerError> {
        panic!("no transaction was lost")
    }
}

#[tokio::test]
async fn a_job_that_was_left_running_is_ended_once() {
    let mut stage = Stage::empty();
    stage.rule(NAME, text());
    let mut link = pair_of(Bond::Here, Bond::Here);
    for side in Side::BOTH {
        set(&mut link, side, NAME, Value::text("ann"));
    }
    link.base.insert(NAME, Value::text("ann"));
    set(&mut link, Side::Campaign, NAME, Value::text("eve"));
    stage.put(link).await;
    let settled = stage.settle().await;
    let (desk, jobs) = (stage.desk(), Jobs::default());
    {
        let delivery = deliver(&desk, Side::Crm, &jobs, &settled);
        // Killed while the job runs.
        tokio::select! {
            biased;
            _ = delivery => panic!("the job says nothing"),
            () = tokio::task::yield_now() => (),
        }
    }
    let down = Jobs { unreachable: true, ..Jobs::default() };
    assert!(end_job(&desk, &down).await.is_err());
    end_job(&desk, &jobs).await.unwrap();
    end_job(&desk, &jobs).await.unwrap();
    assert_eq!(*jobs.ended.lock().unwrap(), ["750A"]);
}
