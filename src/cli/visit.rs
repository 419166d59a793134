//! A look into the ledger by a command: its mappings by their numbers, without asking either side.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use crate::agent::run::told;
use crate::agent::{Linger, Plan, Plans};
use crate::config::{self, Config, Label};
use crate::crm::any::record_id;
use crate::ledger::{Catalog, CatalogMapping, Ledger as _, PostgresLedger};
use crate::postgres::{ConnectError, ServerUrl};
use crate::reconcile::decide::Gate;
use crate::reconcile::{Entity, Field, FieldRule, Policy, RecordId, Shape, Sides};

use super::failure::Unusable;
use super::mapped;
use super::places::Places;

/// The ledger of a config.
pub(super) struct Visit {
    pub(super) config: Config,
    pub(super) ledger: PostgresLedger,
    pub(super) catalog: Catalog,
    /// As much of the mappings as storing a link takes: by what its records are matched.
    pub(super) plans: Plans,
}

impl Visit {
    pub(super) async fn open(path: &Path) -> Result<Self> {
        let config = config::load(path)?;
        let places = Places::of(&config)?;
        let ledger = open_ledger(&places.ledger).await?;
        let catalog = ledger.catalog(&mapped::names(&config)).await?;
        let plans = plans(&config, &catalog);
        Ok(Self { config, ledger, catalog, plans })
    }

    /// A mapping of the config by its name.
    pub(super) fn entity(&self, name: &str) -> Result<Entity> {
        let known = self.catalog.named(name).map(|mapping| mapping.entity);
        let names = || {
            let names: Vec<&str> = self.config.mappings.keys().map(Label::as_str).collect();
            Unusable::new(format!("there is no mapping `{name}`; there are: {}", names.join(", ")))
        };
        Ok(known.ok_or_else(names)?)
    }

    /// A field of a mapping by its name.
    pub(super) fn field(&self, mapping: &str, name: &str) -> Result<Field> {
        let known = self.catalog.named(mapping).and_then(|mapping| mapping.field(name));
        Ok(known.ok_or_else(|| {
            Unusable::new(format!("the mapping `{mapping}` has no field `{name}`"))
        })?)
    }

    /// A field's name.
    pub(super) fn field_name(&self, entity: Entity, field: Field) -> String {
        let mapping = self.catalog.mapping(entity);
        let known = mapping.and_then(|mapping| mapping.fields.iter().find(|f| f.field == field));
        known.map_or_else(|| field.0.to_string(), |known| known.name.clone())
    }

    /// A mapping's name.
    pub(super) fn mapping_name(&self, entity: Entity) -> &str {
        self.catalog.mapping(entity).map_or("?", |mapping| &mapping.name)
    }
}

/// The ledger's server does not answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreached(String);

/// Opens the ledger. Setup makes one that is missing, and helps nobody whose server is down.
pub(super) async fn open_ledger(url: &ServerUrl) -> Result<PostgresLedger> {
    let error = match PostgresLedger::open(url).await {
        Ok(ledger) => return Ok(ledger),
        Err(error) => anyhow::Error::new(error),
    };
    let unreached = error.chain().find_map(|cause| cause.downcast_ref::<ConnectError>());
    Err(match unreached {
        Some(ConnectError::NoDatabase { .. }) | None => {
            error.context("the ledger cannot be opened; `truce setup` makes it where it is missing")
        }
        Some(unreached) => {
            anyhow::Error::new(Unreached(told(unreached))).context("the ledger is not there")
        }
    })
}

/// What a person may mean by a key: as it is written, or an id of the CRM in its long form.
pub(super) fn keys(text: &str) -> Vec<RecordId> {
    let mut keys = vec![RecordId::from(text)];
    keys.extend(record_id(text).filter(|long| *long != keys[0]));
    keys
}

/// The fields' rules as far as the config alone tells them: what is consent, and which way it goes.
/// Of all that is not consent the shape is nothing to go by here.
fn rules(mapping: &config::Mapping, numbers: &CatalogMapping) -> BTreeMap<Field, FieldRule> {
    let rule = |(name, field): (&Label, &config::Field)| {
        let rule = FieldRule {
            shape: if field.is_consent() { Shape::Consent } else { Shape::Bool },
            direction: field.direction.into(),
            conflict: field.conflict.into(),
            pairing: field.pairing.into(),
            required: Sides::default(),
            unique: Sides::default(),
        };
        Some((numbers.field(name.as_str())?, rule))
    };
    mapping.fields.iter().filter_map(rule).collect()
}

fn plans(config: &Config, catalog: &Catalog) -> Plans {
    let mut plans = Plans::new();
    for (name, mapping) in config.in_order() {
        let Some(numbers) = catalog.named(name.as_str()) else { continue };
        let crm = config.crm_of(mapping);
        let match_on = mapping.match_on.iter().filter_map(|field| numbers.field(field.as_str()));
        let policy = Policy {
            entity: numbers.entity,
            fields: rules(mapping, numbers),
            create: std::collections::BTreeSet::new(),
            delete: mapping.delete.into(),
            delete_conflict: mapping.delete_conflict.into(),
            match_on: match_on.collect(),
            stamped: mapping.stamp.is_some(),
            write_limit: crm.write_time_limit_seconds.get(),
            late_commit: crm.late_commit_seconds.get(),
            wait_limit: mapping.reference_wait,
            flap: mapping.flap.into(),
            blank_fields: mapping.brake.blank_fields.size(),
        };
        let account = config.crms.keys().position(|crm| *crm == mapping.crm).unwrap_or_default();
        let names = numbers.fields.iter().map(|field| (field.field, field.name.as_str().into()));
        let plan = Plan {
            name: name.as_str().into(),
            account,
            policy,
            brake: mapping.brake.into(),
            linger: Linger::default(),
            census: None,
            tombstone_keep: config.ledger.tombstone_keep(),
            field_names: names.collect(),
            creates: Gate::Later,
            deletes: Gate::Later,
        };
        plans.insert(numbers.entity, plan);
    }
    plans
}
