//! Records as answers carry them: what was selected, annotated, expanded.

use std::cell::Cell;

use serde_json::{Map, Value as Json, json};

use super::super::data::{Data, Row};
use super::super::exchange::Request;
use super::super::model::{Children, Column, ID, Kind};
use super::super::odata::bind::{Condition, bind, unknown};
use super::super::odata::filter;
use super::super::odata::run::{Order, World, ordering, orders};
use super::super::protection::thousands;
use super::super::refusal::Refusal;
use super::super::value::Value;

/// How deep expansions may be nested.
const DEPTH_MAX: usize = 5;
/// Records of an expanded collection at most.
const CHILDREN_MAX: usize = 5_000;

const FORMATTED: &str = "OData.Community.Display.V1.FormattedValue";
const LOOKUP_NAME: &str = "Microsoft.Dynamics.CRM.lookuplogicalname";
const NAVIGATION: &str = "Microsoft.Dynamics.CRM.associatednavigationproperty";

/// Which annotations are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Annotations {
    formatted: bool,
    lookup_name: bool,
    navigation: bool,
}

impl Annotations {
    pub(super) fn of(request: &Request) -> Annotations {
        let asked = request.preference("odata.include-annotations").unwrap_or_default();
        let wants = |name: &str| {
            asked.split(',').map(str::trim).any(|one| match one.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => one == name,
            })
        };
        Annotations {
            formatted: wants(FORMATTED),
            lookup_name: wants(LOOKUP_NAME),
            navigation: wants(NAVIGATION),
        }
    }

    pub(super) fn any(self) -> bool {
        self.formatted || self.lookup_name || self.navigation
    }
}

/// What of a record is asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    /// The columns; all that can be read if nothing was selected.
    select: Option<Vec<usize>>,
    expand: Vec<Expand>,
    pub(super) annotations: Annotations,
}

#[derive(Clone, Debug)]
struct Expand {
    name: String,
    to: Way,
    table: usize,
    shape: Shape,
    condition: Option<Condition>,
    order: Vec<Order>,
    top: usize,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Up(usize),
    Down(Children),
}

impl Shape {
    pub(super) fn of(data: &Data, table: usize, request: &Request) -> Result<Shape, Refusal> {
        let options = (request.option("$select"), request.option("$expand"));
        Shape::read(data, table, options, (Annotations::of(request), 0))
    }

    fn read(
        data: &Data,
        table: usize,
        (select, expand): (Option<&str>, Option<&str>),
        (annotations, depth): (Annotations, usize),
    ) -> Result<Shape, Refusal> {
        let spec = data.model.table(table);
        let column = |name: &str| {
            let name = name.trim();
            spec.property(name).ok_or_else(|| unknown(name, &spec.name))
        };
        let named = select.filter(|text| !text.trim().is_empty() && text.trim() != "*");
        let select = named.map(|text| text.split(',').map(column).collect()).transpose()?;
        let expand = match expand {
            None => Vec::new(),
            Some(text) => split(text, ',')
                .into_iter()
                .map(|part| Expand::read(data, table, part, (annotations, depth + 1)))
                .collect::<Result<_, _>>()?,
        };
        Ok(Shape { select, expand, annotations })
    }

    pub(super) fn expands(&self) -> bool {
        !self.expand.is_empty()
    }

    /// What stands behind the set in the address of a context.
    pub(super) fn context(&self, data: &Data, table: usize) -> String {
        let spec = data.model.table(table);
        let selected = self.select.iter().flatten().map(|at| spec.column(*at).property());
        let expanded = self.expand.iter().map(|one| {
            let inner = one.shape.context(data, one.table);
            if inner.is_empty() {
                format!("{}()", one.name)
            } else {
                format!("{}{inner}", one.name)
            }
        });
        let all: Vec<String> = selected.chain(expanded).collect();
        if all.is_empty() { String::new() } else { format!("({})", all.join(",")) }
    }
}

impl Expand {
    fn read(
        data: &Data,
        table: usize,
        text: &str,
        (annotations, depth): (Annotations, usize),
    ) -> Result<Expand, Refusal> {
        if DEPTH_MAX < depth {
            return Err(Refusal::undefined("$expand is nested too deeply"));
        }
        let text = text.trim();
        let (name, inside) = text.split_once('(').unwrap_or((text, ""));
        let spec = data.model.table(table);
        let up = spec.navigation(name);
        let (to, of) = match (up, data.model.children(table, name)) {
            (Some((column, target)), _) => {
                (Way::Up(column), data.model.by_name(target).unwrap_or(table))
            }
            (None, Some(children)) => (Way::Down(children), children.table),
            (None, None) => return Err(unknown(name, &spec.name)),
        };
        let options = split(inside.strip_suffix(')').unwrap_or(inside), ';');
        let find = |wanted: &str| {
            let pairs = options.iter().filter_map(|one| one.trim().split_once('='));
            pairs.clone().find(|(key, _)| *key == wanted).map(|(_, value)| value)
        };
        let filter = find("$filter").map(filter::parse).transpose()?;
        Ok(Expand {
            name: name.to_owned(),
            to,
            table: of,
            shape: Shape::read(data, of, (find("$select"), find("$expand")), (annotations, depth))?,
            condition: filter.map(|filter| bind(&data.model, of, &filter)).transpose()?,
            order: find("$orderby").map_or(Ok(Vec::new()), |text| orders(data, of, text))?,
            top: find("$top").and_then(|top| top.parse().ok()).unwrap_or(CHILDREN_MAX),
        })
    }
}

