//! The two entities of every world: accounts, and contacts that refer to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use truce::agent::{Linger, Plan, Plans};
use truce::reconcile::brake::BrakeRule;
use truce::reconcile::decide::Gate;
use truce::reconcile::policy::{Fallback, Flap};
use truce::reconcile::shape::{Case, Text, TooLong};
use truce::reconcile::{
    DeleteConflict, DeletePolicy, Direction, Entity, Field, FieldRule, Policy, Rule, Shape, Side,
    Sides,
};

use super::world::{Kind, Rng, Troubles, Ways};

pub(crate) const ACCOUNT: Entity = Entity(1);
pub(crate) const CONTACT: Entity = Entity(2);

/// Fields of accounts.
pub(crate) const NAME: Field = Field(1);
pub(crate) const CITY: Field = Field(2);
/// Fields of contacts.
pub(crate) const CAMPAIGN_ONLY: Field = Field(11);
pub(crate) const CRM_ONLY: Field = Field(12);
pub(crate) const BOTH: Field = Field(13);
pub(crate) const EMAIL: Field = Field(14);
pub(crate) const OUT: Field = Field(15);
pub(crate) const PARENT: Field = Field(16);
pub(crate) const CODE: Field = Field(17);

/// After this long an unanswered CRM write can no longer land.
pub(crate) const WRITE_LIMIT: Duration = Duration::from_secs(20);
/// A CRM edit may become visible this long after its stamp.
pub(crate) const LATE: Duration = Duration::from_secs(5);

pub(crate) fn fields(entity: Entity) -> &'static [Field] {
    if entity == ACCOUNT {
        &[NAME, CITY]
    } else {
        &[CAMPAIGN_ONLY, CRM_ONLY, BOTH, EMAIL, OUT, PARENT, CODE]
    }
}

/// What differs from world to world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub both: Rule,
    pub delete: DeletePolicy,
    pub delete_conflict: DeleteConflict,
}

pub(crate) fn rules(rng: &mut Rng) -> Rules {
    let both = [
        Rule::Prefer(Side::Crm),
        Rule::Prefer(Side::Campaign),
        Rule::Newest(Fallback::Prefer(Side::Crm)),
        Rule::FillBlank(Side::Campaign),
        Rule::Hold,
    ];
    let delete = [DeletePolicy::Propagate, DeletePolicy::Keep, DeletePolicy::Hold];
    let conflict = [DeleteConflict::DeleteWins, DeleteConflict::UpdateWins, DeleteConflict::Hold];
    Rules {
        both: both[rng.below(5)],
        delete: delete[rng.below(3)],
        delete_conflict: conflict[rng.below(3)],
    }
}

/// So many fields that turn null at once are held.
pub(crate) fn blank_fields(troubles: Troubles) -> usize {
    if troubles.blanks { 2 } else { 4 }
}

/// How many records the brake lets through while a world lasts.
pub(crate) fn brake_records(troubles: Troubles) -> u64 {
    if troubles.brake { 2 } else { 50 }
}

pub(crate) fn plans(kind: Kind, rules: Rules, troubles: Troubles, ways: Ways) -> Plans {
    let text =
        || Shape::Text(Text { max: 40, case: Case::Kept, too_long: TooLong::Reject, only: None });
    let rule = |shape: Shape, conflict: Rule| FieldRule {
        shape,
        direction: Direction::Both,
        conflict,
        pairing: if ways.pairing_held {
            Rule::Hold
        } else if conflict == Rule::Hold {
            Rule::Prefer(Side::Crm)
        } else {
            conflict
        },
        required: Sides::default(),
        unique: Sides::default(),
    };
    let crm = Rule::Prefer(Side::Crm);
    let accounts = BTreeMap::from([(NAME, rule(text(), crm)), (CITY, rule(text(), rules.both))]);
    let unique = Sides { campaign: true, crm: true };
    let one_way = |rule: FieldRule, direction| FieldRule {
        direction: if ways.one_way { direction } else { Direction::Both },
        ..rule
    };
    let ours = rule(text(), Rule::Prefer(Side::Campaign));
    let required = Sides { campaign: false, crm: ways.parent_required };
    let contacts = BTreeMap::from([
        (CAMPAIGN_ONLY, one_way(ours, Direction::ToCrm)),
        (CRM_ONLY, one_way(rule(text(), crm), Direction::ToCampaign)),
        (BOTH, rule(text(), rules.both)),
        (EMAIL, rule(text(), crm)),
        (OUT, rule(Shape::Consent, Rule::MostRestrictive)),
        (PARENT, FieldRule { required, ..rule(Shape::Reference(ACCOUNT), crm) }),
        (CODE, FieldRule { unique, ..rule(text(), Rule::Prefer(Side::Campaign)) }),
    ]);
    [(ACCOUNT, "accounts", accounts, NAME), (CONTACT, "contacts", contacts, EMAIL)]
        .into_iter()
        .map(|(entity, name, fields, key)| {
            let policy = Policy {
                entity,
                fields,
                create: ways.create.map_or([Side::Campaign, Side::Crm].into(), |s| [s].into()),
                delete: rules.delete,
                delete_conflict: rules.delete_conflict,
                match_on: vec![key],
                stamped: kind.stamped,
                write_limit: WRITE_LIMIT,
                late_commit: LATE,
                wait_limit: Duration::from_mins(1),
                flap: Flap { returns: 6, window: Duration::from_secs(30) },
                blank_fields: blank_fields(troubles),
            };
            (entity, plan(name, policy, brake_records(troubles)))
        })
        .collect()
}

fn plan(name: &str, policy: Policy, records: u64) -> Plan {
    let field_names = policy.fields.keys().map(|f| (*f, format!("f{}", f.0).into())).collect();
    Plan {
        name: Arc::from(name),
        account: 0,
        policy,
        brake: BrakeRule { records, share: 1.0, window: Duration::from_mins(10) },
        linger: Linger::default(),
        census: None,
        tombstone_keep: Duration::from_hours(24 * 365),
        field_names,
        creates: Gate::Later,
        deletes: Gate::Open,
    }
}
