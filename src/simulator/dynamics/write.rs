//! Writes as the service carries them out: what it keeps itself, what it refuses, what follows.

use std::collections::BTreeMap;

use super::super::draw::Draw;
use super::data::{Actor, Data, Row, Via, keys_of};
use super::guid::Guid;
use super::history::Deed;
use super::model::{
    CREATED_BY, CREATED_ON, Children, ID, Kind, MODIFIED_BY, MODIFIED_ON, Table, VERSION,
};
use super::number::Number;
use super::refusal::Refusal;
use super::value::{Value, instant};

/// New values by column.
pub(super) type Changes = BTreeMap<usize, Value>;

/// Makes a record; the changes may name its id.
pub(super) fn create(
    data: &mut Data,
    draw: &mut Draw,
    wanted: (usize, Changes),
    actor: Actor,
) -> Result<Guid, Refusal> {
    make(data, draw, wanted, Deed::Create, actor)
}

fn make(
    data: &mut Data,
    draw: &mut Draw,
    (table, mut changes): (usize, Changes),
    deed: Deed,
    actor: Actor,
) -> Result<Guid, Refusal> {
    let id = changes.get(&ID).and_then(Value::as_id).unwrap_or_else(|| Guid::draw(draw));
    let spec = &data.model.tables[table];
    if data.row(table, id).is_some() {
        let message = "A record with matching key values already exists.";
        return Err(Refusal::new(412, "0x80040237", message));
    }
    let mut row = defaults(spec);
    let created = changes.get(&CREATED_ON).cloned().unwrap_or_else(|| instant(actor.now));
    let overridden = spec.find("overriddencreatedon").and_then(|at| changes.get(&at).cloned());
    row.set(CREATED_ON, overridden.filter(|value| !value.is_null()).unwrap_or(created));
    row.set(CREATED_BY, user(data, actor));
    changes.insert(ID, Value::Id(id));
    settle_state(spec, &row, &mut changes, true)?;
    finish(data, table, (row, changes), deed, actor)?;
    Ok(id)
}

/// Changes a record that is there.
pub(super) fn update(
    data: &mut Data,
    (table, id): (usize, Guid),
    mut changes: Changes,
    actor: Actor,
) -> Result<(), Refusal> {
    let spec = &data.model.tables[table];
    let row = data.row(table, id).ok_or_else(|| Refusal::missing(&spec.name, id))?;
    let row = Row::clone(row);
    changes.remove(&ID);
    settle_state(spec, &row, &mut changes, false)?;
    finish(data, table, (row, changes), Deed::Update, actor)
}

/// Deletes a record; those that point at it no longer do.
pub(super) fn delete(
    data: &mut Data,
    (table, id): (usize, Guid),
    actor: Actor,
) -> Result<(), Refusal> {
    if data.row(table, id).is_none() {
        return Err(Refusal::missing(&data.model.table(table).name, id));
    }
    repoint(data, (table, id), &Value::Null, actor);
    data.remove(table, id, actor);
    Ok(())
}

/// Merges one record into another: the loser is inactive and names its master.
pub(super) fn merge(
    data: &mut Data,
    table: usize,
    (master, loser): (Guid, Guid),
    changes: Changes,
    actor: Actor,
) -> Result<(), Refusal> {
    let spec = data.model.table(table);
    if !spec.mergeable {
        let message = format!("Merge is not supported for entity '{}'", spec.name);
        return Err(Refusal::new(400, "0x80045305", message));
    }
    for id in [master, loser] {
        let row = data.row(table, id).ok_or_else(|| Refusal::missing(&spec.name, id))?;
        if row.named(spec, "statecode").as_int() == Some(1) {
            let message = "Merge warning: sub-entity or target is not active.";
            return Err(Refusal::new(400, "0x80045304", message));
        }
    }
    if master == loser {
        return Err(Refusal::argument("Merge target and subordinate are the same record."));
    }
    repoint(data, (table, loser), &Value::Reference(table, master), actor);
    let spec = data.model.table(table);
    let mut end = Changes::new();
    for (name, value) in [
        ("merged", Value::Bool(true)),
        ("masterid", Value::Reference(table, master)),
        ("statecode", Value::Int(1)),
        ("statuscode", Value::Int(2)),
    ] {
        end.extend(spec.find(name).map(|at| (at, value)));
    }
    let row = data.row(table, loser).map(|row| Row::clone(row)).unwrap_or_default();
    finish(data, table, (row, end), Deed::Merge, actor)?;
    update(data, (table, master), changes, actor)
}

