//! Creates: under an id that we choose, after asking whether the record is there already.
//!
//! The id is a hash of what the row is made for: this instance, mapping, key and link. So a create whose
//! answer was lost is found again by it, and sent twice it is refused. `If-None-Match: *` has the
//! service refuse rather than change a row that is there; the alternate key on the external id, which
//! `check` asks for, has it refuse a second row for the same key, whoever makes it.
//!
//! The service's own upsert by alternate key is not used: it would change a row that it finds, does not
//! say which row it was, and its keys cannot hold the `:` of an external id.

use std::collections::BTreeSet;
use std::sync::Arc;

use reqwest::Method;
use reqwest::header::IF_NONE_MATCH;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use crate::crm::dynamics::api::Record;
use crate::crm::dynamics::batch::Operation;
use crate::crm::dynamics::codes::Action;
use crate::crm::dynamics::many::target;
use crate::crm::dynamics::odata;
use crate::crm::dynamics::plan::Plan;
use crate::crm::dynamics::writer::{RowWriter, urgency};
use crate::crm::http::encode;
use crate::crm::writes::{Kind, row, stands_already, stands_for, whole};
use crate::peer::{Ask, PeerError};
use crate::reconcile::{Observation, Outcome, RecordId, Refusal, Target, Write};

/// So many creates are asked about together.
pub(super) const ASKED_TOGETHER: usize = 50;

/// A value that so many rows hold is nothing to match by.
const MATCHES_MAX: usize = 10_000;

/// What stands for the same things already, by the create's place; `None` where nobody can tell.
type Known = Vec<Option<Vec<Observation>>>;

