//! Names of a query to columns of a table, and values to the types of those columns.

use super::super::model::{Children, Kind, Model};
use super::super::number::Number;
use super::super::refusal::Refusal;
use super::super::value::{Value, parse_date, parse_instant};
use super::filter::{Comparison, Filter, Operand};
use super::lex::Literal;

/// A column, by the lookups that lead to it.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Path {
    /// Each lookup: its column, and the table at its other end.
    pub(in super::super) steps: Vec<(usize, usize)>,
    pub(in super::super) column: usize,
    /// The table that the column is of.
    pub(in super::super) table: usize,
}

/// A side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Side {
    Column(Path),
    Value(Value),
}

/// How a text is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Look {
    Anywhere,
    AtStart,
    AtEnd,
}

/// A condition on the records of a table.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Compare(Side, Comparison, Side),
    Text(Look, Side, String),
    /// One of these values.
    In(Path, Vec<Value>),
    /// Any of these options is chosen.
    Chosen(Path, Vec<i64>),
    /// From one value to another.
    Between(Path, Value, Value),
    /// Within so many seconds before now.
    Last(Path, i64),
    Children {
        of: Children,
        all: bool,
        condition: Option<Box<Condition>>,
    },
}

/// Binds a filter to a table.
pub(in super::super) fn bind(
    model: &Model,
    table: usize,
    filter: &Filter,
) -> Result<Condition, Refusal> {
    Ok(match filter {
        Filter::All(parts) => Condition::All(each(model, table, parts)?),
        Filter::Any(parts) => Condition::Any(each(model, table, parts)?),
        Filter::Not(inner) => Condition::Not(Box::new(bind(model, table, inner)?)),
        Filter::Compare(left, how, right) => compare(model, table, (left, *how, right))?,
        Filter::Text(name, left, right) => {
            let look = match name.as_str() {
                "contains" => Look::Anywhere,
                "startswith" => Look::AtStart,
                _ => Look::AtEnd,
            };
            let Operand::Literal(Literal::Text(text)) = right else {
                return Err(Refusal::undefined(format!("'{name}' needs a text")));
            };
            Condition::Text(look, side(model, table, left)?, text.clone())
        }
        Filter::Query(name, column, values) => query(model, table, (name, column, values))?,
        Filter::Lambda { collection, all, filter } => {
            let name = collection.join("/");
            let of = model
                .children(table, &name)
                .ok_or_else(|| unknown(&name, &model.table(table).name))?;
            let inner = filter.as_ref().map(|inner| bind(model, of.table, inner)).transpose()?;
            Condition::Children { of, all: *all, condition: inner.map(Box::new) }
        }
    })
}

fn each(model: &Model, table: usize, parts: &[Filter]) -> Result<Vec<Condition>, Refusal> {
    parts.iter().map(|part| bind(model, table, part)).collect()
}

/// A column by its path.
pub(in super::super) fn path(
    model: &Model,
    table: usize,
    names: &[String],
) -> Result<Path, Refusal> {
    let Some((last, steps)) = names.split_last() else {
        return Err(Refusal::undefined("a name is missing"));
    };
    let (mut at, mut bound) = (table, Vec::new());
    for step in steps {
        let spec = model.table(at);
        let found = spec.navigation(step).ok_or_else(|| unknown(step, &spec.name))?;
        let next = model.by_name(found.1).ok_or_else(|| unknown(step, &spec.name))?;
        bound.push((found.0, next));
        at = next;
    }
    let spec = model.table(at);
    let column = spec.property(last).ok_or_else(|| unknown(last, &spec.name))?;
    Ok(Path { steps: bound, column, table: at })
}

pub(in super::super) fn unknown(name: &str, table: &str) -> Refusal {
    let message = format!(
        "Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{table}'."
    );
    Refusal::undefined(message)
}

fn side(model: &Model, table: usize, operand: &Operand) -> Result<Side, Refusal> {
    Ok(match operand {
        Operand::Path(names) => Side::Column(path(model, table, names)?),
        Operand::Literal(literal) => Side::Value(literal.value()),
    })
}

fn compare(
    model: &Model,
    table: usize,
    (left, how, right): (&Operand, Comparison, &Operand),
) -> Result<Condition, Refusal> {
    let (mut a, mut b) = (side(model, table, left)?, side(model, table, right)?);
    if let (Side::Column(path), Operand::Literal(literal)) = (&a, right) {
        b = Side::Value(fit(model, path, literal)?);
    } else if let (Operand::Literal(literal), Side::Column(path)) = (left, &b) {
        a = Side::Value(fit(model, path, literal)?);
    }
    Ok(Condition::Compare(a, how, b))
}

