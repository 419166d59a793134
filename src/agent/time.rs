//! Our clock and the ticks by which CRM reads are ordered.

use std::time::Duration;

use jiff::Timestamp;

use crate::peer::Ask;
use crate::reconcile::{Clocks, Position, Side, Sides};

use super::working::later;

/// Time, as the loops are given it.
///
/// Ticks order what a CRM was asked: the leader's term above, a counter below, so that a tick of a
/// later leader is above all of an earlier one's.
pub trait Clock: Send + Sync {
    /// Our clock.
    fn now(&self) -> Timestamp;

    /// A new tick, above all before it.
    fn tick(&self) -> u64;

    /// The first tick of this leader: what was kept below it, nobody waits for any more.
    fn leading_since(&self) -> u64;

    /// The current epoch of each side of an account.
    fn epochs(&self, account: usize) -> Sides<u32>;

    /// The clocks of the sides of an account against ours.
    fn clocks(&self, account: usize) -> Clocks;

    /// The ledger's epoch.
    fn ledger_epoch(&self) -> u32;
}

/// Ticks for the reads of one side of one account.
#[derive(Debug)]
pub struct Ticks<'a, C> {
    clock: &'a C,
    account: usize,
    side: Side,
}

impl<'a, C: Clock> Ticks<'a, C> {
    /// For reads of this side.
    pub fn new(clock: &'a C, account: usize, side: Side) -> Self {
        Self { clock, account, side }
    }

    /// The position of something that is about to be asked for.
    pub fn position(&self) -> Position {
        let epoch = self.clock.epochs(self.account)[self.side];
        Position { epoch, major: self.clock.tick(), minor: 0 }
    }
}

impl<C: Clock> Ask for Ticks<'_, C> {
    fn tick(&mut self) -> (Position, Timestamp) {
        (self.position(), self.clock.now())
    }
}

/// What is due by then is work that is not done yet; what is due later is only looked after (a
/// tombstone whose time ends, say).
pub(super) fn soon(now: Timestamp) -> Timestamp {
    later(now, Duration::from_hours(24))
}