/// Makes all that point at a record point elsewhere, or nowhere.
fn repoint(data: &mut Data, (table, id): (usize, Guid), to: &Value, actor: Actor) {
    let children: Vec<Children> = {
        let references = data.model.references_to(table).map(|(children, _)| children);
        references.filter(|at| ![CREATED_BY, MODIFIED_BY].contains(&at.column)).collect()
    };
    for Children { table: of, column } in children {
        let points = Value::Reference(table, id);
        let records = data.records(of).all().filter(|row| *row.value(column) == points);
        let rows: Vec<Row> = records.map(|row| Row::clone(row)).collect();
        for row in rows {
            let changes = Changes::from([(column, to.clone())]);
            // Nothing but a lookup changes, which no check refuses.
            if let Err(refusal) = finish(data, of, (row, changes), Deed::Update, actor) {
                tracing::error!(code = refusal.code, "a lookup could not be moved");
            }
        }
    }
}

fn user(data: &Data, actor: Actor) -> Value {
    data.model.by_name("systemuser").map_or(Value::Null, |at| Value::Reference(at, actor.user))
}

/// A record with the defaults of its columns.
fn defaults(spec: &Table) -> Row {
    let mut row = Row::default();
    for (at, column) in spec.live() {
        match &column.kind {
            Kind::Bool { default, .. } => row.set(at, Value::Bool(*default)),
            Kind::Choice(choices) | Kind::State(choices) | Kind::Status(choices) => {
                row.set(at, choices.default.map_or(Value::Null, Value::Int));
            }
            Kind::Id
            | Kind::Text { .. }
            | Kind::Memo { .. }
            | Kind::Int { .. }
            | Kind::BigInt
            | Kind::Decimal { .. }
            | Kind::Double { .. }
            | Kind::Money { .. }
            | Kind::MultiChoice(_)
            | Kind::Date
            | Kind::Instant { .. }
            | Kind::Lookup { .. } => {}
        }
    }
    row
}

/// State and status belong together: one that is not given follows the other.
fn settle_state(
    spec: &Table,
    row: &Row,
    changes: &mut Changes,
    is_new: bool,
) -> Result<(), Refusal> {
    let (Some(state), Some(status)) = (spec.find("statecode"), spec.find("statuscode")) else {
        return Ok(());
    };
    let Some(statuses) = spec.column(status).kind.choices() else { return Ok(()) };
    let first_of = |state: i64| statuses.options.iter().find(|option| option.state == state);
    let given = |at: usize| changes.get(&at).and_then(Value::as_int);
    let wanted_state = given(state).or(row.value(state).as_int()).unwrap_or(0);
    match (given(state), given(status)) {
        (None, None) if is_new => {
            let first = first_of(0).map_or(Value::Null, |option| Value::Int(option.value));
            changes.insert(status, first);
        }
        (None, None) => {}
        (Some(new), None) => {
            let is_same = row.value(state).as_int() == Some(new) && !is_new;
            if !is_same {
                let first = first_of(new).map_or(Value::Null, |option| Value::Int(option.value));
                changes.insert(status, first);
            }
        }
        (_, Some(chosen)) => {
            let of = statuses.find(chosen).map(|option| option.state);
            if of != Some(wanted_state) {
                let message = format!(
                    "{chosen} is not a valid status code for state code {} on {}",
                    state_name(spec, state, wanted_state),
                    spec.name
                );
                return Err(Refusal::new(400, "0x80048408", message));
            }
        }
    }
    Ok(())
}

fn state_name(spec: &Table, state: usize, value: i64) -> String {
    let choices = spec.column(state).kind.choices();
    let found = choices.and_then(|choices| choices.find(value));
    found.map_or_else(|| value.to_string(), |option| option.label.clone())
}

/// Puts changes into a row, with what the service keeps itself, and writes it.
fn finish(
    data: &mut Data,
    table: usize,
    (mut row, changes): (Row, Changes),
    deed: Deed,
    actor: Actor,
) -> Result<(), Refusal> {
    let given_date = changes.get(&MODIFIED_ON).cloned();
    for (at, value) in changes {
        row.set(at, value);
    }
    if actor.via == Via::Api {
        for plugin in data.plugins.iter_mut().filter(|plugin| plugin.table == table) {
            let new = plugin.fire(row.value(plugin.column))?;
            row.set(plugin.column, new);
        }
    }
    let stands = user(data, actor);
    compute(data, table, &mut row);
    let spec = &data.model.tables[table];
    if let Some(owner) = spec.find("ownerid").filter(|at| row.value(*at).is_null()) {
        row.set(owner, stands.clone());
    }
    check_keys(data, table, &row)?;
    row.set(MODIFIED_ON, given_date.unwrap_or_else(|| instant(actor.now)));
    row.set(MODIFIED_BY, stands);
    row.set(VERSION, Value::Int(data.next_version()));
    data.put(table, row, deed, actor);
    Ok(())
}

