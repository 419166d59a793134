//! Orders that change the model: tables, columns, keys, and a customer's own logic.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::json;

use super::super::columns;
use super::super::model::{Choice, Column, Key, Kind, Table, Zone};
use super::super::org::Org;
use super::super::plugin::{Plugin, Rewrite};
use super::super::server::Shared;
use super::{Done, Unfit, column, table};

/// A plug-in to add, or the plug-ins of a column to end.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PluginOrder {
    table: String,
    column: String,
    rewrite: Option<Rewrite>,
}

/// `POST /plugin`.
pub(super) async fn plugin(State(shared): State<Shared>, Json(order): Json<PluginOrder>) -> Done {
    let mut org = shared.org();
    let at = table(&org, &order.table)?;
    let column = column(&org, at, &order.column)?;
    if !org.data.model.table(at).column(column).kind.is_text() {
        return Err(Unfit(format!("`{}` is not a text column", order.column)));
    }
    match order.rewrite {
        Some(rewrite) => org.data.plugins.push(Plugin { table: at, column, rewrite, fired: 0 }),
        None => org.data.plugins.retain(|plugin| (plugin.table, plugin.column) != (at, column)),
    }
    Ok(Json(json!({ "plugins": org.data.plugins.len() })))
}

/// By which columns duplicates are found.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DuplicatesOrder {
    table: String,
    columns: Vec<String>,
}

/// `POST /duplicates`.
pub(super) async fn duplicates(
    State(shared): State<Shared>,
    Json(order): Json<DuplicatesOrder>,
) -> Done {
    let mut org = shared.org();
    let at = table(&org, &order.table)?;
    let named = order.columns.iter().map(|name| column(&org, at, name));
    let columns = named.collect::<Result<Vec<_>, _>>()?;
    org.duplicates.insert(at, columns);
    Ok(Json(json!({})))
}

/// A table to add, or to switch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableOrder {
    name: String,
    /// Of a new table.
    set: Option<String>,
    #[serde(default)]
    columns: Vec<NewColumn>,
    tracking: Option<bool>,
    concurrency: Option<bool>,
}

/// `POST /tables`.
pub(super) async fn tables(State(shared): State<Shared>, Json(order): Json<TableOrder>) -> Done {
    let mut org = shared.org();
    if let Some(set) = &order.set {
        if org.data.model.by_name(&order.name).is_some() {
            return Err(Unfit(format!("there is a table `{}` already", order.name)));
        }
        let mut all = columns::system(&format!("{}id", order.name));
        all.push(columns::text("new_name", "Name", 100));
        for wanted in &order.columns {
            all.push(wanted.column(&order.name)?);
        }
        all.extend(columns::ownership(&order.name));
        let statuses = [(1, "Active", 0), (2, "Inactive", 1)];
        all.extend(columns::state(&order.name, &["Active", "Inactive"], &statuses));
        let code = i32::try_from(10_500 + org.data.model.tables.len()).unwrap_or(i32::MAX);
        let new = Table::new((&order.name, set), &order.name, code, all);
        org.data.add_table(Table { primary_name: "new_name".to_owned(), ..new });
    }
    let at = table(&org, &order.name)?;
    let spec = &mut org.data.model.tables[at];
    spec.tracking = order.tracking.unwrap_or(spec.tracking);
    spec.concurrency = order.concurrency.unwrap_or(spec.concurrency);
    Ok(Json(json!({ "tracking": spec.tracking, "concurrency": spec.concurrency })))
}

/// A column to add.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewColumn {
    name: String,
    /// `text`, `memo`, `int`, `decimal`, `money`, `bool`, `choice`, `multi`, `date`, `instant`,
    /// `lookup`.
    #[serde(rename = "type")]
    kind: String,
    #[serde(default = "hundred")]
    length: usize,
    #[serde(default)]
    options: Vec<String>,
    /// Of a lookup: the table at its other end.
    target: Option<String>,
}

fn hundred() -> usize {
    100
}

