//! What a promise is tried on: one side with people at it, and our doors to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use truce::peer::{Ask, Cursor, Feed, Page, PeerError, Scan};
use truce::reconcile::{
    Change, Consent, Entity, Expected, Field, Lane, LinkId, Observation, Outcome, RecordId, Row,
    Shape, Side, Stamp, Target, Value, Write,
};

/// What is the same for all stages of a peer: its names, and where it honestly differs from others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub side: Side,
    /// The records of persons.
    pub entity: Entity,
    /// A line of free text that people edit.
    pub title: Field,
    /// Text that holds 255 characters.
    pub long: Field,
    /// Who has the same is the same.
    pub email: Field,
    pub consent: Field,
    /// What no record may be without.
    pub name: Option<Field>,
    pub tells: Tells,
    /// The most observations of a page of this stage's feed; `None` where one answer has all.
    pub page: Option<usize>,
}

/// What a feed tells of a record that changed more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tells {
    /// Each change.
    Every,
    /// At least what it has come to.
    Latest,
}

/// A value that the side does not take, and what it calls that.
#[derive(Clone, Debug)]
pub(crate) struct Bad {
    pub field: Field,
    pub value: Value,
    pub code: &'static str,
}

/// One side with people at it, and our doors to it.
///
/// What people do and what is there now goes past our doors: by the side's own means.
pub(crate) trait Stage: Sized {
    type Feed: Feed;
    type Scan: Scan;

    const TERMS: Terms;

    async fn new() -> Self;

    /// People make a record of each title.
    async fn make(&mut self, titles: &[String]) -> Vec<RecordId>;

    /// People change a title; to nothing, where it is empty.
    async fn edit(&mut self, record: &RecordId, title: &str);

    async fn delete(&mut self, record: &RecordId);

    /// People say no, by the field's own column.
    async fn opt_out(&mut self, record: &RecordId);

    /// People say no once more, so that the side can tell.
    async fn opt_out_again(&mut self, record: &RecordId);

    async fn set_email(&mut self, record: &RecordId, email: &str);

    /// The side's own text; `None` is null and blank.
    async fn text(&mut self, record: &RecordId, field: Field) -> Option<String>;

    /// The records that are there.
    async fn living(&mut self) -> BTreeSet<RecordId>;

    /// Changes whenever the side is asked for anything.
    async fn traffic(&mut self) -> String;

    /// So much time that two moments are told apart.
    async fn pass_time(&mut self);

    /// What the side does not take just now.
    async fn bad(&mut self) -> Bad;

    /// The next write is carried out, and its answer does not come.
    async fn lose_next_answer(&mut self);

    /// A key that nobody has, of the side's own form.
    fn nobody() -> RecordId;

    /// What each field takes, as far as the agent knows.
    fn shapes(&self) -> BTreeMap<Field, Shape>;

    async fn feed(&mut self) -> Self::Feed;

    /// A feed of the next process, after the one before fell without a word.
    async fn feed_after_fall(&mut self, cursor: &Cursor) -> Self::Feed;

    async fn scan(&mut self) -> Self::Scan;

    fn ask(&mut self) -> &mut (dyn Ask + Send);

    async fn write(&mut self, writes: Vec<Write>) -> Result<Vec<Outcome>, PeerError>;

    /// The key of a record that is about to be made, where it is drawn before.
    async fn draw_key(&mut self) -> Option<RecordId>;
}

/// A feed may be told to wait this long; no stage's does unless something is lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// More pages than any promise needs: a feed that does not come to an end fails.
const PAGES_MAX: usize = 400;

/// Follows a feed as the agent does: what is read is kept, and then confirmed.
pub(crate) struct Follower<S: Stage> {
    pub feed: S::Feed,
    pub cursor: Cursor,
}

impl<S: Stage> Follower<S> {
    /// Stands where everything so far was told.
    pub(crate) async fn begin(stage: &mut S) -> Self {
        let mut follower = Self { feed: stage.feed().await, cursor: Cursor::start() };
        follower.rest(stage).await;
        follower
    }

    /// The next process goes on from what was kept.
    pub(crate) async fn fall(&mut self, stage: &mut S) {
        let cursor = self.cursor.clone();
        // Gone before the next one comes.
        let feed = std::mem::replace(&mut self.feed, stage.feed().await);
        drop(feed);
        self.feed = stage.feed_after_fall(&cursor).await;
    }

    /// The next page, which is not kept.
    pub(crate) async fn page(&mut self, stage: &mut S) -> Page {
        self.feed.page(&self.cursor, PATIENCE, stage.ask()).await.unwrap()
    }

    pub(crate) async fn keep(&mut self, page: &Page) {
        self.cursor = page.cursor.clone();
        self.feed.confirm(&self.cursor).await.unwrap();
    }

