//! The body itself.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::seen::{StoredSeen, load_seen, store_seen};
use super::times::{Place, StoredTimes, Times};
use super::value::{StoredConsent, StoredRow, StoredValue, load_row, store_row};
use super::write::{StoredBlock, StoredSent, load_block, load_sent, store_block, store_sent};
use crate::reconcile::{Entity, Field, Link, LinkId, LinkState, RecordId, Sides};

/// The form that is written. Older ones are read for as long as a ledger may hold them.
const FORM: u8 = 1;

/// What of a link is not in its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// Its number.
    pub id: LinkId,
    /// Its mapping.
    pub entity: Entity,
    /// What it stands for.
    pub state: LinkState,
    /// Its records.
    pub records: Sides<Option<RecordId>>,
}

/// Why a text is no body that we can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotBody(pub(super) String);

impl fmt::Display for NotBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotBody {}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    v: u8,
    #[serde(default, skip_serializing_if = "StoredTimes::is_empty")]
    times: StoredTimes,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    base: StoredRow,
    #[serde(default, skip_serializing_if = "StoredSeen::is_untold")]
    campaign: StoredSeen,
    #[serde(default, skip_serializing_if = "StoredSeen::is_untold")]
    crm: StoredSeen,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    to_campaign: Vec<StoredSent>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    to_crm: Vec<StoredSent>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    given_up: Vec<StoredSent>,
    #[serde(default, skip_serializing_if = "is_zero")]
    sequence: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    blocks: Vec<StoredBlock>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    ruled: StoredRow,
    /// Campaign's value and the CRM's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    ignored: BTreeMap<u16, (StoredValue, StoredValue)>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    trail: BTreeMap<u16, Vec<(Place, StoredValue)>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    inherited: BTreeMap<u16, StoredConsent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claims: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    waiting_since: Option<Place>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<Place>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held_since: Option<Place>,
}

/// Writes a link's body.
pub fn encode(link: &Link) -> String {
    serde_json::to_string(&Body::of(link)).expect("a body has text keys and numbers only")
}

/// Reads a link from its columns and its body.
pub fn decode(columns: Columns, body: &str) -> Result<Link, NotBody> {
    let body: Body = serde_json::from_str(body).map_err(|error| NotBody(error.to_string()))?;
    if body.v != FORM {
        return Err(NotBody(format!("its form is {} and the newest known is {FORM}", body.v)));
    }
    body.load(columns)
}

impl Body {
    fn of(link: &Link) -> Self {
        let mut times = Times::default();
        let campaign = store_seen(&link.seen.campaign, &link.base, &mut times);
        let crm = store_seen(&link.seen.crm, &link.base, &mut times);
        let mut sent = |writes: &[_]| -> Vec<StoredSent> {
            writes.iter().map(|sent| store_sent(sent, link, &mut times)).collect()
        };
        let (to_campaign, to_crm) = (sent(&link.sent.campaign), sent(&link.sent.crm));
        let given_up = sent(&link.given_up);
        let blocks = link.blocks.iter().map(|block| store_block(block, &mut times)).collect();
        let trail = link.trail.iter().map(|(field, values)| {
            let stored = values.iter().map(|(at, v)| (times.place(*at), StoredValue(v.clone())));
            (field.0, stored.collect())
        });
        let trail = trail.collect();
        let ignored = link.ignored.iter().map(|(field, Sides { campaign, crm })| {
            (field.0, (StoredValue(campaign.clone()), StoredValue(crm.clone())))
        });
        let inherited = link.inherited.iter().map(|(field, consent)| (field.0, (*consent).into()));
        Self {
            v: FORM,
            base: store_row(&link.base),
            campaign,
            crm,
            to_campaign,
            to_crm,
            given_up,
            sequence: link.sequence,
            blocks,
            ruled: store_row(&link.ruled),
            ignored: ignored.collect(),
            trail,
            inherited: inherited.collect(),
            claims: link.claims.as_ref().map(|claims| Arc::clone(&claims.0)),
            waiting_since: link.waiting_since.map(|time| times.place(time)),
            ended: link.ended.map(|time| times.place(time)),
            held_since: link.held_since.map(|time| times.place(time)),
            times: times.store(),
        }
    }

    fn load(self, columns: Columns) -> Result<Link, NotBody> {
        let Columns { id, entity, state, records } = columns;
        let (times, base) = (self.times.load()?, load_row(self.base));
        let sent = |stored: Vec<StoredSent>| -> Result<Vec<_>, NotBody> {
            stored.into_iter().map(|sent| load_sent(sent, (id, entity), &times)).collect()
        };
        let mut trail = BTreeMap::new();
        for (field, stored) in self.trail {
            let values = stored.into_iter().map(|(at, value)| Ok((times.at(at)?, value.0)));
            trail.insert(Field(field), values.collect::<Result<Vec<_>, NotBody>>()?);
        }
        let blocks = self.blocks.into_iter().map(|block| load_block(block, &times));
        let ignored = self.ignored.into_iter().map(|(field, (campaign, crm))| {
            (Field(field), Sides { campaign: campaign.0, crm: crm.0 })
        });
        let inherited = self.inherited.into_iter();
        Ok(Link {
            id,
            entity,
            state,
            seen: Sides {
                campaign: load_seen(self.campaign, records.campaign, &base, &times)?,
                crm: load_seen(self.crm, records.crm, &base, &times)?,
            },
            base,
            sent: Sides { campaign: sent(self.to_campaign)?, crm: sent(self.to_crm)? },
            given_up: sent(self.given_up)?,
            sequence: self.sequence,
            blocks: blocks.collect::<Result<_, _>>()?,
            ruled: load_row(self.ruled),
            ignored: ignored.collect(),
            trail,
            inherited: inherited.map(|(field, consent)| (Field(field), consent.into())).collect(),
            claims: self.claims.map(RecordId),
            waiting_since: self.waiting_since.map(|place| times.at(place)).transpose()?,
            ended: self.ended.map(|place| times.at(place)).transpose()?,
            held_since: self.held_since.map(|place| times.at(place)).transpose()?,
        })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
