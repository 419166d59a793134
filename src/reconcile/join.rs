//! Links that become one, and links that end: pairing, merges, tombstones.

use jiff::Timestamp;

use crate::reconcile::{
    Bond, Consent, Entity, Field, Link, LinkId, LinkState, Policy, RecordId, Shape, Side, Value,
};

/// Two records that were found to stand for the same thing.
///
/// Nothing agrees before the pairing policy has spoken, but where both hold the same; the Campaign
/// link goes on, the other's number is not used again. Consent that either inherited reaches both.
pub fn pair(campaign: Link, crm: Link, policy: &Policy, now: Timestamp) -> Link {
    let mut link = campaign;
    link.seen.crm = crm.seen.crm;
    link.sent.crm.extend(crm.sent.crm);
    link.base.clear();
    link.trail.clear();
    link.blocks.clear();
    link.waiting_since = None;
    for (field, consent) in crm.inherited {
        let known = link.inherited.entry(field).or_insert(consent);
        *known = (*known).max(consent);
    }
    for side in Side::BOTH {
        link.seen[side].fields.values_mut().for_each(|seen| seen.touched = false);
    }
    link.agree(policy, now);
    link
}

/// The CRM merged the loser's record into the survivor's (rule 9).
///
/// Where the survivor has a Campaign record of its own, the loser becomes an alias: its pending
/// edits move over once, and consent reaches both from then on. Where it has none, the loser's
/// Campaign record takes its place, with its base. Returns whether the survivor's link is used up.
pub fn merge(loser: &mut Link, survivor: &mut Link, policy: &Policy, now: Timestamp) -> Merging {
    let outs: Vec<_> = consents(policy)
        .filter(|field| {
            Side::BOTH.into_iter().any(|side| says_out(loser, side, *field))
                || loser.inherited.get(field).is_some_and(|consent| consent.is_out())
        })
        .collect();
    if survivor.seen.campaign.bond == Bond::Never && survivor.sent.campaign.is_empty() {
        loser.state = LinkState::Live;
        loser.seen.crm = survivor.seen.crm.clone();
        loser.sent.crm.clone_from(&survivor.sent.crm);
        loser.given_up.clear();
        loser.blocks.clear();
        for field in outs {
            loser.inherited.insert(field, Consent::Out);
        }
        loser.agree(policy, now);
        return Merging::TookOver;
    }
    for field in &outs {
        survivor.inherited.insert(*field, Consent::Out);
    }
    for (field, rule) in &policy.fields {
        let (edited, standing) =
            (loser.seen.campaign.value(*field), survivor.seen.campaign.value(*field));
        let pending =
            edited.is_some() && loser.base.contains_key(field) && edited != loser.base.get(field);
        let unmoved = standing == survivor.base.get(field);
        if let (true, true, Some(value)) = (pending, unmoved, edited)
            && rule.shape != Shape::Consent
            && !rule.unique.campaign
        {
            survivor.ruled.insert(*field, value.clone());
        }
    }
    if loser.seen.campaign.bond != Bond::Here {
        loser.retire(policy);
        return Merging::Alias;
    }
    loser.state = LinkState::Alias(survivor.id);
    loser.seen.crm = survivor.seen.crm.clone();
    loser.sent.crm.clear();
    loser.given_up.clear();
    loser.blocks.clear();
    loser.ruled.clear();
    loser.ignored.clear();
    loser.base.retain(|field, _| {
        policy.fields.get(field).is_some_and(|rule| rule.shape == Shape::Consent)
    });
    for field in outs {
        loser.inherited.insert(field, Consent::Out);
    }
    loser.agree(policy, now);
    Merging::Alias
}

/// The CRM converted a lead into a record of another mapping of the same Campaign table: that record
/// names the lead's Campaign record from now on, as if its external id did, and consent that the lead
/// knew of reaches both. Nothing is done where it stands for somebody else already.
pub fn convert(
    lead: &mut Link,
    into: &mut Link,
    channels: &[(Field, Field)],
    policy: &Policy,
) -> bool {
    let own = lead.record(Side::Campaign);
    let taken = into.seen.campaign.bond != Bond::Never && into.record(Side::Campaign) != own;
    let names_another = into.claims.is_some() && into.claims.as_ref() != own;
    if own.is_none() || taken || names_another {
        return false;
    }
    into.claims = own.cloned();
    for (field, theirs) in channels {
        let out = Side::BOTH.into_iter().any(|side| says_out(lead, side, *field))
            || lead.inherited.get(field).is_some_and(|consent| consent.is_out());
        if out {
            into.inherited.insert(*theirs, Consent::Out);
        }
    }
    lead.sever(policy);
    true
}

/// What a merge in the CRM came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merging {
    /// The loser's Campaign record took the survivor's place; the survivor's link is used up.
    TookOver,
    /// The loser's link is an alias of the survivor's from now on.
    Alias,
}

impl Link {
    /// Both records are gone: what remains is which they were, and their consent.
    pub fn retire(&mut self, policy: &Policy) {
        self.state = LinkState::Tombstone;
        self.keep_consent(policy);
        self.sent.campaign.clear();
        self.sent.crm.clear();
        self.given_up.clear();
        self.blocks.clear();
        self.ruled.clear();
        self.ignored.clear();
        self.trail.clear();
        self.waiting_since = None;
    }

    /// One record is gone and the other is left alone from now on.
    pub fn sever(&mut self, policy: &Policy) {
        self.retire(policy);
        self.state = LinkState::Severed;
    }

    /// The record that was gone is there again. What became of the other one meanwhile is not known,
    /// so it is read, and the two meet; consent is what the more restrictive of them says.
    pub fn revive(&mut self) {
        self.state = LinkState::Live;
        self.base.clear();
        self.seen.campaign.fields.clear();
        self.ended = None;
    }

    /// A link for a record that comes again, or a record of the same person: it bears the consent
    /// that the ended link left.
    pub fn successor(&self, id: LinkId) -> Self {
        let mut link = Self::new(id, self.entity);
        link.inherited.clone_from(&self.inherited);
        link
    }

    /// A tombstone for a record id that was replaced by another.
    pub fn tombstone(id: LinkId, entity: Entity, side: Side, record: RecordId) -> Self {
        let mut link = Self::new(id, entity);
        link.state = LinkState::Tombstone;
        link.seen[side].record = Some(record);
        link
    }

    fn keep_consent(&mut self, policy: &Policy) {
        for field in consents(policy) {
            let out = Side::BOTH.into_iter().any(|side| says_out(self, side, field));
            if out {
                self.inherited.insert(field, Consent::Out);
            }
        }
    }
}

fn consents(policy: &Policy) -> impl Iterator<Item = Field> {
    policy.fields.iter().filter(|(_, rule)| rule.shape == Shape::Consent).map(|(field, _)| *field)
}

fn says_out(link: &Link, side: Side, field: Field) -> bool {
    matches!(link.seen[side].value(field), Some(Value::Consent(consent)) if consent.is_out())
}
