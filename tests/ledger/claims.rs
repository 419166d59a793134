//! What every ledger promises, each claim for itself.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::json;
use truce::ledger::{
    Awaited, Batch, Counts, Decision, Due, Held, HeldFilter, HeldPage, Keep, Kept, Ledger, Mark,
    Receipt, State, StoreError, Verdict,
};
use truce::peer::Cursor;
use truce::reconcile::{
    Bond, Entity, Field, Lane, Link, LinkId, LinkState, RecordId, Side, Sides, Value,
};

use crate::people::{
    ACCOUNTS, PEOPLE, at, batch, bearing, conflict, due, due_now, ended, link, load, said, stored,
};

pub(crate) async fn numbers_are_given_once(ledger: &impl Ledger) {
    let ask = |fields: &[&str]| {
        let fields = fields.iter().map(|name| (*name).to_owned()).collect();
        vec![("people".to_owned(), fields), ("accounts".to_owned(), vec!["name".to_owned()])]
    };
    let first = ledger.catalog(&ask(&["email", "city"])).await.unwrap();
    let numbers = |name: &str| first.named("people").unwrap().field(name).unwrap();
    assert_eq!((numbers("email"), numbers("city")), (Field(1), Field(2)));
    assert_eq!(first.named("accounts").unwrap().field("name"), Some(Field(3)));
    assert_eq!(first.named("accounts").unwrap().entity, Entity(2));
    // `city` was renamed, and later came back.
    let renamed = ledger.catalog(&ask(&["town", "email"])).await.unwrap();
    assert_eq!(renamed.named("people").unwrap().field("town"), Some(Field(4)));
    assert_eq!(renamed.named("people").unwrap().field("email"), Some(Field(1)));
    let back = ledger.catalog(&ask(&["city"])).await.unwrap();
    assert_eq!(back.named("people").unwrap().field("city"), Some(Field(2)));
    assert_eq!(back.mapping(PEOPLE).unwrap().name, "people");
}

pub(crate) async fn drawn_numbers_rise_and_never_come_again(ledger: &impl Ledger) {
    let mut drawn = Vec::new();
    for count in [1, 3, 0, 1500, 2] {
        let some = ledger.draw(count).await.unwrap();
        assert_eq!(some.len(), count);
        drawn.extend(some);
    }
    assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]));
}

pub(crate) async fn who_comes_second_is_told(ledger: &impl Ledger) {
    let kept = stored(ledger, &[(Some("v1"), None), (Some("v2"), None)]).await;
    let ids: Vec<LinkId> = kept.iter().map(|kept| kept.link.id).collect();
    assert_eq!(kept[0].mark.version(), 1);
    let keep = said(kept[0].clone().keep(), "first");
    let after = keep.mark_after();
    ledger.store(batch(vec![keep])).await.unwrap();
    let stale = vec![said(kept[0].clone().keep(), "second"), said(kept[1].clone().keep(), "b")];
    assert_eq!(conflict(ledger.store(batch(stale)).await), BTreeSet::from([ids[0]]));
    let now = ledger.links(&ids).await.unwrap();
    assert_eq!(now[0].link.base[&Field(1)], Value::text("first"));
    assert_eq!(now[1].link.base.get(&Field(1)), None, "nothing of the batch is stored");
    assert_eq!(now[0].mark, after);
    let goes_on = said(Keep { mark: after, ..now[0].clone().keep() }, "third");
    ledger.store(batch(vec![goes_on])).await.unwrap();
    let again = Keep::new(link(ids[0], None, None));
    assert_eq!(conflict(ledger.store(batch(vec![again])).await), BTreeSet::from([ids[0]]));
    let twice = vec![kept[1].clone().keep(), kept[1].clone().keep()];
    assert!(matches!(ledger.store(batch(twice)).await, Err(StoreError::Ledger(_))));
}

