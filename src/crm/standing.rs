//! Which fields of an object stand as they were mapped, while the agent runs.
//!
//! An administrator removes a field, hides it, makes it shorter or read-only, retires values of a
//! picklist. Such a field is paused, and nothing else: one that cannot be read any more is left out of
//! what is read, so that it is unknown and not null; one that can is still read, and only not written,
//! so that an opt-out in it is seen all the same. All doors share one state.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::reconcile::mapping::{Column, Kind, SideField, SideMapping};
use crate::reconcile::{Change, Refusal, RefusalKind, Target, Write};

/// An object as it is described now.
pub(super) trait Looks {
    /// The column of this name.
    fn column(&self, name: &str) -> Option<&Column>;

    /// That which stands now where this one was mapped, in the form that it was mapped in.
    fn column_now(&self, was: &Column) -> Option<Cow<'_, Column>> {
        self.column(&was.name).map(Cow::Borrowed)
    }

    /// Why there is none, with what would mend it.
    fn missing(&self, name: &str) -> String;
}

/// What is said of one CRM's objects.
#[derive(Debug)]
pub(super) struct Words {
    /// The column without which nothing can be followed.
    pub(super) always: &'static str,
    /// What brings an object back.
    pub(super) object_back: &'static str,
    /// What brings a column back.
    pub(super) column_back: &'static str,
    /// What lets a column be written.
    pub(super) writable: &'static str,
}

/// How the fields of an object stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Why nothing of the object can be read, where that is so.
    pub(super) blocked: Option<Arc<str>>,
    paused: BTreeMap<Arc<str>, Pause>,
    /// Columns that take more than they were mapped with, as they were described last.
    wider: BTreeMap<Arc<str>, Column>,
}

/// Why a column is paused, and how far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pause {
    pub(super) extent: Extent,
    pub(super) why: Arc<str>,
}

/// How far a column is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// It is neither read nor written.
    Whole,
    /// It is read, and not written.
    Writes,
}

/// The state that the doors share.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<Arc<Standing>>);

impl Shared {
    pub(super) fn now(&self) -> Arc<Standing> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another in its place; gives the one before.
    pub(super) fn turn(&self, next: Standing) -> Arc<Standing> {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut now, Arc::new(next))
    }
}

impl Standing {
    /// How the fields of a mapping stand in an object as it is described now; `None` where there is
    /// none.
    pub(super) fn of(mapping: &SideMapping, object: Option<&dyn Looks>, words: &Words) -> Self {
        let Some(object) = object else {
            let why = format!(
                "there is no object `{}` any more that the integration user can see; {}",
                mapping.table, words.object_back
            );
            return Self { blocked: Some(why.into()), ..Self::default() };
        };
        let needed = mapping.external_id.iter().chain(&mapping.stamp).map(|name| &**name);
        let lost = needed.chain([words.always]).find(|name| object.column(name).is_none());
        let (mut paused, mut wider) = (BTreeMap::new(), BTreeMap::new());
        for field in &mapping.fields {
            for column in &field.columns {
                let (name, now) = (Arc::clone(&column.name), object.column_now(column));
                if let Some(pause) = compare(field, column, now.as_deref(), words) {
                    paused.insert(name, pause);
                } else if let Some(now) = now.filter(|now| now.kind != column.kind) {
                    wider.insert(name, now.into_owned());
                }
            }
        }
        Self { blocked: lost.map(|name| object.missing(name).into()), paused, wider }
    }

    /// Whether a column is read.
    pub(super) fn reads(&self, column: &str) -> bool {
        self.paused.get(column).is_none_or(|pause| pause.extent != Extent::Whole)
    }

    /// What a column takes now, which may be more than it did.
    pub(super) fn takes<'a>(&'a self, column: &'a Column) -> &'a Column {
        self.wider.get(&column.name).unwrap_or(column)
    }

    /// The first of a field's columns that pauses it, and why.
    pub(super) fn pauses<'a>(&'a self, field: &'a SideField) -> Option<(&'a str, &'a Pause)> {
        let column = |column: &'a Column| Some((&*column.name, self.paused.get(&column.name)?));
        field.columns.iter().find_map(column)
    }

    /// Why a write cannot be made now, where fields that it is about are paused; named are these
    /// alone, so that the others go on.
    pub(super) fn refuses(&self, mapping: &SideMapping, write: &Write) -> Option<Refusal> {
        let sets = match &write.change {
            Change::Set(row) => Some(row),
            Change::Delete => None,
        };
        let unless = match &write.target {
            Target::New { unless, .. } => unless.as_slice(),
            Target::Record(_) => &[],
        };
        let (mut fields, mut message) = (Vec::new(), String::new());
        for field in &mapping.fields {
            let Some((column, pause)) = self.pauses(field) else { continue };
            let compared = write.expect.contains_key(&field.field)
                || unless.iter().any(|(one, _)| *one == field.field);
            let hit = sets.is_some_and(|row| row.contains_key(&field.field))
                || (compared && pause.extent == Extent::Whole);
            if hit {
                let (name, why) = (&field.name, &pause.why);
                message = format!("the field `{name}` is paused: `{column}` {why}");
                fields.push(field.field);
            }
        }
        (!fields.is_empty()).then(|| Refusal {
            kind: RefusalKind::Mapping,
            code: "TRUCE_FIELD_PAUSED".into(),
            message: message.into(),
            fields,
        })
    }
}