fn query(
    model: &Model,
    table: usize,
    (name, column, values): (&str, &str, &[Literal]),
) -> Result<Condition, Refusal> {
    let path = path(model, table, &[column.to_owned()])?;
    let fitted = || -> Result<Vec<Value>, Refusal> {
        values.iter().map(|value| loosely(model, &path, value)).collect()
    };
    let options = || {
        let each = values.iter().map(|value| match value {
            Literal::Text(text) => text.trim().parse().ok(),
            Literal::Number(number) => number.to_string().parse().ok(),
            Literal::Null
            | Literal::Bool(_)
            | Literal::Id(_)
            | Literal::Date(_)
            | Literal::Instant(_) => None,
        });
        let options: Option<Vec<i64>> = each.collect();
        options.ok_or_else(|| Refusal::argument(format!("'{name}' needs numbers of options")))
    };
    let hours = |unit: i64| options().map(|list| list.first().copied().unwrap_or(1) * unit);
    Ok(match name {
        "In" => Condition::In(path.clone(), fitted()?),
        "NotIn" => Condition::Not(Box::new(Condition::In(path.clone(), fitted()?))),
        "ContainValues" => Condition::Chosen(path.clone(), options()?),
        "DoesNotContainValues" => {
            Condition::Not(Box::new(Condition::Chosen(path.clone(), options()?)))
        }
        "Between" => {
            let values = fitted()?;
            let [from, to] = values.as_slice() else {
                return Err(Refusal::argument("'Between' needs two values"));
            };
            Condition::Between(path.clone(), from.clone(), to.clone())
        }
        "LastXHours" => Condition::Last(path.clone(), hours(3_600)?),
        "LastXDays" => Condition::Last(path.clone(), hours(86_400)?),
        other => return Err(Refusal::not_simulated(&format!("the query function '{other}'"))),
    })
}

/// A value of a query function, where all are written as texts.
fn loosely(model: &Model, path: &Path, literal: &Literal) -> Result<Value, Refusal> {
    let Literal::Text(text) = literal else { return fit(model, path, literal) };
    let read = match &model.table(path.table).column(path.column).kind {
        Kind::Text { .. } | Kind::Memo { .. } | Kind::MultiChoice(_) => {
            return Ok(Value::text(text));
        }
        Kind::Id | Kind::Lookup { .. } => super::super::guid::Guid::parse(text).map(Literal::Id),
        Kind::Bool { .. } => text.parse().ok().map(Literal::Bool),
        Kind::Date => parse_date(text).map(Literal::Date),
        Kind::Instant { .. } => parse_instant(text)
            .map(Literal::Instant)
            .or_else(|| parse_date(text).map(Literal::Date)),
        Kind::Int { .. }
        | Kind::BigInt
        | Kind::Decimal { .. }
        | Kind::Double { .. }
        | Kind::Money { .. }
        | Kind::Choice(_)
        | Kind::State(_)
        | Kind::Status(_) => Number::parse(text).map(Literal::Number),
    };
    let literal = read.ok_or_else(|| Refusal::argument(format!("'{text}' is not of the type")))?;
    fit(model, path, &literal)
}

/// A literal as a value of a column.
pub(in super::super) fn fit(
    model: &Model,
    path: &Path,
    literal: &Literal,
) -> Result<Value, Refusal> {
    let column = model.table(path.table).column(path.column);
    let edm = super::super::csdl::edm_of(&column.kind);
    let incompatible = |given: &str| {
        Refusal::undefined(format!(
            "A binary operator with incompatible types was detected. Found operand types '{edm}' \
             and '{given}' for operator kind 'Equal'."
        ))
    };
    let given = match (&column.kind, literal) {
        (_, Literal::Null) => return Ok(Value::Null),
        (Kind::Text { .. } | Kind::Memo { .. } | Kind::MultiChoice(_), Literal::Text(text)) => {
            return Ok(Value::Text(text.as_str().into()));
        }
        (Kind::Id | Kind::Lookup { .. }, Literal::Id(id)) => return Ok(Value::Id(*id)),
        // Quoted ids are taken, as newer versions do.
        (Kind::Id | Kind::Lookup { .. }, Literal::Text(text)) => {
            let id = super::super::guid::Guid::parse(text);
            return id.map(Value::Id).ok_or_else(|| incompatible("Edm.String"));
        }
        (Kind::Bool { .. }, Literal::Bool(flag)) => return Ok(Value::Bool(*flag)),
        (
            Kind::Int { .. }
            | Kind::BigInt
            | Kind::Decimal { .. }
            | Kind::Double { .. }
            | Kind::Money { .. }
            | Kind::Choice(_)
            | Kind::State(_)
            | Kind::Status(_),
            Literal::Number(number),
        ) => return Ok(Value::Number(*number)),
        (Kind::Date | Kind::Instant { .. }, Literal::Date(date)) => return Ok(Value::Date(*date)),
        (Kind::Date | Kind::Instant { .. }, Literal::Instant(at)) => {
            return Ok(Value::Instant(*at));
        }
        (_, Literal::Text(_)) => "Edm.String",
        (_, Literal::Number(_)) => "Edm.Int32",
        (_, Literal::Bool(_)) => "Edm.Boolean",
        (_, Literal::Id(_)) => "Edm.Guid",
        (_, Literal::Date(_)) => "Edm.Date",
        (_, Literal::Instant(_)) => "Edm.DateTimeOffset",
    };
    Err(incompatible(given))
}