pub(crate) async fn a_batch_is_stored_whole_or_not_at_all(ledger: &impl Ledger) {
    let kept = stored(ledger, &[(Some("w1"), None), (Some("w2"), None)]).await;
    let ids: Vec<LinkId> = kept.iter().map(|kept| kept.link.id).collect();
    let full = |links: Vec<Keep>, removed: Vec<(LinkId, Mark)>, word: &str| Batch {
        links,
        removed,
        cursors: BTreeMap::from([("whole".to_owned(), Cursor(json!({ "at": word })))]),
        decisions: vec![decision(ids[0], 5, word)],
        facts: BTreeMap::from([("whole.fact".to_owned(), json!(word))]),
        ..Batch::new(at(0))
    };
    let good = full(vec![said(kept[0].clone().keep(), "a")], vec![], "good");
    ledger.store(good).await.unwrap();
    let stale = (ids[1], Mark::new());
    let bad = full(vec![said(load(ledger, ids[0]).await.keep(), "b")], vec![stale], "bad");
    assert_eq!(conflict(ledger.store(bad).await), BTreeSet::from([ids[1]]));
    assert_eq!(ledger.cursor("whole").await.unwrap(), Cursor(json!({ "at": "good" })));
    assert_eq!(ledger.fact("whole.fact").await.unwrap(), Some(json!("good")));
    assert_eq!(ledger.decisions(ids[0], 10).await.unwrap(), [decision(ids[0], 5, "good")]);
    assert_eq!(load(ledger, ids[0]).await.link.base[&Field(1)], Value::text("a"));
    let removal = full(vec![], vec![(ids[1], kept[1].mark)], "gone");
    ledger.store(removal).await.unwrap();
    assert_eq!(ledger.links(&ids).await.unwrap().len(), 1);
    assert!(bearing(ledger, Side::Campaign, "w2").await.is_empty());
    assert_eq!(ledger.cursor("another").await.unwrap(), Cursor::start());
    let facts = vec![("whole.fact".to_owned(), json!("gone"))];
    assert_eq!(ledger.facts("whole.").await.unwrap(), facts);
    assert_eq!(ledger.fact("whole").await.unwrap(), None);
    let forgotten = BTreeMap::from([
        ("whole.fact".to_owned(), serde_json::Value::Null),
        ("whole.never".to_owned(), serde_json::Value::Null),
        ("whole.other".to_owned(), json!(["null"])),
    ]);
    ledger.store(Batch { facts: forgotten, ..Batch::new(at(0)) }).await.unwrap();
    let facts = vec![("whole.other".to_owned(), json!(["null"]))];
    assert_eq!(ledger.facts("whole.").await.unwrap(), facts, "one that is null is forgotten");
}

pub(crate) async fn a_record_has_one_live_link(ledger: &impl Ledger) {
    let kept = stored(ledger, &[(Some("r1"), Some("R1")), (Some("r2"), Some("R2"))]).await;
    let (one, two) = (kept[0].link.id, kept[1].link.id);
    let new = ledger.draw(1).await.unwrap()[0];
    let thief = Keep::new(link(new, None, Some("R1")));
    assert_eq!(conflict(ledger.store(batch(vec![thief])).await), BTreeSet::from([new]));
    let mut grasp = kept[1].clone().keep();
    grasp.link.seen.crm.record = Some(RecordId::from("R1"));
    assert_eq!(conflict(ledger.store(batch(vec![grasp])).await), BTreeSet::from([two]));
    // Another mapping may have the same record.
    let mut other = Keep::new(link(new, None, Some("R1")));
    other.link.entity = ACCOUNTS;
    ledger.store(batch(vec![other])).await.unwrap();
    // Two may swap, in one batch.
    let mut swapped = [kept[0].clone().keep(), kept[1].clone().keep()];
    swapped[0].link.seen.crm.record = Some(RecordId::from("R2"));
    swapped[1].link.seen.crm.record = Some(RecordId::from("R1"));
    ledger.store(batch(swapped.to_vec())).await.unwrap();
    assert_eq!(bearing(ledger, Side::Crm, "R1").await, [two]);
    assert_eq!(bearing(ledger, Side::Crm, "R2").await, [one]);
    // But not both have it.
    let both = ledger.links(&[one, two]).await.unwrap();
    let mut both: Vec<Keep> = both.into_iter().map(Kept::keep).collect();
    for keep in &mut both {
        keep.link.seen.crm.record = Some(RecordId::from("R9"));
    }
    assert_eq!(conflict(ledger.store(batch(both)).await), BTreeSet::from([one, two]));
    // One that ends leaves its record to a new one of the same batch.
    let fresh = ledger.draw(1).await.unwrap()[0];
    let tombstone = ended(load(ledger, two).await.keep(), LinkState::Tombstone);
    let heir = Keep::new(link(fresh, None, Some("R1")));
    ledger.store(batch(vec![heir, tombstone])).await.unwrap();
    assert_eq!(bearing(ledger, Side::Crm, "R1").await, [fresh]);
}

