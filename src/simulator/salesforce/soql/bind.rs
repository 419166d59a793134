//! Looks the names of a query up in the model, and reads its literals as the fields' types.

use std::collections::BTreeSet;

use super::super::id::Id;
use super::super::model::{Field, Kind, Model};
use super::super::parse::{date, date_time};
use super::super::refusal::Refusal;
use super::super::value::{Value, fold};
use super::lex::{Piece, pattern, unescape};
use super::pointing;
use super::shape::{Column, Expr, Fold, Group, Literal, Op, Order, Path, Query};

/// `FIELDS()` without a list of names needs a limit of at most this.
const FIELDS_LIMIT_MAX: usize = 200;

/// Relationships of one query, to parents and to children.
const PARENTS_MAX: usize = 55;
const CHILDREN_MAX: usize = 20;

/// A way to a field: through which references, to which field of which object.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Way {
    /// Reference fields, each with the object it leads to.
    pub(in super::super) hops: Vec<(usize, usize)>,
    pub(in super::super) object: usize,
    pub(in super::super) field: usize,
}

/// What a row is asked.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Test {
    And(Vec<Test>),
    Or(Vec<Test>),
    Not(Box<Test>),
    Compare(Way, Op, Value),
    Like(Way, Vec<Piece>),
    /// Text forms, whether null is among them, whether NOT stands before IN.
    In(Way, BTreeSet<Box<str>>, bool, bool),
    /// Any of these sets is contained in the value; none of them where the flag is set.
    Includes(Way, Vec<Vec<String>>, bool),
}

/// A column of the answer.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Pick {
    Field(usize),
    Parent {
        through: usize,
        object: usize,
        name: String,
        picks: Vec<Pick>,
    },
    /// Rows of another object that refer to this one by the field, as they are when it is shown.
    Children {
        field: usize,
        name: String,
        bound: Box<Bound>,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Answer {
    Rows(Vec<Pick>),
    Count,
    Folds(Vec<(Fold, Way, String)>),
}

/// A query that can be run.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Bound {
    pub(in super::super) object: usize,
    pub(in super::super) answer: Answer,
    pub(in super::super) test: Option<Test>,
    /// The way, whether it descends, whether nulls come last.
    pub(in super::super) order: Vec<(Way, bool, bool)>,
    pub(in super::super) limit: Option<usize>,
    pub(in super::super) offset: usize,
}

/// Binds a query; `text` is what errors point into.
pub(in super::super) fn bind(text: &str, query: &Query, model: &Model) -> Result<Bound, Refusal> {
    let Some(object) = model.find(&query.object.text) else {
        let message = format!(
            "sObject type '{}' is not supported. If you are attempting to use a custom object, be \
             sure to append the '__c' after the entity name. Please reference your WSDL or the \
             describe call for the appropriate names.",
            query.object.text
        );
        return Err(pointing(text, query.object.at, "INVALID_TYPE", &message));
    };
    Binder { text, model, object, alias: query.alias.as_deref() }.bound(query)
}

struct Binder<'a> {
    text: &'a str,
    model: &'a Model,
    object: usize,
    alias: Option<&'a str>,
}

