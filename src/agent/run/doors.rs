//! What the loops want of a system, whichever it is.

use crate::peer::{Feed, Scan, Writer};
use crate::reconcile::RecordId;

/// A system's doors that are opened more than once, or shared.
pub trait Doors: Send + Sync + 'static {
    /// Reads records.
    type Scan: Scan + 'static;
    /// Writes records.
    type Writer: Writer + 'static;

    /// A scan of its own for whoever asks.
    fn scan(&self) -> Self::Scan;

    /// A scan for single records that must be known before something can be decided: a day's calls
    /// that are used up for ordinary work must not keep an opt-out from being settled.
    fn reader(&self) -> Self::Scan {
        self.scan()
    }

    /// The one writer.
    fn writer(&self) -> &Self::Writer;
}

/// A feed that can be told to bring records again.
pub trait Watch: Feed + 'static {
    /// These sightings were ignored, as a write of theirs was under way: they are to be read again.
    fn forget(&mut self, records: &[RecordId]);

    /// Tells the side that nothing more will be asked for, and what is durable.
    fn stop(&mut self) -> impl Future<Output = ()> + Send;
}