pub(crate) async fn aliases_come_with_the_live_one_and_the_past_only_without(ledger: &impl Ledger) {
    let records = [(Some("a1"), Some("A")), (Some("a2"), None), (Some("a3"), None)];
    let kept = stored(ledger, &records).await;
    let ids: Vec<LinkId> = kept.iter().map(|kept| kept.link.id).collect();
    let alias = |n: usize| {
        let mut keep = ended(kept[n].clone().keep(), LinkState::Alias(ids[0]));
        keep.link.seen.crm.record = Some(RecordId::from("A"));
        keep
    };
    ledger.store(batch(vec![alias(1), alias(2)])).await.unwrap();
    assert_eq!(bearing(ledger, Side::Crm, "A").await, ids);
    assert_eq!(bearing(ledger, Side::Campaign, "a3").await, [ids[2]]);
    assert_eq!(load(ledger, ids[1]).await.link.state, LinkState::Alias(ids[0]));
    let tombstone = ended(load(ledger, ids[0]).await.keep(), LinkState::Tombstone);
    ledger.store(batch(vec![tombstone])).await.unwrap();
    assert_eq!(bearing(ledger, Side::Crm, "A").await, ids, "the tombstone, and its aliases");
    let newer = ledger.draw(1).await.unwrap()[0];
    let severed = ended(Keep::new(link(newer, None, Some("A"))), LinkState::Severed);
    ledger.store(batch(vec![severed])).await.unwrap();
    assert_eq!(bearing(ledger, Side::Crm, "A").await, [ids[1], ids[2], newer], "the newest");
    let living = ledger.draw(1).await.unwrap()[0];
    ledger.store(batch(vec![Keep::new(link(living, None, Some("A")))])).await.unwrap();
    assert_eq!(bearing(ledger, Side::Crm, "A").await, [ids[1], ids[2], living]);
    let both = [(PEOPLE, Side::Crm, RecordId::from("A")), (PEOPLE, Side::Crm, "A".into())];
    assert_eq!(ledger.links_of(&both).await.unwrap().len(), 3, "each once");
    assert!(bearing(ledger, Side::Campaign, "A").await.is_empty(), "the other side");
}

pub(crate) async fn live_links_are_found_between_their_records(ledger: &impl Ledger) {
    let ids = ["003B", "003a", "003C", "003A", "004A"];
    let kept = stored(ledger, &ids.map(|id| (None, Some(id)))).await;
    let gone = ended(kept[2].clone().keep(), LinkState::Tombstone);
    ledger.store(batch(vec![gone])).await.unwrap();
    let other = Keep::new(Link { entity: ACCOUNTS, ..link(LinkId(9_000), None, Some("003Bb")) });
    ledger.store(batch(vec![other])).await.unwrap();
    let between = async |after: Option<&str>, until: Option<&str>, limit| {
        let (after, until) = (after.map(RecordId::from), until.map(RecordId::from));
        let stretch = (after.as_ref(), until.as_ref());
        let found = ledger.between(PEOPLE, Side::Crm, stretch, limit).await.unwrap();
        let record = |kept: &Kept| kept.link.record(Side::Crm).unwrap().to_string();
        found.iter().map(record).collect::<Vec<_>>()
    };
    assert_eq!(between(None, None, 9).await, ["003A", "003B", "003a", "004A"], "by their bytes");
    assert_eq!(between(Some("003A"), Some("003a"), 9).await, ["003B", "003a"]);
    assert_eq!(between(Some("003A"), None, 2).await, ["003B", "003a"]);
    assert!(between(Some("004A"), None, 9).await.is_empty());
}

