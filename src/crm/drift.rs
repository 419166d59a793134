//! What is found when an object is described again, and what becomes of its mapping's fields.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::crm::standing::{Shared, Standing};
use crate::reconcile::Entity;
use crate::reconcile::mapping::SideMapping;

/// What a look at the objects found of one mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// The mapping.
    pub entity: Entity,
    /// Its fields that are paused, by name, each with why.
    pub paused: BTreeMap<Arc<str>, String>,
    /// Why all of it is, where that is so.
    pub blocked: Option<Arc<str>>,
    /// Whether something came back: what was missed is to be compared, what was refused tried again.
    pub back: bool,
}

/// Why a look is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// By the time.
    Time,
    /// As something was refused.
    Doubt,
}

/// Between two looks, however much is refused.
const GAP: Duration = Duration::from_secs(30);

/// Waits until the next look is due, which is at once for the first.
pub(super) async fn due(
    last: Option<Instant>,
    every: Duration,
    doubted: impl Future<Output = ()>,
) -> Due {
    let Some(last) = last else { return Due::Time };
    let doubted = async {
        doubted.await;
        tokio::time::sleep_until(last + GAP.min(every)).await;
    };
    tokio::select! {
        () = tokio::time::sleep_until(last + every) => Due::Time,
        () = doubted => Due::Doubt,
    }
}

/// Puts a mapping's standing in its place, and says aloud what is paused by it and what is no longer.
pub(super) fn turn(mapped: &SideMapping, standing: &Shared, next: Standing) -> Drift {
    let before = standing.turn(next);
    let after = standing.now();
    let (mapping, object) = (&mapped.name, &mapped.table);
    let mut paused = BTreeMap::new();
    let mut back = before.blocked.is_some() && after.blocked.is_none();
    if let Some(why) = after.blocked.as_ref().filter(|why| before.blocked.as_ref() != Some(*why)) {
        tracing::error!(%mapping, %object, %why, "an object is not as it was: its mapping is paused");
    }
    for field in &mapped.fields {
        let name = &field.name;
        match (before.pauses(field), after.pauses(field)) {
            (was, Some((column, pause))) => {
                let why = &pause.why;
                if was != Some((column, pause)) {
                    tracing::error!(
                        %mapping, field = %name, %column, %why,
                        "a mapped field is not as it was: it is paused, and no other"
                    );
                }
                paused.insert(Arc::clone(name), format!("`{column}` {why}"));
            }
            (Some((column, _)), None) => {
                tracing::warn!(%mapping, field = %name, %column, "a mapped field is back: it goes on");
                back = true;
            }
            (None, None) => {}
        }
    }
    Drift { entity: mapped.entity, paused, blocked: after.blocked.clone(), back }
}
