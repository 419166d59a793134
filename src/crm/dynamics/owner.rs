//! Who holds a value that another row was refused.
//!
//! The service names the columns of the alternate key, and not the row that has their values. Without
//! that row two people who swap a number could not be told from a third who keeps it, so it is asked
//! for: one read more for some refusals, which are few and not tried again by themselves.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use crate::crm::dynamics::plan::Plan;
use crate::crm::dynamics::writer::RowWriter;
use crate::crm::writes::{AGAIN, delay, row, target};
use crate::peer::{Ask, PeerError};
use crate::reconcile::{Observation, Outcome, RefusalKind, Row, Write};

/// So many are asked about together: a key's values have 900 bytes at most, which is 2,700 in an
/// address, and an address 24,000.
const ASKED_TOGETHER: usize = 8;

/// So often a value that nobody is seen to hold is tried again.
const TRIES: u32 = 3;

/// Two rows cannot have the values of one key; a few more match where it is wider than what was
/// written.
const OWNERS_MAX: usize = 100;

impl RowWriter {
    /// Adds to each refusal of a unique value who holds it. Where nobody does any more, or where it
    /// could not be asked now, the write is tried again.
    pub(super) async fn name_owners(
        &self,
        plan: &Plan,
        writes: &[&Write],
        outcomes: &mut [Outcome],
        asked: &mut (dyn Ask + Send),
    ) {
        let claims: Vec<(usize, Row, String)> = writes
            .iter()
            .enumerate()
            .filter_map(|(place, write)| {
                let values = claimed(write, &outcomes[place])?;
                let term = term(plan, &values)?;
                Some((place, values, term))
            })
            .collect();
        for some in claims.chunks(ASKED_TOGETHER) {
            let terms: BTreeSet<&str> = some.iter().map(|(_, _, term)| &**term).collect();
            let filter = terms.into_iter().collect::<Vec<_>>().join(" or ");
            let found = plan.find(&self.account, &filter, OWNERS_MAX, asked).await;
            let places = some.iter().map(|(place, _, _)| *place);
            let found = match found {
                Ok(Some(found)) => found,
                Err(error) if passes(&error) => {
                    places.for_each(|place| outcomes[place] = Outcome::Later(delay(&error)));
                    continue;
                }
                Ok(None) | Err(_) => continue,
            };
            let seen: Vec<&Observation> = found.iter().map(|one| &one.observation).collect();
            // The service may take values for the same that we do not, or count a row that was merged
            // away: then nobody is known, and nothing is free.
            let strange = seen.iter().any(|one| !some.iter().any(|(_, row, _)| holds(one, row)));
            for (place, values, _) in some {
                let own = target(writes[*place]);
                let mut others =
                    seen.iter().filter(|one| Some(&one.record) != own && holds(one, values));
                let (first, second, outcome) =
                    (others.next(), others.next(), &mut outcomes[*place]);
                if let (Some(owner), None, Outcome::Refused(refusal)) =
                    (first, second, &mut *outcome)
                {
                    refusal.kind = RefusalKind::Unique(Some(owner.record.clone()));
                } else if first.is_none() && !strange && self.may_be_free(writes[*place]) {
                    *outcome = Outcome::Later(AGAIN.into());
                }
            }
        }
    }
}

impl RowWriter {
    /// Whether a value that nobody is seen to hold is tried again: it was given up meanwhile, or stands in
    /// a row that we may not read, which no waiting mends.
    fn may_be_free(&self, write: &Write) -> bool {
        let mut unowned = self.unowned.lock().unwrap_or_else(PoisonError::into_inner);
        unowned.refused(write.link, TRIES, tokio::time::Instant::now()).is_some()
    }
}

/// Whether what failed may well be asked again.
fn passes(error: &PeerError) -> bool {
    match error {
        PeerError::Throttled { .. } | PeerError::Transient { .. } => true,
        PeerError::Denied { .. }
        | PeerError::CursorLost { .. }
        | PeerError::NewEpoch { .. }
        | PeerError::Unfit { .. } => false,
    }
}

fn holds(one: &Observation, values: &Row) -> bool {
    values.iter().all(|(field, value)| one.value(*field) == Some(value))
}

/// What a write claimed and was refused as another's, where nobody says whose.
fn claimed(write: &Write, outcome: &Outcome) -> Option<Row> {
    let Outcome::Refused(refusal) = outcome else { return None };
    if refusal.kind != RefusalKind::Unique(None) {
        return None;
    }
    let written = row(write).iter().filter(|(field, _)| refusal.fields.contains(field));
    let values: Row = written.map(|(field, value)| (*field, value.clone())).collect();
    (!values.is_empty()).then_some(values)
}

fn term(plan: &Plan, values: &Row) -> Option<String> {
    let conditions: Option<Vec<String>> = values
        .iter()
        .map(|(field, value)| {
            let (column, literal) = plan.condition(*field, value)?;
            Some(format!("{column} eq {literal}"))
        })
        .collect();
    Some(format!("({})", conditions?.join(" and ")))
}