pub(crate) async fn consent_is_due_first_and_then_the_oldest(ledger: &impl Ledger) {
    let records: Vec<String> = (0..6).map(|n| format!("d{n}")).collect();
    let records: Vec<_> = records.iter().map(|record| (Some(record.as_str()), None)).collect();
    let kept = stored(ledger, &records).await;
    let times = [(Lane::Ordinary, 30), (Lane::Ordinary, 10), (Lane::Consent, 40)];
    let later = [(Lane::Consent, 20), (Lane::Ordinary, 500), (Lane::Consent, 501)];
    let dues = times.iter().chain(&later);
    let keeps = kept.iter().zip(dues).map(|(kept, (lane, s))| due(kept.clone().keep(), *lane, *s));
    ledger.store(batch(keeps.collect())).await.unwrap();
    let ids: Vec<LinkId> = kept.iter().map(|kept| kept.link.id).collect();
    assert_eq!(due_now(ledger, 100).await, [ids[3], ids[2], ids[1], ids[0]]);
    let first = ledger.due(&[ACCOUNTS, PEOPLE], &Lane::ALL, at(100), 2).await.unwrap();
    assert_eq!(first.iter().map(|k| k.link.id).collect::<Vec<_>>(), [ids[3], ids[2]]);
    assert!(ledger.due(&[ACCOUNTS], &Lane::ALL, at(100), 9).await.unwrap().is_empty());
    assert_eq!(first[0].mark.due(), Some(Due { lane: Lane::Consent, at: at(20) }));
    let counts = ledger.counts(Timestamp::MAX).await.unwrap();
    assert_eq!(counts.due[&(PEOPLE, Lane::Consent)], 3);
    assert_eq!(counts.due[&(PEOPLE, Lane::Ordinary)], 3);
    assert_eq!(counts.oldest_due[&PEOPLE], at(10));
    assert_eq!(counts.opposed[&PEOPLE], 3, "whenever they are due");
    for (lane, ids) in [(Lane::Consent, [ids[3], ids[2]]), (Lane::Ordinary, [ids[1], ids[0]])] {
        let due = ledger.due(&[PEOPLE], &[lane], at(100), 9).await.unwrap();
        assert_eq!(due.iter().map(|k| k.link.id).collect::<Vec<_>>(), ids);
    }
    // Moved, and done.
    let moved = vec![due(first[0].clone().keep(), Lane::Ordinary, 5), first[1].clone().keep()];
    ledger.store(batch(moved)).await.unwrap();
    assert_eq!(due_now(ledger, 100).await, [ids[3], ids[1], ids[0]]);
    let gone: Vec<_> = ledger.links(&ids).await.unwrap();
    let gone = gone.iter().map(|kept| (kept.link.id, kept.mark)).collect();
    ledger.store(Batch { removed: gone, ..Batch::new(at(0)) }).await.unwrap();
    assert!(due_now(ledger, 1000).await.is_empty());
    assert_eq!(ledger.counts(Timestamp::MAX).await.unwrap(), Counts::default());
}

