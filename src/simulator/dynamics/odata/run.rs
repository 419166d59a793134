//! Which records meet a condition, and in which order they come.

use std::cmp::Ordering;
use std::sync::Arc;

use super::super::data::{Data, Row};
use super::super::refusal::Refusal;
use super::super::value::{Value, fold};
use super::bind::{Condition, Look, Path, Side, path};
use super::filter::Comparison;

/// What a condition is judged by: the records, and the time in seconds.
#[derive(Clone, Copy)]
pub(in super::super) struct World<'a> {
    pub(in super::super) data: &'a Data,
    pub(in super::super) now: i64,
}

impl World<'_> {
    /// Whether a record meets a condition.
    pub(in super::super) fn holds(self, row: &Row, condition: &Condition) -> bool {
        match condition {
            Condition::All(parts) => parts.iter().all(|part| self.holds(row, part)),
            Condition::Any(parts) => parts.iter().any(|part| self.holds(row, part)),
            Condition::Not(inner) => !self.holds(row, inner),
            Condition::Compare(left, how, right) => {
                meets(&self.side(row, left), *how, &self.side(row, right))
            }
            Condition::Text(look, side, text) => {
                let value = self.side(row, side);
                value
                    .as_text()
                    .is_some_and(|value| looks(*look, &fold(value), &text.to_lowercase()))
            }
            Condition::In(path, values) => {
                let value = self.value(row, path);
                values.iter().any(|other| meets(&value, Comparison::Eq, other))
            }
            Condition::Chosen(path, options) => match self.value(row, path) {
                Value::Options(chosen) => options.iter().any(|option| chosen.contains(option)),
                Value::Int(chosen) => options.contains(&chosen),
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::Text(_)
                | Value::Id(_)
                | Value::Date(_)
                | Value::Instant(_)
                | Value::Reference(..) => false,
            },
            Condition::Between(path, from, to) => {
                let value = self.value(row, path);
                meets(&value, Comparison::Ge, from) && meets(&value, Comparison::Le, to)
            }
            Condition::Last(path, seconds) => {
                let value = self.value(row, path);
                let from = Value::Instant(self.now - seconds);
                meets(&value, Comparison::Ge, &from)
                    && meets(&value, Comparison::Le, &Value::Instant(self.now))
            }
            Condition::Children { of, all, condition } => {
                let points = |child: &&Arc<Row>| child.value(of.column).as_id() == Some(row.id());
                let mut children = self.data.records(of.table).all().filter(points);
                let meets =
                    |child: &Arc<Row>| condition.as_ref().is_none_or(|c| self.holds(child, c));
                if *all { children.all(meets) } else { children.any(meets) }
            }
        }
    }

    fn side(self, row: &Row, side: &Side) -> Value {
        match side {
            Side::Column(path) => self.value(row, path),
            Side::Value(value) => value.clone(),
        }
    }

    /// The value at the end of a path; null where a lookup on the way is.
    pub(in super::super) fn value(self, row: &Row, path: &Path) -> Value {
        let mut at = row;
        for (column, table) in &path.steps {
            // A lookup of several tables leads along this path only where it points there.
            let found = at.value(*column).as_reference().filter(|(to, _)| to == table);
            match found.and_then(|(to, id)| self.data.row(to, id)) {
                Some(next) => at = next,
                None => return Value::Null,
            }
        }
        if self.data.model.table(path.table).column(path.column).is_hidden() {
            return Value::Null;
        }
        at.value(path.column).clone()
    }
}

fn looks(look: Look, value: &str, text: &str) -> bool {
    if text.contains(['%', '_', '[']) {
        let pattern = match look {
            Look::Anywhere => format!("%{text}%"),
            Look::AtStart => format!("{text}%"),
            Look::AtEnd => format!("%{text}"),
        };
        let pattern: Vec<char> = pattern.chars().collect();
        return is_like(&value.chars().collect::<Vec<_>>(), &pattern);
    }
    match look {
        Look::Anywhere => value.contains(text),
        Look::AtStart => value.starts_with(text),
        Look::AtEnd => value.ends_with(text),
    }
}

/// The wildcards of SQL: `%` any text, `_` any letter, `[abc]` one of these.
fn is_like(value: &[char], pattern: &[char]) -> bool {
    match pattern.split_first() {
        None => value.is_empty(),
        Some(('%', rest)) => (0..=value.len()).any(|skip| is_like(&value[skip..], rest)),
        Some(('_', rest)) => value.split_first().is_some_and(|(_, tail)| is_like(tail, rest)),
        Some(('[', rest)) => {
            let Some(end) = rest.iter().position(|c| *c == ']') else { return false };
            let first = value.first().is_some_and(|c| rest[..end].contains(c));
            first && is_like(&value[1..], &rest[end + 1..])
        }
        Some((letter, rest)) => value.first() == Some(letter) && is_like(&value[1..], rest),
    }
}

/// Whether two values stand so to each other; null is equal to null and to nothing else.
pub(in super::super) fn meets(left: &Value, how: Comparison, right: &Value) -> bool {
    if left.is_null() || right.is_null() {
        let both = left.is_null() && right.is_null();
        return match how {
            Comparison::Eq => both,
            Comparison::Ne => !both,
            Comparison::Gt | Comparison::Ge | Comparison::Lt | Comparison::Le => false,
        };
    }
    let Some(order) = left.compare(right) else { return how == Comparison::Ne };
    match how {
        Comparison::Eq => order == Ordering::Equal,
        Comparison::Ne => order != Ordering::Equal,
        Comparison::Gt => order == Ordering::Greater,
        Comparison::Ge => order != Ordering::Less,
        Comparison::Lt => order == Ordering::Less,
        Comparison::Le => order != Ordering::Greater,
    }
}

/// By what records are ordered.
#[derive(Clone, Debug)]
pub(in super::super) struct Order {
    pub(in super::super) path: Path,
    pub(in super::super) descending: bool,
}

/// Reads `lastname asc,createdon desc`.
pub(in super::super) fn orders(
    data: &Data,
    table: usize,
    text: &str,
) -> Result<Vec<Order>, Refusal> {
    let one = |part: &str| {
        let mut words = part.split_whitespace();
        let name = words.next().unwrap_or_default();
        let descending = match words.next() {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(other) => {
                return Err(Refusal::undefined(format!("Syntax error at '{other}' in '{text}'.")));
            }
        };
        let names: Vec<String> = name.split('/').map(ToOwned::to_owned).collect();
        Ok(Order { path: path(&data.model, table, &names)?, descending })
    };
    text.split(',').map(one).collect()
}

/// How two records are ordered: nulls first, ids last of all.
pub(in super::super) fn ordering(
    orders: &[Order],
    a: (&[Value], &Row),
    b: (&[Value], &Row),
) -> Ordering {
    for (at, order) in orders.iter().enumerate() {
        let one = by_value(&a.0[at], &b.0[at]);
        let one = if order.descending { one.reverse() } else { one };
        if one != Ordering::Equal {
            return one;
        }
    }
    a.1.id().cmp(&b.1.id())
}

fn by_value(a: &Value, b: &Value) -> Ordering {
    match (a.is_null(), b.is_null()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => a.compare(b).unwrap_or(Ordering::Equal),
    }
}