    /// All that is told until everything that has happened by now must have been: what the feed was
    /// in the middle of is read to its end, then who is made last is told of, and nothing more waits.
    pub(crate) async fn told(&mut self, stage: &mut S) -> Vec<Observation> {
        let (mut told, mut came) = (self.rest(stage).await, false);
        let last = stage.make(&["the last".to_owned()]).await.remove(0);
        for _ in 0..PAGES_MAX {
            let page = self.page(stage).await;
            self.keep(&page).await;
            came |= page.observations.iter().any(|seen| seen.record == last);
            told.extend(page.observations.into_iter().filter(|seen| seen.record != last));
            if came && !page.more {
                return told;
            }
        }
        panic!("the last change is not told in {PAGES_MAX} pages");
    }
}

impl<S: Stage> Follower<S> {
    /// What waits already. A polled feed goes by what it passed in the middle of a pass once more
    /// with the next.
    async fn rest(&mut self, stage: &mut S) -> Vec<Observation> {
        let mut told = Vec::new();
        for _ in 0..PAGES_MAX {
            let page = self.feed.page(&self.cursor, Duration::ZERO, stage.ask()).await.unwrap();
            self.keep(&page).await;
            told.extend(page.observations);
            if !page.more {
                return told;
            }
        }
        panic!("the feed does not come to now in {PAGES_MAX} pages");
    }
}

/// What was told of one record, in the order of its side's history.
pub(crate) fn of<'a>(told: &'a [Observation], record: &RecordId) -> Vec<&'a Observation> {
    let mut own: Vec<&Observation> = told.iter().filter(|seen| seen.record == *record).collect();
    own.sort_by_key(|seen| seen.at);
    own
}

/// Makes writes that no other write is like.
#[derive(Default)]
pub(crate) struct Desk {
    links: u32,
    stamps: u32,
}

impl Desk {
    fn stamped<S: Stage>(&mut self, link: u32, target: Target, change: Change) -> Write {
        self.stamps += 1;
        let link = LinkId(link.into());
        Write {
            link,
            entity: S::TERMS.entity,
            side: S::TERMS.side,
            lane: Lane::Ordinary,
            target,
            change,
            expect: BTreeMap::new(),
            stamp: Stamp { epoch: 1, link, sequence: self.stamps },
            unmodified_since: None,
            opt_in: false,
        }
    }

    /// A write to a record that is there.
    pub(crate) fn change<S: Stage>(&mut self, record: &RecordId, change: Change) -> Write {
        self.links += 1;
        self.stamped::<S>(self.links, Target::Record(record.clone()), change)
    }

    /// Sets one field.
    pub(crate) fn set<S: Stage>(&mut self, record: &RecordId, field: Field, value: Value) -> Write {
        self.change::<S>(record, Change::Set(Row::from([(field, value)])))
    }

    /// Sets the title.
    pub(crate) fn title<S: Stage>(&mut self, record: &RecordId, title: &str) -> Write {
        self.set::<S>(record, S::TERMS.title, Value::text(title))
    }

    /// Sets consent, in its own lane.
    pub(crate) fn consent<S: Stage>(&mut self, record: &RecordId, consent: Consent) -> Write {
        let write = self.set::<S>(record, S::TERMS.consent, Value::Consent(consent));
        Write { lane: Lane::Consent, opt_in: !consent.is_out(), ..write }
    }

    /// Makes a record with this title.
    pub(crate) async fn create<S: Stage>(&mut self, stage: &mut S, title: &str) -> Write {
        self.links += 1;
        let mut row = Row::from([(S::TERMS.title, Value::text(title))]);
        row.extend(S::TERMS.name.map(|name| (name, Value::text("Roe"))));
        let across = RecordId::from(format!("77{}", self.links));
        let target = Target::New { key: stage.draw_key().await, across, unless: Vec::new() };
        self.stamped::<S>(self.links, target, Change::Set(row))
    }

    /// The same once more, as after a lost answer: for the same link, under a stamp of its own.
    pub(crate) fn again(&mut self, write: &Write) -> Write {
        self.stamps += 1;
        let stamp = Stamp { sequence: self.stamps, ..write.stamp };
        Write { stamp, ..write.clone() }
    }
}

/// What the decision saw in a field.
pub(crate) fn expecting(mut write: Write, field: Field, value: Value) -> Write {
    write.expect.insert(field, Expected { value, raw: None });
    write
}

/// Tries one write.
pub(crate) async fn written<S: Stage>(stage: &mut S, write: Write) -> Outcome {
    let mut outcomes = stage.write(vec![write]).await.unwrap();
    assert_eq!(outcomes.len(), 1, "one answer a write");
    outcomes.remove(0)
}

/// Reads one record through our door.
pub(crate) async fn read<S: Stage>(stage: &mut S, record: &RecordId) -> Observation {
    let mut scan = stage.scan().await;
    let one = std::slice::from_ref(record);
    let mut seen = scan.read(S::TERMS.entity, one, stage.ask()).await.unwrap();
    assert_eq!(seen.len(), 1, "one answer a key");
    seen.remove(0)
}

/// As many titles as are asked for, each another.
pub(crate) fn titles(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("title {n}")).collect()
}

pub(crate) fn is_done(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Done { .. })
}