pub(crate) async fn match_keys_are_replaced_whole(ledger: &impl Ledger) {
    let kept = stored(ledger, &[(Some("m1"), None), (Some("m2"), Some("M2"))]).await;
    let ids: Vec<LinkId> = kept.iter().map(|kept| kept.link.id).collect();
    let keyed = |n: usize, campaign: &[&str], crm: &[&str]| {
        let set = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        let keys = Sides { campaign: set(campaign), crm: set(crm) };
        Keep { keys, ..kept[n].clone().keep() }
    };
    let first = vec![keyed(0, &["ann", "bo\0b"], &[]), keyed(1, &["ann"], &["zoë"])];
    let after: Vec<Mark> = first.iter().map(Keep::mark_after).collect();
    ledger.store(batch(first)).await.unwrap();
    let find = async |entity, side, keys: &[&str]| {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        ledger.matches(entity, side, &keys).await.unwrap()
    };
    let ann = |n: usize| ("ann".to_owned(), ids[n]);
    assert_eq!(find(PEOPLE, Side::Campaign, &["ann", "nobody", "ann"]).await, [ann(0), ann(1)]);
    assert_eq!(find(PEOPLE, Side::Campaign, &["bo\0b"]).await, [("bo\0b".to_owned(), ids[0])]);
    assert_eq!(find(PEOPLE, Side::Crm, &["zoë", "ann"]).await, [("zoë".to_owned(), ids[1])]);
    assert!(find(ACCOUNTS, Side::Crm, &["zoë"]).await.is_empty());
    // The same again changes nothing; others replace them.
    let same = Keep { mark: after[1], ..keyed(1, &["ann"], &["zoë"]) };
    let other = Keep { mark: after[0], ..keyed(0, &["eve"], &[]) };
    ledger.store(batch(vec![same, other])).await.unwrap();
    assert_eq!(find(PEOPLE, Side::Campaign, &["ann"]).await, [ann(1)]);
    assert_eq!(find(PEOPLE, Side::Campaign, &["eve", "bo\0b"]).await, [("eve".to_owned(), ids[0])]);
    let bare = load(ledger, ids[0]).await.keep();
    ledger.store(batch(vec![bare])).await.unwrap();
    assert!(find(PEOPLE, Side::Campaign, &["eve"]).await.is_empty());
}

pub(crate) async fn who_waits_is_woken(ledger: &impl Ledger) {
    let kept = stored(ledger, &[(Some("child"), None), (Some("parent"), None)]).await;
    let (child, parent) = (kept[0].link.id, kept[1].link.id);
    let bearer = (PEOPLE, Side::Campaign, RecordId::from("parent"));
    let waits = |kept: Kept, version| Keep {
        waits_for: BTreeSet::from([Awaited { bearer: bearer.clone(), version }]),
        ..kept.keep()
    };
    ledger.store(batch(vec![waits(kept[0].clone(), 1)])).await.unwrap();
    assert_eq!(ledger.waiting(std::slice::from_ref(&bearer)).await.unwrap(), [child]);
    assert!(due_now(ledger, 10).await.is_empty(), "the parent is the one that was known");
    // The parent's fields are not what the child waits for.
    ledger.store(batch(vec![said(kept[1].clone().keep(), "x")])).await.unwrap();
    assert!(due_now(ledger, 10).await.is_empty());
    let asleep = load(ledger, child).await;
    let mut found = load(ledger, parent).await.keep();
    found.link.seen.crm.record = Some(RecordId::from("PARENT"));
    ledger.store(Batch { now: at(7), ..batch(vec![found]) }).await.unwrap();
    assert!(due_now(ledger, 6).await.is_empty());
    assert_eq!(due_now(ledger, 7).await, [child]);
    let awake = load(ledger, child).await;
    assert_eq!(awake.mark.due(), Some(Due { lane: Lane::Ordinary, at: at(7) }));
    assert_eq!(
        awake.mark.version(),
        asleep.mark.version() + 1,
        "who had loaded it must look again"
    );
    assert_eq!(conflict(ledger.store(batch(vec![asleep.keep()])).await), BTreeSet::from([child]));
    // It decides to wait on what it knew, while the parent has moved on: no wake-up is lost.
    ledger.store(batch(vec![waits(awake, 1)])).await.unwrap();
    assert_eq!(due_now(ledger, 10).await, [child]);
    // It waits until a time, and for the parent as it is.
    let parent_is = load(ledger, parent).await.mark.version();
    let patient = due(waits(load(ledger, child).await, parent_is), Lane::Consent, 900);
    ledger.store(batch(vec![patient])).await.unwrap();
    assert!(due_now(ledger, 10).await.is_empty());
    let end = ended(load(ledger, parent).await.keep(), LinkState::Tombstone);
    ledger.store(Batch { now: at(8), ..batch(vec![end]) }).await.unwrap();
    let woken = load(ledger, child).await;
    assert_eq!(woken.mark.due(), Some(Due { lane: Lane::Consent, at: at(8) }));
    assert_eq!(ledger.counts(Timestamp::MAX).await.unwrap().due[&(PEOPLE, Lane::Consent)], 1);
    // No longer waiting, no longer woken.
    ledger.store(batch(vec![woken.keep()])).await.unwrap();
    assert!(ledger.waiting(&[bearer]).await.unwrap().is_empty());
    assert!(due_now(ledger, 1000).await.is_empty());
}