impl Binder<'_> {
    fn bound(&self, query: &Query) -> Result<Bound, Refusal> {
        Ok(Bound {
            object: self.object,
            answer: self.answer(query)?,
            test: query.filter.as_ref().map(|filter| self.test(filter)).transpose()?,
            order: query.order.iter().map(|order| self.order(order)).collect::<Result<_, _>>()?,
            limit: query.limit,
            offset: query.offset,
        })
    }

    fn answer(&self, query: &Query) -> Result<Answer, Refusal> {
        if query.columns == [Column::Count] {
            return Ok(Answer::Count);
        }
        let mut picks = Vec::new();
        let mut folds = Vec::new();
        for column in &query.columns {
            match column {
                Column::Path(path) => self.pick(path, &mut picks)?,
                Column::Fields(group) => self.fields(*group, query.limit, &mut picks)?,
                Column::Fold(fold, path, alias) => {
                    let way = self.way(path)?;
                    let is_sum = matches!(fold, Fold::Sum | Fold::Average);
                    if is_sum && !self.field(&way).kind.is_number() {
                        let message =
                            format!("field {} does not support this aggregate operator", path.text);
                        return Err(pointing(self.text, path.at, "MALFORMED_QUERY", &message));
                    }
                    let name = alias.clone().unwrap_or_else(|| format!("expr{}", folds.len()));
                    folds.push((*fold, way, name));
                }
                Column::Children(query) => picks.push(self.children(query)?),
                Column::Count => return Err(self.mixed()),
            }
        }
        let count = |of: fn(&Pick) -> bool| picks.iter().filter(|pick| of(pick)).count();
        if PARENTS_MAX < count(|pick| matches!(pick, Pick::Parent { .. }))
            || CHILDREN_MAX < count(|pick| matches!(pick, Pick::Children { .. }))
        {
            let message = "the query has too many relationships";
            return Err(pointing(self.text, 0, "MALFORMED_QUERY", message));
        }
        match (picks.is_empty(), folds.is_empty()) {
            (_, true) => Ok(Answer::Rows(picks)),
            (true, false) => Ok(Answer::Folds(folds)),
            (false, false) => Err(self.mixed()),
        }
    }

    fn children(&self, query: &Query) -> Result<Pick, Refusal> {
        let name = &query.object;
        let Some((object, field)) = self.model.children(self.object, &name.text) else {
            return Err(self.no_relationship(name.at, &name.text));
        };
        let binder = Binder { text: self.text, model: self.model, object, alias: None };
        let bound = Box::new(binder.bound(query)?);
        if !matches!(bound.answer, Answer::Rows(_)) {
            return Err(self.mixed());
        }
        Ok(Pick::Children { field, name: name.text.clone(), bound })
    }

    fn no_relationship(&self, at: usize, name: &str) -> Refusal {
        let message = format!(
            "Didn't understand relationship '{name}' in field path. If you are attempting to use a \
             custom relationship, be sure to append the '__r' after the custom relationship name. \
             Please reference your WSDL or the describe call for the appropriate names."
        );
        pointing(self.text, at, "INVALID_FIELD", &message)
    }

    fn mixed(&self) -> Refusal {
        pointing(self.text, 0, "MALFORMED_QUERY", "Grouped query with ungrouped fields")
    }

    fn fields(
        &self,
        group: Group,
        limit: Option<usize>,
        picks: &mut Vec<Pick>,
    ) -> Result<(), Refusal> {
        if group != Group::Standard && limit.is_none_or(|limit| FIELDS_LIMIT_MAX < limit) {
            let message = "The SOQL FIELDS function must have a LIMIT of at most 200";
            return Err(pointing(self.text, 0, "MALFORMED_QUERY", message));
        }
        for (at, field) in self.model.object(self.object).fields() {
            let wanted = match group {
                Group::All => true,
                Group::Standard => !field.is_custom(),
                Group::Custom => field.is_custom(),
            };
            if wanted {
                picks.push(Pick::Field(at));
            }
        }
        Ok(())
    }

    fn pick(&self, path: &Path, picks: &mut Vec<Pick>) -> Result<(), Refusal> {
        let way = self.way(path)?;
        let mut names: Vec<&str> = path.text.split('.').collect();
        names.drain(..names.len() - 1 - way.hops.len());
        let mut into = picks;
        for ((through, object), name) in way.hops.into_iter().zip(names) {
            let is_there =
                |pick: &Pick| matches!(pick, Pick::Parent { through: t, .. } if *t == through);
            let at = into.iter().position(is_there).unwrap_or_else(|| {
                let name = self.parent_name(through, name);
                into.push(Pick::Parent { through, object, name, picks: Vec::new() });
                into.len() - 1
            });
            let Pick::Parent { picks, .. } = &mut into[at] else { return Ok(()) };
            into = picks;
        }
        if !into.contains(&Pick::Field(way.field)) {
            into.push(Pick::Field(way.field));
        }
        Ok(())
    }

    /// The parent's name in the model's spelling, where the first object has it.
    fn parent_name(&self, through: usize, written: &str) -> String {
        let object = self.model.object(self.object);
        if object.parent(written) != Some(through) {
            return written.to_owned();
        }
        let reference = object.field(through).reference.as_ref();
        reference.and_then(|to| to.parent.clone()).unwrap_or_else(|| written.to_owned())
    }

    fn way(&self, path: &Path) -> Result<Way, Refusal> {
        let mut names: Vec<&str> = path.text.split('.').collect();
        let own = &self.model.object(self.object).name;
        let is_own = |name: &str| {
            self.alias.is_some_and(|alias| alias.eq_ignore_ascii_case(name))
                || own.eq_ignore_ascii_case(name)
        };
        if 1 < names.len()
            && is_own(names[0])
            && self.model.object(self.object).parent(names[0]).is_none()
        {
            names.remove(0);
        }
        let mut object = self.object;
        let mut hops = Vec::new();
        while 1 < names.len() {
            let name = names.remove(0);
            let through = self.model.object(object).parent(name);
            let reference = through
                .and_then(|at| self.model.object(object).field(at).reference.as_ref())
                .and_then(|reference| self.model.find(&reference.to));
            let (Some(through), Some(parent)) = (through, reference) else {
                return Err(self.no_relationship(path.at, name));
            };
            hops.push((through, parent));
            object = parent;
        }
        let Some(field) = names.first().and_then(|name| self.model.object(object).find(name))
        else {
            let message = format!(
                "No such column '{}' on entity '{}'. If you are attempting to use a custom field, \
                 be sure to append the '__c' after the custom field name. Please reference your \
                 WSDL or the describe call for the appropriate names.",
                names.first().unwrap_or(&""),
                self.model.object(object).name
            );
            return Err(pointing(self.text, path.at, "INVALID_FIELD", &message));
        };
        Ok(Way { hops, object, field })
    }

    fn order(&self, order: &Order) -> Result<(Way, bool, bool), Refusal> {
        let way = self.way(&order.path)?;
        let field = self.field(&way);
        if field.is_long_text() || matches!(field.kind, Kind::MultiPicklist | Kind::Address) {
            let message = format!("field '{}' can not be sorted in a query call", field.name);
            return Err(pointing(self.text, order.path.at, "MALFORMED_QUERY", &message));
        }
        Ok((way, order.descending, order.nulls_last))
    }

    fn field(&self, way: &Way) -> &Field {
        self.model.object(way.object).field(way.field)
    }

    fn test(&self, expr: &Expr) -> Result<Test, Refusal> {
        let all = |exprs: &[Expr]| -> Result<Vec<Test>, Refusal> {
            exprs.iter().map(|expr| self.test(expr)).collect()
        };
        Ok(match expr {
            Expr::And(exprs) => Test::And(all(exprs)?),
            Expr::Or(exprs) => Test::Or(all(exprs)?),
            Expr::Not(expr) => Test::Not(Box::new(self.test(expr)?)),
            Expr::Compare(path, op, literal) => self.compare(path, *op, literal)?,
            Expr::In(path, negated, literals) => self.within(path, *negated, literals)?,
            Expr::Includes(path, excludes, literals) => self.includes(path, *excludes, literals)?,
        })
    }

    fn filtered(&self, path: &Path) -> Result<Way, Refusal> {
        let way = self.way(path)?;
        let field = self.field(&way);
        if field.is_long_text() || field.kind == Kind::Address {
            let message = format!("field '{}' can not be filtered in a query call", field.name);
            return Err(pointing(self.text, path.at, "INVALID_FIELD", &message));
        }
        Ok(way)
    }

    fn compare(&self, path: &Path, op: Op, literal: &Literal) -> Result<Test, Refusal> {
        let way = self.filtered(path)?;
        let field = self.field(&way);
        if op == Op::Like {
            let pieces = match literal {
                Literal::Text(raw) if field.kind.is_text() => {
                    pattern(raw).ok_or_else(|| self.escape(path))?
                }
                Literal::Text(_)
                | Literal::Null
                | Literal::Bool(_)
                | Literal::Number(_)
                | Literal::Date(_)
                | Literal::DateTime(_) => return Err(self.operator(path, "like")),
            };
            return Ok(Test::Like(way, pieces));
        }
        let ordered = !matches!(op, Op::Equal | Op::NotEqual);
        if ordered && matches!(field.kind, Kind::Boolean | Kind::MultiPicklist) {
            return Err(self.operator(path, "inequality"));
        }
        let value = self.value(&way, path, literal)?;
        Ok(Test::Compare(way, op, value))
    }

    fn within(&self, path: &Path, negated: bool, all: &[Literal]) -> Result<Test, Refusal> {
        let way = self.filtered(path)?;
        let field = self.field(&way);
        let mut null = false;
        let mut keys = BTreeSet::new();
        for literal in all {
            let value = self.value(&way, path, literal)?;
            null |= value.is_null();
            keys.extend(form_of(field, &value));
        }
        Ok(Test::In(way, keys, null, negated))
    }

    fn includes(&self, path: &Path, excludes: bool, all: &[Literal]) -> Result<Test, Refusal> {
        let way = self.filtered(path)?;
        if self.field(&way).kind != Kind::MultiPicklist {
            return Err(self.operator(path, "includes or excludes"));
        }
        let mut sets = Vec::new();
        for literal in all {
            let value = self.value(&way, path, literal)?;
            let text = value.as_text().unwrap_or_default();
            sets.push(text.split(';').map(|part| fold(part.trim())).collect());
        }
        Ok(Test::Includes(way, sets, excludes))
    }

    fn operator(&self, path: &Path, operator: &str) -> Refusal {
        let message = format!("invalid operator on field '{}': {operator}", path.text);
        pointing(self.text, path.at, "INVALID_QUERY_FILTER_OPERATOR", &message)
    }

    fn escape(&self, path: &Path) -> Refusal {
        pointing(self.text, path.at, "MALFORMED_QUERY", "Illegal escape sequence in a string")
    }

    /// Reads a literal as the field's type.
    fn value(&self, way: &Way, path: &Path, literal: &Literal) -> Result<Value, Refusal> {
        let field = self.field(way);
        let kind = field.kind;
        Ok(match literal {
            Literal::Null => Value::Null,
            Literal::Bool(value) if kind == Kind::Boolean => Value::Bool(*value),
            Literal::Number(text) if kind.is_number() => {
                Value::Number(text.parse().map_err(|_| self.wrong_type(path, kind))?)
            }
            Literal::Date(text) if kind == Kind::Date => {
                date(text).map_or(Value::Null, Value::Date)
            }
            Literal::DateTime(text) if kind == Kind::DateTime => {
                date_time(text).map_or(Value::Null, Value::DateTime)
            }
            Literal::Text(raw) if matches!(kind, Kind::Id | Kind::Reference) => {
                if raw.is_empty() {
                    return Ok(Value::Null);
                }
                let Some(id) = Id::parse(raw) else {
                    let message = format!("invalid ID field: {raw}");
                    let code = "INVALID_QUERY_FILTER_OPERATOR";
                    return Err(pointing(self.text, path.at, code, &message));
                };
                Value::Id(id)
            }
            Literal::Text(raw) if kind.is_text() => {
                let text = unescape(raw).ok_or_else(|| self.escape(path))?;
                if text.is_empty() { Value::Null } else { Value::Text(text.into()) }
            }
            Literal::Bool(_)
            | Literal::Number(_)
            | Literal::Date(_)
            | Literal::DateTime(_)
            | Literal::Text(_) => return Err(self.wrong_type(path, kind)),
        })
    }

    fn wrong_type(&self, path: &Path, kind: Kind) -> Refusal {
        let kind = kind.soap().trim_start_matches("xsd:").trim_start_matches("tns:");
        let message = format!(
            "value of filter criterion for field '{}' must be of type {kind} and should {}be \
             enclosed in quotes",
            path.text,
            if matches!(kind, "string" | "ID") { "" } else { "not " }
        );
        pointing(self.text, path.at, "INVALID_FIELD", &message)
    }
}

/// The form in which IN compares a value of the field.
pub(in super::super) fn form_of(field: &Field, value: &Value) -> Option<Box<str>> {
    match value {
        Value::Null => None,
        Value::Text(text) if field.is_case_sensitive() => Some(text.clone()),
        Value::Text(text) => Some(fold(text).into()),
        Value::Number(number) => Some(super::super::value::double(number).to_string().into()),
        Value::Bool(_) | Value::Id(_) | Value::Date(_) | Value::DateTime(_) | Value::Time(_) => {
            value.json(field.kind).as_str().map_or_else(
                || Some(value.json(field.kind).to_string().into()),
                |text| Some(text.into()),
            )
        }
    }
}