/// What follows from other columns: whole names, whole addresses, amounts in the own currency.
fn compute(data: &Data, table: usize, row: &mut Row) {
    let spec = data.model.table(table);
    let whole = |names: &[&str], between: &str| {
        let parts = names.iter().filter_map(|name| row.named(spec, name).as_text());
        Value::text(&parts.collect::<Vec<_>>().join(between))
    };
    let mut computed = Vec::new();
    if let Some(at) = spec.find("fullname") {
        computed.push((at, whole(&["firstname", "lastname"], " ")));
    }
    if let Some(at) = spec.find("address1_composite") {
        let parts = ["line1", "line2", "line3", "city", "stateorprovince", "postalcode", "country"]
            .map(|part| format!("address1_{part}"));
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        computed.push((at, whole(&parts, "\r\n")));
    }
    computed.extend(amounts(data, spec, row));
    for (at, value) in computed {
        row.set(at, value);
    }
}

fn amounts(data: &Data, spec: &Table, row: &Row) -> Vec<(usize, Value)> {
    let money: Vec<(usize, usize)> = spec
        .live()
        .filter(|(_, column)| matches!(column.kind, Kind::Money { base: false, .. }))
        .filter_map(|(at, column)| Some((at, spec.find(&format!("{}_base", column.name))?)))
        .collect();
    let has_money = money.iter().any(|(at, _)| !row.value(*at).is_null());
    let (Some(currency), true) = (spec.find("transactioncurrencyid"), has_money) else {
        return money.iter().map(|(_, base)| (*base, Value::Null)).collect();
    };
    let Some(table) = data.model.by_name("transactioncurrency") else { return Vec::new() };
    // Without a currency of its own it is that of the organisation: the first.
    let own = row.value(currency).as_id();
    let found = own.and_then(|id| data.row(table, id));
    let Some(kept) = found.or_else(|| data.records(table).all().next()) else { return Vec::new() };
    let rates = data.model.table(table);
    let one = Number::whole(1);
    let rate = kept.named(rates, "exchangerate").as_number().unwrap_or(one);
    let mut computed = vec![(currency, Value::Reference(table, kept.id()))];
    computed.extend(spec.find("exchangerate").map(|at| (at, Value::Number(rate))));
    for (at, base) in money {
        let amount = row.value(at).as_number().and_then(|amount| amount.over(rate));
        computed.push((base, amount.map_or(Value::Null, |n| Value::Number(n.round(4)))));
    }
    computed
}

fn check_keys(data: &Data, table: usize, row: &Row) -> Result<(), Refusal> {
    let spec = data.model.table(table);
    for (at, values) in keys_of(spec, row) {
        let key = &spec.keys[at];
        let other = data.records(table).with_key(at, &values).filter(|id| *id != row.id());
        if key.is_active() && other.is_some() {
            let names: Vec<&str> =
                key.columns.iter().map(|at| spec.column(*at).name.as_str()).collect();
            let message = format!(
                "A record that has the attribute values {} already exists. The entity key {} \
                 requires that this set of attributes contains unique values. Select unique values \
                 and try again.",
                names.join(", "),
                key.schema
            );
            return Err(Refusal::new(412, "0x80060892", message));
        }
    }
    Ok(())
}

/// Brings a deleted record back under its id.
pub(super) fn restore(
    data: &mut Data,
    table: usize,
    row: &Row,
    actor: Actor,
) -> Result<(), Refusal> {
    if data.row(table, row.id()).is_some() {
        return Err(Refusal::argument("the record is there"));
    }
    finish(data, table, (row.clone(), Changes::new()), Deed::Restore, actor)
}

/// Writes a record with its own dates, as if it had been there before.
pub(super) fn seed(
    data: &mut Data,
    draw: &mut Draw,
    (table, mut changes): (usize, Changes),
    actor: Actor,
) -> Result<Guid, Refusal> {
    let dates = [MODIFIED_ON, CREATED_ON];
    let given = dates.iter().find_map(|at| changes.get(at).cloned());
    let stamp = given.unwrap_or_else(|| instant(actor.now));
    for at in dates {
        changes.entry(at).or_insert_with(|| stamp.clone());
    }
    make(data, draw, (table, changes), Deed::Seed, actor)
}