pub(crate) async fn one_that_is_not_there_yet_is_waited_for(ledger: &impl Ledger) {
    let kept = stored(ledger, &[(Some("early"), None)]).await;
    let child = kept[0].link.id;
    let bearer = (PEOPLE, Side::Crm, RecordId::from("LATE"));
    let waits_for = BTreeSet::from([Awaited { bearer, version: 0 }]);
    ledger.store(batch(vec![Keep { waits_for, ..kept[0].clone().keep() }])).await.unwrap();
    assert!(due_now(ledger, 10).await.is_empty());
    stored(ledger, &[(None, Some("LATE"))]).await;
    assert_eq!(due_now(ledger, 10).await, [child]);
}

pub(crate) async fn what_is_held_is_listed_by_page(ledger: &impl Ledger) {
    let records: Vec<String> = (0..5).map(|n| format!("h{n}")).collect();
    let records: Vec<_> = records.iter().map(|record| (Some(record.as_str()), None)).collect();
    let kept = stored(ledger, &records).await;
    let ids: Vec<LinkId> = kept.iter().map(|kept| kept.link.id).collect();
    let held = |field, reason: &str| Held {
        field,
        reason: reason.to_owned(),
        since: at(3),
        detail: json!({ "text": "nul \u{0} and 😀", "number": 1.50 }),
    };
    let both = vec![held(Some(Field(1)), "conflict"), held(None, "refused")];
    let keeps = kept.iter().map(|kept| Keep { held: both.clone(), ..kept.clone().keep() });
    ledger.store(batch(keeps.collect())).await.unwrap();
    let page = |after, limit| HeldPage { after, limit };
    let all = HeldFilter { entity: Some(PEOPLE), ..HeldFilter::default() };
    let first = ledger.held(&all, page(None, 2)).await.unwrap();
    assert_eq!(first.iter().map(|held| held.link).collect::<Vec<_>>(), ids[..2]);
    assert_eq!(first[0].held, both);
    assert_eq!(first[0].records.campaign, Some(RecordId::from("h0")));
    let rest = ledger.held(&all, page(Some(ids[1]), 9)).await.unwrap();
    assert_eq!(rest.iter().map(|held| held.link).collect::<Vec<_>>(), ids[2..]);
    let refused = HeldFilter { reason: Some("refused".to_owned()), ..HeldFilter::default() };
    let found = ledger.held(&refused, page(None, 1)).await.unwrap();
    assert_eq!(found[0].held, both[1..]);
    let field = HeldFilter { field: Some(Field(1)), link: Some(ids[4]), ..HeldFilter::default() };
    let found = ledger.held(&field, page(None, 9)).await.unwrap();
    assert_eq!((found.len(), found[0].link, &found[0].held[..]), (1, ids[4], &both[..1]));
    let counts = ledger.counts(Timestamp::MAX).await.unwrap();
    assert_eq!(counts.held[&(PEOPLE, "conflict".to_owned())], 5);
    let freed = ledger.links(&ids).await.unwrap().into_iter().map(Kept::keep);
    ledger.store(batch(freed.collect())).await.unwrap();
    assert!(ledger.held(&all, page(None, 9)).await.unwrap().is_empty());
}

