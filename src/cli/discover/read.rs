//! Reading both sides: the chosen objects with what is told of their fields, and the tables of Campaign
//! that records could be kept in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::time::Instant;

use super::Account;
use super::listing::Entry;
use crate::campaign::catalog::{Form, Persistence, Table};
use crate::campaign::listing::{default_folder, table_names};
use crate::cli::progress::{Bars, Way};
use crate::config::{Config, Label};
use crate::crm::any;
use crate::crm::{Rights, Told, Wanted};
use crate::discover::names::plain;
use crate::discover::object::{Choice, Field, Found, Object, Table as Fit};
use crate::discover::propose::{RECIPIENTS, is_candidate};
use crate::peer::PeerError;
use crate::postgres::Session;
use crate::reconcile::mapping::{Column, Kind};
use crate::reconcile::shape::Case;

/// Reads, and tells how far it has come.
pub(super) struct Reader<'a> {
    pub(super) bars: &'a Bars,
    pub(super) config: &'a Config,
}

/// Campaign's tables.
pub(super) struct Tables {
    /// Those that records could be kept in.
    pub(super) fit: Vec<Fit>,
    /// The columns of every table of those names.
    pub(super) columns: BTreeMap<String, BTreeSet<String>>,
}

impl Reader<'_> {
    /// The chosen objects; and those that cannot be mapped, with why.
    pub(super) async fn objects(
        &self,
        name: &Label,
        account: &Account,
        listed: &[Entry],
        chosen: &[Arc<str>],
    ) -> Result<(Vec<Object>, Vec<(Arc<str>, String)>)> {
        let (mut objects, mut refused) = (Vec::new(), Vec::new());
        let chosen = listed.iter().filter(|one| chosen.contains(&one.object.name));
        let chosen: Vec<&Entry> = chosen.collect();
        let mut bar = self.bars.add("reading objects".to_owned());
        let begun = Instant::now();
        for (done, entry) in (0..).zip(&chosen) {
            let total = u64::try_from(chosen.len()).ok();
            bar.tell(&Way { before: 0, done, total, elapsed: begun.elapsed() });
            match self.object(account, entry).await {
                Ok(Ok(object)) => objects.push(object),
                Ok(Err(why)) => refused.push((Arc::clone(&entry.object.name), why)),
                // Of this object alone: the others go on.
                Err(PeerError::Unfit { why }) => {
                    refused.push((Arc::clone(&entry.object.name), why));
                }
                Err(error) => return Err(error).with_context(|| format!("crm.{name}")),
            }
        }
        bar.end();
        Ok((objects, refused))
    }

    async fn object(
        &self,
        account: &Account,
        entry: &Entry,
    ) -> Result<Result<Object, String>, PeerError> {
        let name = &entry.object.name;
        let described = account.describe(name).await?.object();
        if let Some(why) = described.problems(&wanted(Right::Query)).into_iter().next() {
            return Ok(Err(why));
        }
        let told = account.tell(name).await?;
        let any = Label::try_from("x".repeat(LABEL_CHARS)).expect("a row of letters is a name");
        let longest = self.config.campaign.external_id(&any, "").chars().count() + KEY_DIGITS;
        Ok(Ok(Object {
            name: Arc::clone(described.name()),
            label: entry.object.label.clone(),
            plural: entry.object.plural.clone(),
            custom: entry.object.custom,
            count: entry.count,
            fields: described.columns().into_iter().map(|c| field(&described, &told, c)).collect(),
            external_id: own(&described, "truceid", |found| {
                let wanted = Wanted { external_id: Some(found), ..wanted(Right::Query) };
                let mut problems = described.problems(&wanted);
                problems.extend(described.short_external_id(found, longest));
                problems
            }),
            stamp: own(&described, "trucestamp", |found| {
                described.problems(&Wanted { stamp: Some(found), ..wanted(Right::Query) })
            }),
            no_create: described.problems(&wanted(Right::Create)).into_iter().next(),
            no_update: described.problems(&wanted(Right::Update)).into_iter().next(),
        }))
    }

    /// Campaign's tables that have a key and could be mapped.
    pub(super) async fn tables(&self, session: &Session) -> Result<Tables> {
        let schema = self.config.campaign.schema.as_str();
        let names = table_names(session, schema).await?;
        let names: Vec<&String> = names.iter().filter(|name| is_candidate(name)).collect();
        let folder = default_folder(session, schema, FOLDERS).await?;
        let mut tables = Tables { fit: Vec::new(), columns: BTreeMap::new() };
        let mut bar = self.bars.add("reading tables".to_owned());
        let begun = Instant::now();
        for (done, name) in (0..).zip(&names) {
            let total = u64::try_from(names.len()).ok();
            bar.tell(&Way { before: 0, done, total, elapsed: begun.elapsed() });
            let Some(table) = Table::read(session, schema, name).await? else { continue };
            let columns = table.columns.iter().map(|known| known.column.name.to_string());
            tables.columns.insert((*name).clone(), columns.collect());
            // It is a folder of recipients: another table's rows would be lost to sight in it.
            let folder = folder.filter(|_| name.as_str() == RECIPIENTS);
            tables.fit.extend(fit(&table, folder));
        }
        bar.end();
        Ok(tables)
    }
}