/// Why a column is not what it was mapped as, where that matters.
fn compare(field: &SideField, was: &Column, now: Option<&Column>, words: &Words) -> Option<Pause> {
    let whole = |why: String| Some(Pause { extent: Extent::Whole, why: why.into() });
    let Some(now) = now else {
        return whole(format!(
            "({}) is gone, or hidden from the integration user; {}, or change the mapping",
            was.type_name, words.column_back
        ));
    };
    if std::mem::discriminant(&was.kind) != std::mem::discriminant(&now.kind) {
        return whole(format!(
            "was {} and is {} now; make it as it was, or change the mapping and start anew",
            was.type_name, now.type_name
        ));
    }
    // Only the first column of a field is written.
    let written =
        field.writable && field.columns.first().is_some_and(|first| first.name == was.name);
    if !written {
        return None;
    }
    let why = if was.updatable && !now.updatable {
        Some(format!("cannot be written any more; {}", words.writable))
    } else {
        narrowed(&was.kind, &now.kind)
    };
    why.map(|why| Pause { extent: Extent::Writes, why: why.into() })
}

/// How a column takes less than it did.
fn narrowed(was: &Kind, now: &Kind) -> Option<String> {
    const REMEDY: &str = "make it as it was, or start the agent anew to go by what it is";
    match (was, now) {
        (Kind::Text { max: a, only: some, .. }, Kind::Text { max: b, only: few, .. }) => {
            let limit = |max: &Option<usize>| max.unwrap_or(usize::MAX);
            if limit(b) < limit(a) {
                let (a, b) = (a.map_or("any number of".to_owned(), |a| a.to_string()), limit(b));
                return Some(format!("takes {b} characters now, and took {a}; {REMEDY}"));
            }
            let few = few.as_ref()?;
            match some {
                None => Some(format!("takes only the values of its picklist now; {REMEDY}")),
                Some(some) => {
                    let gone: Vec<&str> =
                        some.iter().filter(|one| !few.contains(one)).map(|one| &**one).collect();
                    let shown = gone.iter().take(VALUES_SHOWN).copied().collect::<Vec<_>>();
                    (!gone.is_empty()).then(|| {
                        format!(
                            "does not take {} of its picklist's values any more ({}); {REMEDY}",
                            gone.len(),
                            shown.join(", ")
                        )
                    })
                }
            }
        }
        (Kind::Int { min: a, max: b }, Kind::Int { min: c, max: d }) => {
            (a < c || d < b).then(|| format!("takes {c} to {d} now, and took {a} to {b}; {REMEDY}"))
        }
        (Kind::Decimal { whole: a, scale: b }, Kind::Decimal { whole: c, scale: d }) => {
            (c < a || d < b).then(|| {
                format!(
                    "takes {c} digits and {d} behind the point now, and took {a} and {b}; {REMEDY}"
                )
            })
        }
        (Kind::Reference(some), Kind::Reference(few)) => some
            .iter()
            .any(|one| !few.contains(one))
            .then(|| format!("refers to other objects than it did; {REMEDY}")),
        _ => None,
    }
}