impl NewColumn {
    fn column(&self, table: &str) -> Result<Column, Unfit> {
        let (name, label) = (self.name.as_str(), self.name.as_str());
        let options: Vec<&str> = self.options.iter().map(String::as_str).collect();
        let kind = match self.kind.as_str() {
            "text" => return Ok(columns::text(name, label, self.length)),
            "memo" => return Ok(columns::memo(name, label, self.length)),
            "int" => Kind::Int { min: i64::from(i32::MIN), max: i64::from(i32::MAX) },
            "decimal" => Kind::Decimal { precision: 2 },
            "money" => Kind::Money { precision: 2, base: false },
            "bool" => return Ok(columns::flag(name, label, columns::BULK, false)),
            "choice" => return Ok(columns::choice(table, name, label, &options, None)),
            "multi" => return Ok(columns::multi(table, name, label, &options)),
            "date" => Kind::Date,
            "instant" => Kind::Instant { zone: Zone::UserLocal, date_format: false },
            "lookup" => {
                let target = self.target.as_deref();
                let target = target.ok_or_else(|| Unfit("a lookup has a `target`".to_owned()))?;
                let relationship = format!("{table}_{name}");
                return Ok(columns::lookup(name, label, &[(target, name, &relationship)]));
            }
            other => return Err(Unfit(format!("`{other}` is no type of a column; `text` is one"))),
        };
        Ok(Column::new(name, label, kind))
    }
}

/// What happens to the columns of a table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ColumnsOrder {
    table: String,
    #[serde(default)]
    add: Vec<NewColumn>,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    length: BTreeMap<String, usize>,
    #[serde(default)]
    secure: Vec<String>,
    #[serde(default)]
    hide: Vec<String>,
    #[serde(default)]
    show: Vec<String>,
    /// The options that a choice has from now on.
    #[serde(default)]
    options: BTreeMap<String, Vec<String>>,
}

/// `POST /columns`.
pub(super) async fn columns(State(shared): State<Shared>, Json(order): Json<ColumnsOrder>) -> Done {
    let mut org = shared.org();
    let at = table(&org, &order.table)?;
    for wanted in &order.add {
        let new = wanted.column(&order.table)?;
        if org.data.model.table(at).find(&new.name).is_some() {
            return Err(Unfit(format!("there is a column `{}` already", new.name)));
        }
        org.data.model.tables[at].add(new);
    }
    for (names, secured, denied) in
        [(&order.secure, true, false), (&order.hide, true, true), (&order.show, false, false)]
    {
        for name in names {
            let spec = spec(&mut org, at, name)?;
            (spec.secured, spec.denied) = (secured, denied);
        }
    }
    for (name, length) in &order.length {
        let kind = &mut spec(&mut org, at, name)?.kind;
        let (Kind::Text { max, .. } | Kind::Memo { max }) = kind else {
            return Err(Unfit(format!("`{name}` is not a text column")));
        };
        *max = *length;
    }
    for (name, labels) in &order.options {
        let choices = spec(&mut org, at, name)?.kind.choices_mut();
        let choices = choices.ok_or_else(|| Unfit(format!("`{name}` has no options")))?;
        let first = choices.options.first().map_or(1, |option| option.value);
        let one = |(value, label): (i64, &String)| Choice { value, label: label.clone(), state: 0 };
        choices.options = (first..).zip(labels).map(one).collect();
    }
    for name in &order.remove {
        spec(&mut org, at, name)?.removed = true;
        org.data.model.tables[at].index();
    }
    Ok(Json(json!({ "columns": org.data.model.table(at).live().count() })))
}

fn spec<'a>(org: &'a mut Org, at: usize, name: &str) -> Result<&'a mut Column, Unfit> {
    let column = column(org, at, name)?;
    Ok(&mut org.data.model.tables[at].columns[column])
}

/// An alternate key to add, or to give a status.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyOrder {
    table: String,
    name: String,
    #[serde(default)]
    columns: Vec<String>,
    status: Option<String>,
}

/// `POST /keys`.
pub(super) async fn keys(State(shared): State<Shared>, Json(order): Json<KeyOrder>) -> Done {
    let mut org = shared.org();
    let at = table(&org, &order.table)?;
    let status = order.status.unwrap_or_else(|| "Active".to_owned());
    if !["Active", "Pending", "InProgress", "Failed"].contains(&status.as_str()) {
        return Err(Unfit(format!("`{status}` is no status of a key; `Active` is one")));
    }
    let name = order.name.to_lowercase();
    let named = order.columns.iter().map(|one| column(&org, at, one));
    let columns = named.collect::<Result<Vec<_>, _>>()?;
    let keys = &mut org.data.model.tables[at].keys;
    match keys.iter_mut().find(|key| key.name == name) {
        Some(key) => key.status = status,
        None if columns.is_empty() => {
            return Err(Unfit(format!("there is no key `{name}`; a new one has `columns`")));
        }
        None => keys.push(Key { name, schema: order.name, columns, status }),
    }
    org.data.reindex(at);
    Ok(Json(json!({ "keys": org.data.model.table(at).keys.len() })))
}
