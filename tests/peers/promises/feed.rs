//! What a feed promises: all that was committed after the cursor, twice rather than never.

use std::collections::BTreeMap;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use truce::peer::Feed as _;
use truce::reconcile::{
    Consent, Gone, Observation, Outcome, Presence, Read, RecordId, Row, Side, Value,
};

use crate::stage::{Desk, Follower, Stage, Tells, expecting, is_done, of, titles, written};

/// What a record has come to by what was told: fields that a sighting leaves out stay as they were.
fn come_to(seen: &[&Observation]) -> Option<Row> {
    seen.iter().fold(None, |known, seen| match &seen.presence {
        Presence::Here { row, .. } => {
            let mut now: Row = known.unwrap_or_default();
            now.extend(row.clone());
            Some(now)
        }
        Presence::Gone(_) => None,
    })
}

fn told_titles<S: Stage>(seen: &[&Observation]) -> Vec<Value> {
    seen.iter().filter_map(|seen| seen.value(S::TERMS.title)).cloned().collect()
}

pub(crate) async fn everything_that_was_committed_after_a_cursor_is_told<S: Stage>() {
    let mut stage = S::new().await;
    let old = stage.make(&titles(2)).await;
    let mut follower = Follower::begin(&mut stage).await;
    let new = stage.make(&["made".to_owned()]).await.remove(0);
    for title in ["one", "two", "three"] {
        stage.edit(&old[0], title).await;
    }
    stage.opt_out(&old[1]).await;
    let told = follower.told(&mut stage).await;
    let holds = |record: &RecordId| come_to(&of(&told, record)).expect("it is told, and there");
    assert_eq!(holds(&new)[&S::TERMS.title], Value::text("made"));
    assert_eq!(holds(&old[0])[&S::TERMS.title], Value::text("three"));
    assert_eq!(holds(&old[1])[&S::TERMS.consent], Value::Consent(Consent::Out));
    match S::TERMS.tells {
        Tells::Latest => {}
        Tells::Every => {
            let each = told_titles::<S>(&of(&told, &old[0]));
            let expected = ["one", "two", "three"].map(Value::text);
            assert!(each.ends_with(&expected), "each change, in its order: {each:?}");
        }
    }
}

pub(crate) async fn what_happens_between_two_looks_is_told_with_each<S: Stage>() {
    let mut stage = S::new().await;
    let id = stage.make(&["zero".to_owned()]).await.remove(0);
    let mut follower = Follower::begin(&mut stage).await;
    let mut last = None;
    for title in ["one", "two", "three"] {
        stage.edit(&id, title).await;
        let told = follower.told(&mut stage).await;
        let own = of(&told, &id);
        assert_eq!(come_to(&own).unwrap()[&S::TERMS.title], Value::text(title));
        let at = own.last().map(|seen| seen.at);
        assert!(last < at, "what was seen later stands later: {last:?}, {at:?}");
        last = at;
    }
}

pub(crate) async fn nothing_is_told_that_did_not_happen<S: Stage>() {
    let mut stage = S::new().await;
    let (mut desk, ids) = (Desk::default(), stage.make(&titles(3)).await);
    let mut held: BTreeMap<RecordId, Vec<Value>> = BTreeMap::new();
    for (id, title) in ids.iter().zip(titles(3)) {
        held.entry(id.clone()).or_default().push(Value::text(&title));
    }
    let mut follower = Follower::begin(&mut stage).await;
    stage.edit(&ids[0], "edited").await;
    held.get_mut(&ids[0]).unwrap().push(Value::text("edited"));
    let bad = stage.bad().await;
    let refused = desk.set::<S>(&ids[1], bad.field, bad.value);
    let late = desk.title::<S>(&ids[2], "never");
    let late = expecting(late, S::TERMS.title, Value::text("seen by nobody"));
    let outcomes = stage.write(vec![refused, late]).await.unwrap();
    assert!(!outcomes.iter().any(is_done), "{outcomes:?}");
    let told = follower.told(&mut stage).await;
    for (id, held) in &held {
        for title in told_titles::<S>(&of(&told, id)) {
            assert!(held.contains(&title), "{id} never held {title:?}");
        }
    }
    let living = stage.living().await;
    let gone = |seen: &&Observation| seen.row().is_none() || !living.contains(&seen.record);
    assert_eq!(told.iter().find(gone), None, "all of them are there");
    // And where nothing happened, nothing new is told.
    let again = follower.told(&mut stage).await;
    let new = |seen: &&Observation| !told.iter().any(|told| told.presence == seen.presence);
    assert_eq!(again.iter().filter(|seen| held.contains_key(&seen.record)).find(new), None);
}

pub(crate) async fn a_deletion_is_told<S: Stage>() {
    let mut stage = S::new().await;
    let ids = stage.make(&titles(2)).await;
    let mut follower = Follower::begin(&mut stage).await;
    stage.edit(&ids[0], "before it went").await;
    stage.delete(&ids[0]).await;
    let told = follower.told(&mut stage).await;
    let own = of(&told, &ids[0]);
    let last = own.last().expect("it is told");
    assert_eq!(last.presence, Presence::Gone(Gone::Deleted));
    let gone = of(&told, &ids[1]).iter().any(|seen| seen.row().is_none());
    assert!(!gone, "its neighbour is there");
}