/// The model of the folders that recipients live in.
const FOLDERS: &str = "nmsFolder";

/// The longest name that a mapping is given.
const LABEL_CHARS: usize = 40;

/// The longest key that Campaign numbers a record by.
const KEY_DIGITS: usize = 10;

fn fit(table: &Table, folder: Option<i64>) -> Option<Fit> {
    let followed = table.persistence == Persistence::Logged && table.form == Form::Table;
    let key = table.key().filter(|_| followed && !table.inherits)?;
    let has_folder = table.column("ifolderid").is_some();
    Some(Fit {
        name: Arc::clone(&table.name),
        key: Arc::clone(key),
        columns: table.columns.iter().map(|known| known.column.clone()).collect(),
        folder: folder.filter(|_| has_folder),
    })
}

/// What one would do with records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Right {
    Query,
    Create,
    Update,
}

fn wanted(right: Right) -> Wanted<'static> {
    let rights = Rights {
        query: true,
        create: right == Right::Create,
        update: right == Right::Update,
        delete: false,
    };
    Wanted { external_id: None, stamp: None, rights }
}

/// A field that is ours by its name.
fn own(object: &any::Object, name: &str, problems: impl Fn(&str) -> Vec<String>) -> Found {
    let ours = |column: &&&Column| {
        plain(column.name.trim_end_matches("__c")).ends_with(name)
            && matches!(column.kind, Kind::Text { .. })
    };
    let columns = object.columns();
    let Some(found) = columns.iter().find(ours) else { return Found::Nothing };
    match problems(&found.name).into_iter().next() {
        None => Found::Fit(Arc::clone(&found.name)),
        Some(why) => Found::Unfit(why),
    }
}

fn field(object: &any::Object, told: &Told, column: &Column) -> Field {
    let name = &column.name;
    let told = told.get(name).cloned().unwrap_or_default();
    let beside = Kind::Text { max: None, case: Case::Kept, only: None };
    let beside = object.column_beside(name, Some(&beside));
    let calculated = object.is_calculated(name).then(|| "is calculated".to_owned());
    Field {
        column: column.clone(),
        beside_text: beside.map_or_else(|| column.kind.clone(), |beside| beside.kind),
        label: if told.label.is_empty() { name.to_string() } else { told.label },
        custom: told.custom,
        choices: (told.choices.into_iter())
            .map(|one| Choice { value: one.value, label: one.label, active: one.active })
            .collect(),
        aside: told.aside.or_else(|| object.unreadable(name)).or(calculated),
        filterable: object.unfilterable(name).is_none(),
    }
}