pub(crate) async fn decisions_are_kept_in_order_and_pruned_by_age(ledger: &impl Ledger) {
    let link = LinkId(77);
    for (second, word) in [(1, "a"), (3, "b"), (2, "c")] {
        let decisions = vec![decision(link, second, word), decision(LinkId(78), second, word)];
        ledger.store(Batch { decisions, ..Batch::new(at(0)) }).await.unwrap();
    }
    let words = |found: Vec<Decision>| found.into_iter().map(|d| d.rule).collect::<Vec<_>>();
    assert_eq!(words(ledger.decisions(link, 2).await.unwrap()), ["b", "c"]);
    let page = ledger.decisions_since(at(2), 0, 3).await.unwrap();
    let last = page.last().unwrap().0;
    assert_eq!(words(page.into_iter().map(|(_, d)| d).collect()), ["b", "b", "c"]);
    let page = ledger.decisions_since(at(2), last, 3).await.unwrap();
    assert_eq!(words(page.into_iter().map(|(_, d)| d).collect()), ["c"]);
    assert_eq!(ledger.prune(at(3)).await.unwrap(), 4);
    assert_eq!(words(ledger.decisions(link, 9).await.unwrap()), ["b"]);
}

pub(crate) async fn a_decision_that_says_the_same_again_is_not_kept(ledger: &impl Ledger) {
    let link = LinkId(79);
    let of_name = |second, rule| decision(link, second, rule);
    let of_all = |second, rule| Decision { field: None, ..decision(link, second, rule) };
    let told = |second| Decision { verdict: Verdict::Told, ..decision(link, second, "retry") };
    let given = [
        of_name(1, "newest"),
        of_all(2, "create"),
        // Again, after another field's; by another write; and later by another rule, and back.
        Decision { write: Some((Side::Campaign, 8)), ..of_name(3, "newest") },
        of_name(4, "crm"),
        of_name(5, "newest"),
        told(6),
        told(7),
    ];
    for decision in given {
        let decisions = vec![decision];
        ledger.store(Batch { decisions, ..Batch::new(at(0)) }).await.unwrap();
    }
    let kept = ledger.decisions(link, 9).await.unwrap();
    let of_this_test = [told(7), told(6), of_name(5, "newest"), of_name(4, "crm")];
    assert_eq!(kept[..4], of_this_test);
    assert_eq!(kept[4..], [of_all(2, "create"), of_name(1, "newest")]);
}

pub(crate) async fn answers_are_kept_and_pruned_like_decisions(ledger: &impl Ledger) {
    let receipt = |sequence, second| Receipt {
        link: LinkId(80),
        side: Side::Crm,
        sequence,
        at: at(second),
        answer: "refused".to_owned(),
        words: Some("STRING_TOO_LONG: data value too large".to_owned()),
    };
    let done = Receipt { answer: "done".to_owned(), words: None, ..receipt(2, 9) };
    let receipts = vec![receipt(1, 4), done.clone()];
    ledger.store(Batch { receipts, ..Batch::new(at(0)) }).await.unwrap();
    let other = vec![Receipt { link: LinkId(81), ..receipt(1, 5) }];
    ledger.store(Batch { receipts: other, ..Batch::new(at(0)) }).await.unwrap();
    assert_eq!(ledger.receipts(LinkId(80), 9).await.unwrap(), [done.clone(), receipt(1, 4)]);
    let newest = ledger.receipts(LinkId(80), 1).await.unwrap();
    assert_eq!(newest, std::slice::from_ref(&done));
    assert_eq!(ledger.prune(at(9)).await.unwrap(), 2);
    assert_eq!(ledger.receipts(LinkId(80), 9).await.unwrap(), [done]);
}

pub(crate) async fn links_are_counted_as_they_end(ledger: &impl Ledger) {
    let before = ledger.counts(Timestamp::MAX).await.unwrap().links;
    let kept = stored(ledger, &[(Some("c1"), None), (Some("c2"), None)]).await;
    let end = ended(kept[0].clone().keep(), LinkState::Severed);
    ledger.store(batch(vec![end])).await.unwrap();
    let now = ledger.counts(Timestamp::MAX).await.unwrap().links;
    let grew = |state| {
        now.get(&(PEOPLE, state)).unwrap_or(&0) - before.get(&(PEOPLE, state)).unwrap_or(&0)
    };
    assert_eq!((grew(State::Live), grew(State::Severed)), (1, 1));
}