impl RowWriter {
    pub(super) async fn create(
        &self,
        plan: &Plan,
        (kind, massed): (Kind, bool),
        writes: &[&Write],
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Outcome>, PeerError> {
        let chosen: Vec<RecordId> = writes.iter().map(|write| self.chosen(plan, write)).collect();
        let all: Vec<usize> = (0..writes.len()).collect();
        let known = self.known(plan, (writes, &chosen), &all, asked).await?;
        let mut outcomes: Vec<Option<Outcome>> = known.into_iter().map(stands_already).collect();
        let mut ready = Vec::new();
        for (place, write) in writes.iter().enumerate() {
            if outcomes[place].is_some() {
                continue;
            }
            match new_row(plan, write) {
                Ok(body) => ready.push((place, body)),
                Err(refusal) => outcomes[place] = Some(Outcome::Refused(refusal)),
            }
        }
        let answered = if massed {
            let targets: Vec<Record> =
                ready.iter().map(|(place, body)| target(plan, &chosen[*place].0, body)).collect();
            self.act_on(plan, "CreateMultiple", &targets).await?
        } else {
            let operations: Vec<Operation> = ready
                .iter()
                .map(|(place, body)| self.making(plan, &chosen[*place], body))
                .collect();
            self.send(kind, &operations, urgency(kind)).await?
        };
        let mut taken = Vec::new();
        for ((place, _), answered) in ready.iter().zip(answered) {
            if answered.error().is_some_and(|error| is_taken(error.action())) {
                taken.push(*place);
            }
            outcomes[*place] =
                Some(self.concluded(plan, writes[*place], answered, Some(&chosen[*place])));
        }
        self.who_took(plan, (writes, &chosen), (&taken, &mut outcomes), asked).await;
        Ok(whole(outcomes))
    }

    /// Asks once more where something was made while we asked: by ourselves, when an answer was lost,
    /// or by others.
    async fn who_took(
        &self,
        plan: &Plan,
        creates: (&[&Write], &[RecordId]),
        (taken, outcomes): (&[usize], &mut [Option<Outcome>]),
        asked: &mut (dyn Ask + Send),
    ) {
        if taken.is_empty() {
            return;
        }
        // What was refused stays refused where this cannot be asked.
        let Ok(known) = self.known(plan, creates, taken, asked).await else { return };
        for (place, found) in taken.iter().zip(known) {
            if let Some(found) = found.filter(|found| !found.is_empty()) {
                outcomes[*place] = Some(Outcome::Found(found));
            }
        }
    }

    /// What makes a row of this id, and changes none.
    fn making(&self, plan: &Plan, id: &RecordId, body: &Record) -> Operation {
        Operation {
            method: Method::PATCH,
            path: odata::row(&plan.set, id),
            headers: [vec![(IF_NONE_MATCH, "*".to_owned())], self.account.api.write_headers()]
                .concat(),
            body: Some(Json::Object(body.clone())),
        }
    }

    /// The id of the row that a write is to make: the same each time that it is tried.
    fn chosen(&self, plan: &Plan, write: &Write) -> RecordId {
        let Target::New { across, .. } = &write.target else {
            return RecordId::from(odata::guid(0));
        };
        let instance = &self.account.settings.instance;
        chosen_id(&[instance, &plan.mapping.name, &across.0, &write.link.to_string()])
    }

    /// Asks what stands for the same things as these creates already.
    async fn known(
        &self,
        plan: &Plan,
        (writes, chosen): (&[&Write], &[RecordId]),
        places: &[usize],
        asked: &mut (dyn Ask + Send),
    ) -> Result<Known, PeerError> {
        let mut known: Known = places.iter().map(|_| Some(Vec::new())).collect();
        let mut open: Vec<Vec<usize>> = Vec::new();
        let all: Vec<usize> = (0..places.len()).collect();
        open.extend(all.chunks(ASKED_TOGETHER).map(<[_]>::to_vec));
        while let Some(some) = open.pop() {
            let terms: BTreeSet<String> = some
                .iter()
                .flat_map(|n| terms(plan, writes[places[*n]], &chosen[places[*n]]))
                .collect();
            let filter = terms.iter().map(String::as_str).collect::<Vec<_>>().join(" or ");
            let long = odata::PATH_BYTES_MAX
                < encode(&filter).len() + encode(&plan.select()).len() + plan.set.len();
            let found = if long && 1 < some.len() {
                None
            } else {
                plan.find(&self.account, &filter, MATCHES_MAX, asked).await?
            };
            if found.is_none() && 1 < some.len() {
                // One value that thousands hold is nothing against its neighbours.
                open.extend(some.chunks(some.len().div_ceil(2)).map(<[_]>::to_vec));
                continue;
            }
            for n in some {
                let (write, id) = (writes[places[n]], &chosen[places[n]]);
                known[n] = found.as_ref().map(|found| {
                    let seen = found.iter().map(|sighting| &sighting.observation);
                    seen.filter_map(|seen| stand_in(seen, write, id)).collect()
                });
            }
        }
        Ok(known)
    }
}

fn new_row(plan: &Plan, write: &Write) -> Result<Record, Refusal> {
    let mut record = plan.columns(row(write), true, &write.stamp.to_string())?;
    if let (Target::New { across, .. }, Some(name)) = (&write.target, &plan.mapping.external_id) {
        record.insert(name.to_string(), json!(plan.external_id(across)));
    }
    Ok(record)
}

/// A row that stands for what a create would make: by its id, which only that create chooses, or as it
/// holds what the record is known by.
fn stand_in(seen: &Observation, write: &Write, chosen: &RecordId) -> Option<Observation> {
    if seen.record == *chosen {
        let Target::New { across, .. } = &write.target else { return None };
        // Its id says so, even where no external id does.
        return Some(Observation { claims: Some(across.clone()), ..seen.clone() });
    }
    stands_for(seen, write).then(|| seen.clone())
}

/// What a create is asked about by.
fn terms(plan: &Plan, write: &Write, chosen: &RecordId) -> Vec<String> {
    let Target::New { across, unless, .. } = &write.target else { return Vec::new() };
    let term = |(column, literal): (Arc<str>, String)| format!("{column} eq {literal}");
    let own = plan.mapping.external_id.as_ref();
    let own = own.map(|name| (Arc::clone(name), odata::text(&plan.external_id(across))));
    let id = Some((Arc::clone(&plan.id), chosen.to_string()));
    let matches = unless.iter().filter_map(|(field, value)| plan.condition(*field, value));
    id.into_iter().chain(own).chain(matches).map(term).collect()
}

/// An id that is always the same for the same names: their hash, marked as one of our own making
/// (version 8).
fn chosen_id(names: &[&str]) -> RecordId {
    let mut hash = Sha256::new();
    for name in names {
        hash.update((name.len() as u64).to_be_bytes());
        hash.update(name.as_bytes());
    }
    let digest = hash.finalize();
    let bits = digest.iter().take(16).fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    let bits = bits & !(0xF << 76) | (8 << 76);
    let bits = bits & !(0b11 << 62) | (0b10 << 62);
    RecordId::from(odata::guid(bits))
}

/// Whether a create was refused as something of it is there already.
fn is_taken(action: Action) -> bool {
    match action {
        Action::ReadMade | Action::ReadAgain | Action::HoldUnique => true,
        Action::RenewToken
        | Action::StopAccount
        | Action::DenyRequest
        | Action::FewerWorkers
        | Action::RepeatRequest
        | Action::RecordSoon
        | Action::ReadGone
        | Action::LoadAnew
        | Action::RecordFewTimes
        | Action::HoldRecord
        | Action::HoldDuplicate
        | Action::SplitBody
        | Action::DescribeAnew => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_id_is_a_guid_that_is_the_same_for_the_same_link_and_for_no_other() {
        let id = chosen_id(&["campaign", "contacts", "4711", "9"]);
        assert_eq!(odata::record_id(&id.0), Some(id.clone()));
        assert_eq!(&id.0[14..15], "8", "its version");
        assert!("89ab".contains(&id.0[19..20]), "its variant");
        assert_eq!(id, chosen_id(&["campaign", "contacts", "4711", "9"]));
        let others: [&[&str]; 3] = [
            &["campaign", "contacts", "4711", "10"],
            &["campaign", "contacts", "471", "19"],
            &["campaign", "contact", "s4711", "9"],
        ];
        assert!(others.iter().all(|names| chosen_id(names) != id));
    }
}