/// So many values of a picklist are named; they are no values of records.
const VALUES_SHOWN: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    use crate::crm::salesforce::{Described, Object, WORDS};
    use crate::reconcile::{Entity, Field, Shape};

    const BASE: &str = r#"{"name":"Contact","queryable":true,"fields":[
        {"name":"SystemModstamp","type":"datetime"},
        {"name":"Title","type":"string","length":80,"updateable":true,"createable":true},
        {"name":"Source","type":"picklist","length":40,"updateable":true,"restrictedPicklist":true,
         "picklistValues":[{"value":"Web","active":true},{"value":"Fax","active":true}]},
        {"name":"Score","type":"double","precision":10,"scale":2,"updateable":true},
        {"name":"Out","type":"boolean","updateable":true}]}"#;

    fn object(change: impl FnOnce(&mut Vec<serde_json::Value>)) -> Object {
        let mut json: serde_json::Value = serde_json::from_str(BASE).unwrap();
        change(json["fields"].as_array_mut().unwrap());
        serde_json::from_value::<Described>(json).unwrap().object()
    }

    fn mapping() -> SideMapping {
        let object = object(|_| ());
        let field = |(number, name): (u16, &str)| SideField {
            field: Field(number),
            name: name.into(),
            columns: vec![object.column(name).unwrap().clone()],
            shape: Shape::Bool,
            zero_is_null: false,
            writable: true,
        };
        SideMapping {
            entity: Entity(1),
            name: "contacts".into(),
            table: "Contact".into(),
            key: "Id".into(),
            external_id: None,
            stamp: None,
            fields: (1..).zip(["Title", "Source", "Score", "Out"]).map(field).collect(),
            match_on: Vec::new(),
            converts: None,
            defaults: BTreeMap::new(),
        }
    }

    /// What a change of the object pauses: the columns, how far, and a word of why.
    fn check(change: impl FnOnce(&mut Vec<serde_json::Value>), expected: &[(&str, Extent, &str)]) {
        let standing = Standing::of(&mapping(), Some(&object(change)), &WORDS);
        assert_eq!(standing.blocked, None);
        let paused: Vec<_> =
            standing.paused.iter().map(|(name, pause)| (&**name, pause.extent)).collect();
        let wanted: Vec<_> = expected.iter().map(|(name, extent, _)| (*name, *extent)).collect();
        assert_eq!(paused, wanted);
        for ((_, pause), (_, _, word)) in standing.paused.iter().zip(expected) {
            assert!(pause.why.contains(word), "{}", pause.why);
        }
    }

    #[test]
    fn drift_pauses_the_field_that_it_hits_and_no_other() {
        use Extent::{Whole, Writes};
        check(|_| (), &[]);
        check(|fields| drop(fields.remove(1)), &[("Title", Whole, "gone, or hidden")]);
        check(|fields| fields[1]["type"] = "boolean".into(), &[("Title", Whole, "is boolean now")]);
        check(|fields| fields[1]["length"] = 40.into(), &[("Title", Writes, "40 characters now")]);
        check(|fields| fields[4]["updateable"] = false.into(), &[("Out", Writes, "grant Edit")]);
        check(|fields| fields[3]["scale"] = 1.into(), &[("Score", Writes, "1 behind the point")]);
        let retired = |fields: &mut Vec<serde_json::Value>| {
            fields[2]["picklistValues"][1]["active"] = false.into();
        };
        check(retired, &[("Source", Writes, "1 of its picklist's values any more (Fax)")]);
    }

    #[test]
    fn what_takes_more_than_it_did_goes_on() {
        check(|fields| fields[1]["length"] = 255.into(), &[]);
        check(|fields| fields[3]["precision"] = 12.into(), &[]);
        check(|fields| fields[2]["restrictedPicklist"] = false.into(), &[]);
    }

    #[test]
    fn a_column_takes_what_it_was_last_described_to_take() {
        let mapping = mapping();
        let source = &mapping.fields[1].columns[0];
        let add = |fields: &mut Vec<serde_json::Value>| {
            let new = serde_json::json!({ "value": "Chat", "active": true });
            fields[2]["picklistValues"].as_array_mut().unwrap().push(new);
        };
        let standing = Standing::of(&mapping, Some(&object(add)), &WORDS);
        let Kind::Text { only: Some(only), .. } = &standing.takes(source).kind else { panic!() };
        assert!(only.iter().any(|value| &**value == "Chat"));
        assert_eq!(Standing::of(&mapping, Some(&object(|_| ())), &WORDS).takes(source), source);
    }

    #[test]
    fn an_object_without_what_every_read_needs_is_blocked() {
        let standing = Standing::of(&mapping(), None, &WORDS);
        assert!(standing.blocked.unwrap().contains("no object `Contact`"));
        let object = object(|fields| drop(fields.remove(0)));
        let standing = Standing::of(&mapping(), Some(&object), &WORDS);
        assert!(standing.blocked.unwrap().contains("no field `SystemModstamp`"));
    }

    #[test]
    fn what_cannot_be_read_is_not_asked_for_and_what_only_cannot_be_written_is() {
        let mapping = mapping();
        let change = |fields: &mut Vec<serde_json::Value>| {
            fields[4]["updateable"] = false.into();
            fields.remove(1);
        };
        let standing = Standing::of(&mapping, Some(&object(change)), &WORDS);
        assert!(!standing.reads("Title") && standing.reads("Out"));
        let paused: Vec<_> =
            mapping.fields.iter().filter_map(|field| standing.pauses(field)).collect();
        assert_eq!(paused.len(), 2);
    }
}
