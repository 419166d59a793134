//! The peers of the simulation, in a world without troubles: what is found there is worth something
//! only as long as they keep the promises that the others keep.

#[path = "../simulation"]
#[expect(dead_code, clippy::print_stderr, reason = "people and troubles are the simulation's own")]
mod simulation {
    pub(super) mod campaign;
    mod checks;
    pub(super) mod crm;
    mod operator;
    mod people;
    pub(super) mod schema;
    mod steps;
    pub(super) mod world;
}

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use truce::peer::{Ask, Notes, PeerError, Writer};
use truce::reconcile::shape::{Case, Text, TooLong};
use truce::reconcile::{Field, LinkId, Outcome, Position, Row, Shape, Side, Value, Write};

use self::simulation::schema::{BOTH, CODE, CONTACT, CRM_ONLY, EMAIL, OUT};
use self::simulation::world::{CrmFeed, Kind, Shared, World, lock};
use crate::stage::{Bad, Tells, Terms};

const TERMS: Terms = Terms {
    side: Side::Crm,
    entity: CONTACT,
    title: BOTH,
    long: CRM_ONLY,
    email: EMAIL,
    consent: OUT,
    name: None,
    tells: Tells::Every,
    page: Some(5),
};

/// A world in which nothing happens that a stage does not ask for.
struct Quiet {
    world: Shared,
    ask: WorldAsk,
    lose_next: bool,
}

impl Quiet {
    fn new(feed: CrmFeed) -> Self {
        let mut world = World::new(1, Kind { feed, stamped: true });
        world.quiet = true;
        world.crm.ahead = 0;
        world.troubles.backward = false;
        let world = Arc::new(Mutex::new(world));
        Self { ask: WorldAsk(Arc::clone(&world)), world, lose_next: false }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    fn pass_time(&self) {
        self.world().millis += 20_000;
    }

    /// What the peer does is done; that it says so may not come through.
    async fn write(
        &mut self,
        peer: impl Writer,
        writes: Vec<Write>,
    ) -> Result<Vec<Outcome>, PeerError> {
        let mut outcomes = peer.write(writes, &Unkept, &mut self.ask).await?;
        if std::mem::take(&mut self.lose_next) {
            outcomes.fill(Outcome::Lost);
        }
        Ok(outcomes)
    }
}

/// Ticks of a world.
struct WorldAsk(Shared);

impl Ask for WorldAsk {
    fn tick(&mut self) -> (Position, Timestamp) {
        let mut world = lock(&self.0);
        let position = Position { epoch: 1, major: world.tick(), minor: 0 };
        (position, world.now())
    }
}

/// Transactions of a world are known by the world.
struct Unkept;

impl Notes for Unkept {
    async fn note(&self, _: Vec<LinkId>, _: u64) -> Result<(), PeerError> {
        Ok(())
    }
}

/// What no two records may have.
fn taken() -> Bad {
    Bad { field: CODE, value: Value::text("taken"), code: "DUPLICATE_VALUE" }
}

fn shapes() -> BTreeMap<Field, Shape> {
    let text =
        || Shape::Text(Text { max: 255, case: Case::Kept, too_long: TooLong::Reject, only: None });
    [BOTH, CRM_ONLY, EMAIL].map(|field| (field, text())).into()
}

fn printed(row: &Row, field: Field) -> Option<String> {
    if let Value::Text(text) = &row[&field] { Some((**text).to_owned()) } else { None }
}

mod campaign;
mod crm;
