//! Which records a query has to look at: what makes a poll over 100,000 contacts cheap.
//!
//! A plan names a superset of the answer; every candidate is judged by the whole condition.

use std::collections::BTreeSet;

use super::super::id::Id;
use super::super::model::{ID, Model, SYSTEM_MODSTAMP};
use super::super::table::{Table, key_of};
use super::super::value::Value;
use super::bind::{Bound, Test};
use super::shape::Op;

/// Where the candidates come from.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Source {
    All,
    /// `SystemModstamp` from and to, both included.
    Stamps(i64, i64),
    /// Ids from and to, both included.
    Ids(Id, Id),
    These(BTreeSet<Id>),
}

/// Finds the narrowest source that holds every record the query can answer with.
pub(in super::super) fn plan(bound: &Bound, model: &Model, table: &Table) -> Source {
    let planner = Planner { object: bound.object, model, table };
    bound.test.as_ref().map_or(Source::All, |test| planner.source(test))
}

struct Planner<'a> {
    object: usize,
    model: &'a Model,
    table: &'a Table,
}

impl Planner<'_> {
    fn source(&self, test: &Test) -> Source {
        match test {
            Test::And(tests) => {
                tests.iter().map(|test| self.source(test)).fold(Source::All, narrower)
            }
            Test::Or(tests) => {
                tests.iter().map(|test| self.source(test)).reduce(wider).unwrap_or(Source::All)
            }
            Test::Compare(way, op, value) if way.hops.is_empty() => {
                self.compared(way.field, *op, value)
            }
            Test::In(way, keys, false, false) if way.hops.is_empty() => {
                self.listed(way.field, keys)
            }
            Test::Compare(..)
            | Test::In(..)
            | Test::Not(_)
            | Test::Like(..)
            | Test::Includes(..) => Source::All,
        }
    }

    fn compared(&self, field: usize, op: Op, value: &Value) -> Source {
        let (lowest, highest) = (Id::compose("000", 0), Id::compose("zzz", u64::MAX));
        match (field, op, value) {
            (SYSTEM_MODSTAMP, Op::Equal, Value::DateTime(at)) => Source::Stamps(*at, *at),
            (SYSTEM_MODSTAMP, Op::More, Value::DateTime(at)) => Source::Stamps(*at + 1, i64::MAX),
            (SYSTEM_MODSTAMP, Op::AtLeast, Value::DateTime(at)) => Source::Stamps(*at, i64::MAX),
            (SYSTEM_MODSTAMP, Op::Less, Value::DateTime(at)) => Source::Stamps(i64::MIN, *at - 1),
            (SYSTEM_MODSTAMP, Op::AtMost, Value::DateTime(at)) => Source::Stamps(i64::MIN, *at),
            (ID, Op::Equal, Value::Id(id)) => Source::These(BTreeSet::from([*id])),
            (ID, Op::More | Op::AtLeast, Value::Id(id)) => Source::Ids(*id, highest),
            (ID, Op::Less | Op::AtMost, Value::Id(id)) => Source::Ids(lowest, *id),
            (_, Op::Equal, value) => {
                let object = self.model.object(self.object);
                match key_of(object, field, value) {
                    Some(key) if object.field(field).is_indexed() => {
                        Source::These(self.table.with_key(field, &key).into_iter().collect())
                    }
                    Some(_) | None => Source::All,
                }
            }
            _ => Source::All,
        }
    }

    fn listed(&self, field: usize, keys: &BTreeSet<Box<str>>) -> Source {
        if field == ID {
            return Source::These(keys.iter().filter_map(|key| Id::parse(key)).collect());
        }
        if !self.model.object(self.object).field(field).is_indexed() {
            return Source::All;
        }
        Source::These(keys.iter().flat_map(|key| self.table.with_key(field, key)).collect())
    }
}

fn narrower(a: Source, b: Source) -> Source {
    match (a, b) {
        (Source::All, other) | (other, Source::All) => other,
        (Source::These(a), Source::These(b)) => {
            Source::These(a.intersection(&b).copied().collect())
        }
        (Source::These(ids), _) | (_, Source::These(ids)) => Source::These(ids),
        (Source::Stamps(a, b), Source::Stamps(c, d)) => Source::Stamps(a.max(c), b.min(d)),
        (Source::Stamps(a, b), Source::Ids(..)) | (Source::Ids(..), Source::Stamps(a, b)) => {
            Source::Stamps(a, b)
        }
        (Source::Ids(a, b), Source::Ids(c, d)) => Source::Ids(a.max(c), b.min(d)),
    }
}

fn wider(a: Source, b: Source) -> Source {
    match (a, b) {
        (Source::These(mut a), Source::These(b)) => {
            a.extend(b);
            Source::These(a)
        }
        (Source::Stamps(a, b), Source::Stamps(c, d)) => Source::Stamps(a.min(c), b.max(d)),
        (Source::Ids(a, b), Source::Ids(c, d)) => Source::Ids(a.min(c), b.max(d)),
        (Source::All | Source::These(_) | Source::Stamps(..) | Source::Ids(..), _) => Source::All,
    }
}