/// Cuts a text at a sign that is in no parentheses and no quotes.
pub(super) fn split(text: &str, sign: char) -> Vec<&str> {
    let depth = Cell::new(0_i32);
    let quoted = Cell::new(false);
    let cuts = move |letter: char| {
        match letter {
            '\'' => quoted.set(!quoted.get()),
            '(' if !quoted.get() => depth.set(depth.get() + 1),
            ')' if !quoted.get() => depth.set(depth.get() - 1),
            _ => {}
        }
        letter == sign && depth.get() == 0 && !quoted.get()
    };
    text.split(cuts).filter(|part| !part.trim().is_empty()).collect()
}

/// One record.
pub(super) fn record(
    world: World<'_>,
    table: usize,
    row: &Row,
    shape: &Shape,
) -> Map<String, Json> {
    let spec = world.data.model.table(table);
    let mut body = Map::new();
    body.insert("@odata.etag".to_owned(), json!(etag(row)));
    let all: Vec<usize> = match &shape.select {
        Some(columns) => columns.clone(),
        None => spec.live().map(|(at, _)| at).collect(),
    };
    let mut has_money = false;
    for at in all {
        let column = spec.column(at);
        has_money |= matches!(column.kind, Kind::Money { .. });
        put(world, (column, row.value(at)), shape.annotations, &mut body);
    }
    let currency = spec.find("transactioncurrencyid").filter(|_| has_money);
    for at in currency.into_iter().chain([ID]) {
        let column = spec.column(at);
        if !body.contains_key(&column.property()) {
            put(world, (column, row.value(at)), shape.annotations, &mut body);
        }
    }
    for expand in &shape.expand {
        body.insert(expand.name.clone(), expanded(world, row, expand));
    }
    body
}

/// The version of a record, as a condition names it.
pub(super) fn etag(row: &Row) -> String {
    format!("W/\"{}\"", row.version())
}

fn expanded(world: World<'_>, row: &Row, expand: &Expand) -> Json {
    let World { data, .. } = world;
    match expand.to {
        Way::Up(column) => {
            let found = row.value(column).as_reference().filter(|(to, _)| *to == expand.table);
            let parent = found.and_then(|(to, id)| data.row(to, id));
            parent.map_or(Json::Null, |parent| {
                Json::Object(record(world, expand.table, parent, &expand.shape))
            })
        }
        Way::Down(children) => {
            let points = |child: &Row| child.value(children.column).as_id() == Some(row.id());
            let meets =
                |child: &Row| expand.condition.as_ref().is_none_or(|c| world.holds(child, c));
            let all = data.records(expand.table).all();
            let mut rows: Vec<_> = all.filter(|child| points(child) && meets(child)).collect();
            let keys = |row: &Row| -> Vec<Value> {
                expand.order.iter().map(|order| world.value(row, &order.path)).collect()
            };
            rows.sort_by(|a, b| ordering(&expand.order, (&keys(a), a), (&keys(b), b)));
            let kept = rows.into_iter().take(expand.top.min(CHILDREN_MAX));
            kept.map(|row| Json::Object(record(world, expand.table, row, &expand.shape))).collect()
        }
    }
}

fn put(
    world: World<'_>,
    (column, value): (&Column, &Value),
    annotations: Annotations,
    body: &mut Map<String, Json>,
) {
    let name = column.property();
    let value = if column.is_hidden() { &Value::Null } else { value };
    if annotations.formatted
        && let Some(text) = formatted(world.data, column, value)
    {
        body.insert(format!("{name}@{FORMATTED}"), json!(text));
    }
    if let Value::Reference(table, _) = value {
        let to = &world.data.model.table(*table).name;
        let target = column.kind.targets().iter().find(|target| target.table == *to);
        if annotations.navigation
            && let Some(target) = target
        {
            body.insert(format!("{name}@{NAVIGATION}"), json!(target.navigation));
        }
        if annotations.lookup_name {
            body.insert(format!("{name}@{LOOKUP_NAME}"), json!(to));
        }
    }
    body.insert(name, value.json(&column.kind));
}

/// A value as a person reads it; texts and nulls have no such form.
fn formatted(records: &Data, column: &Column, value: &Value) -> Option<String> {
    let label = |chosen: i64| {
        let choices = column.kind.choices()?;
        choices.find(chosen).map(|choice| choice.label.clone())
    };
    match value {
        Value::Null | Value::Text(_) | Value::Id(_) => None,
        Value::Bool(flag) => {
            let Kind::Bool { labels, .. } = &column.kind else { return None };
            Some(labels[usize::from(*flag)].to_owned())
        }
        Value::Int(number) => label(*number).or_else(|| Some(thousands(*number))),
        Value::Number(number) => {
            let text = number.round(2).to_fixed(2);
            let (whole, behind) = text.split_once('.').unwrap_or((&text, "00"));
            let whole = whole.parse().map_or_else(|_| whole.to_owned(), thousands);
            let sign = if matches!(column.kind, Kind::Money { .. }) { "€" } else { "" };
            Some(format!("{sign}{whole}.{behind}"))
        }
        Value::Date(date) => Some(date.strftime("%-m/%-d/%Y").to_string()),
        Value::Instant(second) => {
            let at = jiff::Timestamp::from_second(*second).ok()?;
            Some(at.strftime("%-m/%-d/%Y %-I:%M %p").to_string())
        }
        Value::Reference(table, id) => {
            let spec = records.model.table(*table);
            let row = records.row(*table, *id)?;
            row.named(spec, &spec.primary_name).as_text().map(str::to_owned)
        }
        Value::Options(options) => {
            let labels = options.iter().filter_map(|option| label(*option));
            Some(labels.collect::<Vec<_>>().join("; "))
        }
    }
}