pub(crate) async fn a_cursor_goes_on_after_a_fall<S: Stage>() {
    let mut stage = S::new().await;
    let mut follower = Follower::begin(&mut stage).await;
    // Many at once, and then a few at a time.
    let (many, few) = (titles(12), titles(11));
    let mut made = stage.make(&many).await;
    for some in few.chunks(2) {
        made.extend(stage.make(some).await);
    }
    let first = follower.page(&mut stage).await;
    follower.keep(&first).await;
    // Read, and not kept: whoever comes next is told of it again.
    let lost = follower.page(&mut stage).await;
    follower.fall(&mut stage).await;
    stage.edit(&made[0], "after the fall").await;
    let told = follower.told(&mut stage).await;
    let again = |seen: &&Observation| !told.iter().any(|told| told.record == seen.record);
    assert_eq!(lost.observations.iter().find(again), None, "what was not kept is told again");
    let all: Vec<_> = first.observations.into_iter().chain(told).collect();
    let missing = made.iter().find(|id| of(&all, id).is_empty());
    assert_eq!(missing, None, "of {} records", made.len());
    let first = come_to(&of(&all, &made[0])).unwrap();
    assert_eq!(first[&S::TERMS.title], Value::text("after the fall"));
}

pub(crate) async fn a_page_that_was_not_kept_is_told_again<S: Stage>() {
    let mut stage = S::new().await;
    let mut follower = Follower::begin(&mut stage).await;
    let id = stage.make(&["made".to_owned()]).await.remove(0);
    for _ in 0..3 {
        let (mut seen, mut pages) = (Vec::new(), 0);
        // An idle position may come first, where the log moved without a change of ours.
        while of(&seen, &id).is_empty() {
            assert!(pages < 100, "it is not told");
            seen.extend(follower.page(&mut stage).await.observations);
            pages += 1;
        }
    }
    assert!(!of(&follower.told(&mut stage).await, &id).is_empty());
}

pub(crate) async fn a_question_that_was_broken_off_loses_nothing<S: Stage>() {
    let mut stage = S::new().await;
    let mut follower = Follower::begin(&mut stage).await;
    let made = stage.make(&titles(12)).await;
    let mut seen = Vec::new();
    for polls in 1..=8 {
        let page = {
            let asked = stage.ask();
            let page = follower.feed.page(&follower.cursor, Duration::from_millis(100), asked);
            dropped_after(polls, page).await
        };
        // Where it was answered before, it is kept as any other.
        if let Some(page) = page {
            let page = page.unwrap();
            follower.keep(&page).await;
            seen.extend(page.observations);
        }
    }
    seen.extend(follower.told(&mut stage).await);
    assert_eq!(made.iter().find(|id| of(&seen, id).is_empty()), None);
}

/// Asks a future so many times whether it is ready, and drops it.
async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let (mut future, mut left) = (pin!(future), polls);
    std::future::poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

pub(crate) async fn pages_have_a_limit<S: Stage>() {
    let mut stage = S::new().await;
    let mut follower = Follower::begin(&mut stage).await;
    let made = stage.make(&titles(23)).await;
    let mut told = Vec::new();
    for _ in 0..100 {
        let page = follower.page(&mut stage).await;
        follower.keep(&page).await;
        if let Some(most) = S::TERMS.page {
            assert!(page.observations.len() <= most, "{} in a page", page.observations.len());
        }
        told.extend(page.observations);
        if made.iter().all(|id| !of(&told, id).is_empty()) {
            return;
        }
    }
    panic!("a hundred pages do not tell {} records", made.len());
}

pub(crate) async fn our_own_write_comes_back_as_an_echo<S: Stage>() {
    let mut stage = S::new().await;
    let (mut desk, id) = (Desk::default(), stage.make(&titles(1)).await.remove(0));
    let mut follower = Follower::begin(&mut stage).await;
    let write = desk.title::<S>(&id, "ours");
    let stamp = write.stamp;
    let outcome = written(&mut stage, write).await;
    let Outcome::Done { xid, .. } = outcome else { panic!("{outcome:?}") };
    let told = follower.told(&mut stage).await;
    let is_echo = |seen: &&Observation| match (S::TERMS.side, &seen.read) {
        (Side::Crm, _) => seen.stamp == Some(stamp),
        (Side::Campaign, Read::Logged { xid: by }) => Some(*by) == xid,
        (Side::Campaign, Read::Selected(_) | Read::Asked(_)) => false,
    };
    let own = of(&told, &id);
    let echo = own.iter().copied().find(|seen| is_echo(seen)).expect("it comes back");
    assert_eq!(echo.value(S::TERMS.title), Some(&Value::text("ours")));
    // What people do next is not ours.
    stage.pass_time().await;
    stage.edit(&id, "theirs").await;
    let told = follower.told(&mut stage).await;
    assert_eq!(come_to(&of(&told, &id)).unwrap()[&S::TERMS.title], Value::text("theirs"));
}