pub(crate) async fn large_batches_and_large_texts_pass(ledger: &impl Ledger) {
    let ids = ledger.draw(5000).await.unwrap();
    let key = |id: &LinkId| format!("big{id}");
    let keeps =
        ids.iter().map(|id| due(Keep::new(link(*id, Some(&key(id)), None)), Lane::Ordinary, 1));
    ledger.store(batch(keeps.collect())).await.unwrap();
    let bearers: Vec<_> =
        ids.iter().map(|id| (PEOPLE, Side::Campaign, RecordId::from(key(id)))).collect();
    let mut loaded = ledger.links_of(&bearers).await.unwrap();
    assert_eq!(loaded.iter().map(|kept| kept.link.id).collect::<Vec<_>>(), ids);
    let huge = "Zażółć gęślą jaźń 😀\u{0}\u{1}\"\\".repeat(40_000);
    loaded[17].link.base.insert(Field(1), Value::Text(huge.into()));
    let keeps: Vec<Keep> = loaded.into_iter().map(|kept| said_two(kept.keep())).collect();
    let wanted = keeps[17].link.clone();
    ledger.store(batch(keeps)).await.unwrap();
    assert_eq!(load(ledger, ids[17]).await.link, wanted);
    assert!(due_now(ledger, 10).await.is_empty());
    let removed = ledger.links(&ids).await.unwrap();
    let removed = removed.iter().map(|kept| (kept.link.id, kept.mark)).collect();
    ledger.store(Batch { removed, ..Batch::new(at(0)) }).await.unwrap();
    assert!(ledger.links(&ids).await.unwrap().is_empty());
}

pub(crate) async fn of_two_at_once_one_wins(ledger: &impl Ledger) {
    let kept = stored(ledger, &[(Some("race"), None)]).await.remove(0);
    let attempt = |word: &str| ledger.store(batch(vec![said(kept.clone().keep(), word)]));
    let outcomes: [Result<(), StoreError>; 4] =
        tokio::join!(attempt("a"), attempt("b"), attempt("c"), attempt("d")).into();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let lost = outcomes.into_iter().filter(Result::is_err);
    lost.for_each(|outcome| assert_eq!(conflict(outcome), BTreeSet::from([kept.link.id])));
    assert_eq!(load(ledger, kept.link.id).await.mark.version(), 2);
}

fn said_two(mut keep: Keep) -> Keep {
    keep.link.base.insert(Field(2), Value::Int(2));
    keep
}

fn decision(link: LinkId, second: i64, rule: &str) -> Decision {
    Decision {
        link,
        at: at(second),
        field: Some(Field(1)),
        rule: rule.to_owned(),
        verdict: Verdict::Discarded,
        winner: Some(Side::Crm),
        write: Some((Side::Campaign, 7)),
        values: json!({ "campaign": "x\u{0}", "crm": 3 }),
    }
}

pub(crate) async fn who_waits_is_woken_when_the_record_is_there(ledger: &impl Ledger) {
    let kept = stored(ledger, &[(Some("child"), None), (Some("parent"), None)]).await;
    let (child, parent) = (kept[0].link.id, kept[1].link.id);
    // A key was drawn for the parent's other record, and the record is being made.
    let mut drawn = kept[1].clone().keep();
    drawn.link.seen.crm.record = Some(RecordId::from("PARENT"));
    ledger.store(batch(vec![drawn])).await.unwrap();
    let version = load(ledger, parent).await.mark.version();
    let bearer = (PEOPLE, Side::Campaign, RecordId::from("parent"));
    let waits =
        Keep { waits_for: BTreeSet::from([Awaited { bearer, version }]), ..kept[0].clone().keep() };
    ledger.store(batch(vec![waits])).await.unwrap();
    assert!(due_now(ledger, 10).await.is_empty(), "it is not there yet");
    let mut made = load(ledger, parent).await.keep();
    made.link.seen.crm.bond = Bond::Here;
    ledger.store(Batch { now: at(7), ..batch(vec![made]) }).await.unwrap();
    assert_eq!(due_now(ledger, 7).await, [child]);
}
