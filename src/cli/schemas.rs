//! The live schemas of both sides, read for the mappings of a config.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::campaign::catalog::Table;
use crate::campaign::table::time_zone;
use crate::config::{Config, Label};
use crate::crm::any::{Account, Object};
use crate::peer::PeerError;
use crate::postgres::Session;

/// The CRM's objects, by mapping; why not, where one cannot be described.
pub(super) type Objects = BTreeMap<Label, Result<Object, PeerError>>;

/// What both sides look like.
pub(super) struct Schemas {
    /// Campaign's tables, by mapping; `None` where there is none of that name.
    pub(super) tables: BTreeMap<Label, Option<Table>>,
    /// The CRM's objects.
    pub(super) objects: Objects,
    /// The zone of Campaign's times.
    pub(super) zone: TimeZone,
}

impl Schemas {
    /// Reads Campaign's side, to stand beside the CRM's.
    pub(super) async fn read(
        config: &Config,
        session: &Session,
        objects: Objects,
    ) -> Result<Self, PeerError> {
        let schema = config.campaign.schema.as_str();
        let zone = time_zone(session, schema, config.campaign.time_zone.as_deref()).await?;
        let mut tables = BTreeMap::new();
        for (name, mapping) in config.in_order() {
            let table = Table::read(session, schema, mapping.table.as_str()).await?;
            tables.insert(name.clone(), table);
        }
        Ok(Self { tables, objects, zone })
    }
}

/// Asks the accounts that are there for the mappings' objects.
pub(super) async fn describe(config: &Config, accounts: &BTreeMap<Label, Arc<Account>>) -> Objects {
    let mut objects = BTreeMap::new();
    for (name, mapping) in config.in_order() {
        if let Some(account) = accounts.get(&mapping.crm) {
            let described = account.describe(mapping.object.as_str()).await;
            objects.insert(name.clone(), described.map(|described| described.object()));
        }
    }
    objects
}
