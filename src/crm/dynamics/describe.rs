//! What a table looks like: its definitions as [`Column`]s, and what stands against a mapping.
//!
//! Lengths, options and targets are not in `$metadata`: each type of column is asked for by its own
//! cast (`read`). The name that a lookup is bound by is read from the relationships and never
//! derived: its case counts. A column with column security comes back as null to who may not read it,
//! which would look like a person who emptied it, so such a column is refused from the start.

mod read;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::crm::standing::Looks;
use crate::crm::wanted::{STAMP_LENGTH_MIN, Wanted};
use crate::reconcile::mapping::{Column, Kind};
use crate::reconcile::shape::Case;

pub(super) use read::describe;

/// What is read besides the names of columns: an address holds 32,768 bytes.
const SELECT_BYTES_MAX: usize = 20_000;

/// Numbers are doubles over there, whatever precision is declared.
const DIGITS_KEPT: u8 = 15;

/// A table as the application user sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its logical name.
    pub name: Arc<str>,
    /// The name of its set in addresses.
    pub set: Arc<str>,
    /// Its primary key.
    pub id: Arc<str>,
    /// Its columns, by logical name.
    pub columns: BTreeMap<Arc<str>, Column>,
    pub(super) wires: BTreeMap<Arc<str>, Wire>,
    /// The options of choices, as text.
    pub(super) options: BTreeMap<Arc<str>, Arc<[Arc<str>]>>,
    pub(super) states: States,
    /// Whether its rows are merged, so that an inactive one may name a survivor.
    pub(super) mergeable: bool,
    tracked: bool,
    versions: bool,
    secured: BTreeSet<Arc<str>>,
    keys: Vec<Key>,
}

/// How a column's values are written over there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    /// As they are.
    Plain,
    /// A choice: the number of an option.
    Choice,
    /// Several choices: their numbers, with commas between them.
    Choices,
    /// A date in the form of a point in time at midnight.
    DateAsInstant,
    /// A lookup: what may be bound, each by its own name.
    Lookup(Vec<Navigation>),
}

/// A table that a lookup may refer to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Navigation {
    pub(super) column: String,
    pub(super) target: String,
    /// The name that it is bound by.
    pub(super) name: String,
}

/// Which status belongs to which state: they are always written together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct States {
    /// The status that a state gets.
    pub(super) default_status: BTreeMap<i64, i64>,
    /// The state that a status is of.
    pub(super) state_of: BTreeMap<i64, i64>,
}

/// A table's definitions, as far as they are looked at; may be kept and read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described {
    pub(super) name: String,
    pub(super) set: String,
    pub(super) id: String,
    pub(super) tracked: bool,
    pub(super) versions: bool,
    pub(super) columns: Vec<DescribedColumn>,
    pub(super) keys: Vec<Key>,
    pub(super) navigations: Vec<Navigation>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "as Dataverse describes columns")]
pub(super) struct DescribedColumn {
    pub(super) name: String,
    /// `StringType`, `PicklistType` and so on.
    pub(super) kind: String,
    pub(super) create: bool,
    pub(super) update: bool,
    pub(super) read: bool,
    pub(super) secured: bool,
    /// Whether the API refuses a row without it.
    pub(super) required: bool,
    #[serde(default)]
    pub(super) length: Option<usize>,
    /// Bounds of a number, as text: some are no 64-bit numbers.
    #[serde(default)]
    pub(super) min: Option<String>,
    #[serde(default)]
    pub(super) max: Option<String>,
    /// Digits behind the point.
    #[serde(default)]
    pub(super) precision: Option<u8>,
    /// Whether a date has no time of day.
    #[serde(default)]
    pub(super) date_only_format: bool,
    #[serde(default)]
    pub(super) behaviour: Option<String>,
    #[serde(default)]
    pub(super) options: Vec<DescribedOption>,
    #[serde(default)]
    pub(super) targets: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DescribedOption {
    pub(super) value: i64,
    /// Of a status: its state.
    #[serde(default)]
    pub(super) state: Option<i64>,
    /// Of a state: its usual status.
    #[serde(default)]
    pub(super) status: Option<i64>,
}

/// An alternate key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
    /// `Active`, `Pending`, `InProgress` or `Failed`.
    pub(super) status: String,
}

impl Key {
    fn is_active(&self) -> bool {
        self.status.eq_ignore_ascii_case("Active")
    }
}

impl Table {
    /// The column of this name; logical names are in small letters.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.get(name).or_else(|| self.columns.get(&*name.to_ascii_lowercase()))
    }

    /// Everything that stands against a mapping, each with what would mend it.
    pub fn problems(&self, wanted: &Wanted<'_>) -> Vec<String> {
        let (mut problems, name) = (Vec::new(), &self.name);
        if !self.tracked {
            problems.push(format!(
                "the changes of `{name}` are not tracked; an administrator switches on \"Track \
                 changes\" in the table's properties, and publishes it"
            ));
        }
        if !self.versions && (wanted.rights.update || wanted.rights.delete) {
            problems.push(format!(
                "`{name}` keeps no versions (IsOptimisticConcurrencyEnabled), so that an edit of \
                 somebody else could be overwritten unseen; have it switched on, or set direction = \
                 \"to_campaign\" for all fields"
            ));
        }
        problems.extend(wanted.external_id.and_then(|name| self.unfit_external_id(name)));
        problems.extend(wanted.stamp.and_then(|name| self.unfit_stamp(name)));
        problems
    }

    /// Why a column must not be mapped although it is there.
    pub fn unreadable(&self, name: &str) -> Option<String> {
        let column = self.column(name)?;
        self.secured.contains(&column.name).then(|| {
            format!(
                "`{name}` of `{}` has column security: without a permission it is read as empty, \
                 which would empty it in Campaign; give the application user a column security \
                 profile that reads it and name it in secured_columns, or leave it out",
                self.name
            )
        })
    }

    fn unfit_external_id(&self, name: &str) -> Option<String> {
        let table = &self.name;
        let Some(column) = self.column(name) else { return Some(self.missing(name)) };
        if !matches!(column.kind, Kind::Text { .. }) || !column.creatable {
            return Some(format!(
                "external_id `{name}` of `{table}` is {}{}; make it a text column that can be written",
                column.type_name,
                if column.creatable { "" } else { ", not to be given to a new row" },
            ));
        }
        let alone = |key: &&Key| key.columns.len() == 1 && key.columns[0] == *column.name;
        let keys: Vec<&Key> = self.keys.iter().filter(alone).collect();
        match keys.first() {
            None => Some(format!(
                "external_id `{name}` of `{table}` is no alternate key, so that two rows could stand \
                 for one record; make a key of this column alone, and wait until it is active"
            )),
            Some(_) if keys.iter().any(|key| key.is_active()) => None,
            Some(key) => Some(format!(
                "the alternate key `{}` of `{table}` on external_id `{name}` is {}, and only an active \
                 one counts; wait until its index is built, or see its system job, mend what it says \
                 (often rows with equal values), and reactivate it",
                key.name, key.status
            )),
        }
    }

    fn unfit_stamp(&self, name: &str) -> Option<String> {
        let table = &self.name;
        let Some(column) = self.column(name) else { return Some(self.missing(name)) };
        let Kind::Text { max, .. } = column.kind else {
            return Some(format!(
                "stamp `{name}` of `{table}` is {}; make it a text column of at least \
                 {STAMP_LENGTH_MIN}",
                column.type_name
            ));
        };
        let length = max.unwrap_or(usize::MAX);
        if length < STAMP_LENGTH_MIN || !column.creatable || !column.updatable {
            return Some(format!(
                "stamp `{name}` of `{table}` holds {length} characters{}; make it a text column of \
                 at least {STAMP_LENGTH_MIN} that can be written",
                if column.updatable { "" } else { ", and cannot be written" }
            ));
        }
        None
    }

    /// Why an external id column does not hold the longest that it is given.
    pub fn short_external_id(&self, name: &str, longest: usize) -> Option<String> {
        let Kind::Text { max: Some(length), .. } = self.column(name)?.kind else { return None };
        (length < longest).then(|| {
            format!(
                "external_id `{name}` of `{}` holds {length} characters, and \
                 campaign.external_id_format with the longest key makes {longest}; lengthen the \
                 column, or shorten the format or campaign.instance",
                self.name
            )
        })
    }

    /// Why keys that differ by the case of letters only would be one row's.
    pub fn folds_external_ids(&self, name: &str) -> Option<String> {
        self.column(name)?;
        Some(format!(
            "external_id `{name}` of `{}` does not tell upper from lower case, as no text of \
             Dataverse does, and Campaign's key does: two keys that differ by it would be one row",
            self.name
        ))
    }

    /// Why rows cannot be asked for by a column.
    pub fn unfilterable(&self, name: &str) -> Option<String> {
        let column = self.column(name)?;
        let memo = &*column.type_name == "MemoType";
        let odd = memo || matches!(column.kind, Kind::Other | Kind::Set { .. });
        odd.then(|| {
            format!(
                "match_on: `{name}` of `{}` is {}, by which no row can be found; match on another \
                 field",
                self.name, column.type_name
            )
        })
    }

    /// Why these columns are more than one address can ask for.
    pub fn too_wide<'a>(&self, columns: impl Iterator<Item = &'a str>) -> Option<String> {
        // A comma is three encoded bytes, and a lookup is `_…_value`.
        let bytes: usize = columns.map(|name| name.len() + 10).sum();
        (SELECT_BYTES_MAX < bytes).then(|| {
            format!(
                "the columns that are read of `{}` make an address of {bytes} bytes, and one holds \
                 32,768 with all else that is in it; map fewer fields",
                self.name
            )
        })
    }

    /// Why a column is not there, with both remedies.
    pub fn missing(&self, name: &str) -> String {
        format!(
            "`{}` has no column `{name}`; correct the logical name (small letters, such as \
             `emailaddress1`), or publish the column",
            self.name
        )
    }

    /// A column beside one of Campaign's: a choice is a number, and beside a text the same number as
    /// text.
    pub fn column_beside(&self, name: &str, ours: Option<&Kind>) -> Option<Column> {
        let column = self.column(name)?.clone();
        let text = matches!(ours, Some(Kind::Text { .. }));
        if text && self.wires.get(&column.name) == Some(&Wire::Choice) {
            let only = self.options_of(&column.name);
            let kind = Kind::Text { max: Some(11), case: Case::Kept, only: Some(only) };
            return Some(Column { kind, ..column });
        }
        Some(column)
    }

    fn options_of(&self, name: &str) -> Arc<[Arc<str>]> {
        self.options.get(name).map_or_else(|| Vec::new().into(), Arc::clone)
    }
}

impl Looks for Table {
    fn column(&self, name: &str) -> Option<&Column> {
        self.column(name).filter(|column| !self.secured.contains(&column.name))
    }

    /// A choice that was mapped as a text is one still.
    fn column_now(&self, was: &Column) -> Option<Cow<'_, Column>> {
        Looks::column(self, &was.name)?;
        self.column_beside(&was.name, Some(&was.kind)).map(Cow::Owned)
    }

    fn missing(&self, name: &str) -> String {
        self.unreadable(name).unwrap_or_else(|| self.missing(name))
    }
}

impl Described {
    /// What is described.
    pub fn table(&self) -> Table {
        let navigations = |column: &str| -> Vec<Navigation> {
            self.navigations.iter().filter(|one| one.column == column).cloned().collect()
        };
        let readable = || self.columns.iter().filter(|column| column.read);
        let states = self.states();
        let alone = |column: &DescribedColumn| {
            let mut keys = self.keys.iter().filter(|key| key.is_active());
            keys.any(|key| key.columns.len() == 1 && key.columns[0] == column.name)
        };
        let has = |name: &str| self.columns.iter().any(|column| column.name == name);
        Table {
            name: self.name.as_str().into(),
            set: self.set.as_str().into(),
            id: self.id.as_str().into(),
            columns: readable()
                .map(|column| (column.name.as_str().into(), column.column(alone(column))))
                .collect(),
            wires: readable()
                .map(|column| (column.name.as_str().into(), column.wire(navigations(&column.name))))
                .collect(),
            options: readable()
                .filter(|column| !column.options.is_empty())
                .map(|column| (column.name.as_str().into(), column.names()))
                .collect(),
            states,
            mergeable: has("merged") && has("masterid"),
            tracked: self.tracked,
            versions: self.versions,
            secured: readable()
                .filter(|column| column.secured)
                .map(|column| column.name.as_str().into())
                .collect(),
            keys: self.keys.clone(),
        }
    }

    fn states(&self) -> States {
        let of = |name: &str| self.columns.iter().find(|column| column.name == name);
        let options = |name: &str| of(name).map(|column| column.options.as_slice());
        let states = options("statecode").unwrap_or_default().iter();
        let statuses = options("statuscode").unwrap_or_default().iter();
        States {
            default_status: states.filter_map(|one| Some((one.value, one.status?))).collect(),
            state_of: statuses.filter_map(|one| Some((one.value, one.state?))).collect(),
        }
    }
}

impl DescribedColumn {
    fn column(&self, unique: bool) -> Column {
        Column {
            name: self.name.as_str().into(),
            type_name: self.kind.as_str().into(),
            kind: self.column_kind(),
            nullable: true,
            required: self.required,
            unique,
            creatable: self.create,
            updatable: self.update,
        }
    }

    fn column_kind(&self) -> Kind {
        let whole = |text: &Option<String>, or: i64| {
            text.as_deref().and_then(|text| text.parse().ok()).unwrap_or(or)
        };
        match self.kind.as_str() {
            "StringType" | "MemoType" => {
                Kind::Text { max: self.length, case: Case::Kept, only: None }
            }
            "BooleanType" => Kind::Bool,
            "IntegerType" => Kind::Int {
                min: whole(&self.min, i32::MIN.into()),
                max: whole(&self.max, i32::MAX.into()),
            },
            "BigIntType" => Kind::Int { min: i64::MIN, max: i64::MAX },
            "DecimalType" | "DoubleType" | "MoneyType" => self.number(),
            "DateTimeType" => match self.behaviour.as_deref() {
                Some("DateOnly") => Kind::Date,
                Some("TimeZoneIndependent") if self.date_only_format => Kind::Date,
                Some(_) | None => Kind::Instant,
            },
            "PicklistType" | "StateType" | "StatusType" => {
                let values = || self.options.iter().map(|option| option.value);
                Kind::Int { min: values().min().unwrap_or(0), max: values().max().unwrap_or(0) }
            }
            "MultiSelectPicklistType" => Kind::Set { max: None, only: Some(self.names()) },
            "UniqueidentifierType" => Kind::Uuid,
            "LookupType" | "CustomerType" | "OwnerType" => {
                Kind::Reference(self.targets.iter().map(|target| target.as_str().into()).collect())
            }
            _ => Kind::Other,
        }
    }

    fn number(&self) -> Kind {
        let scale = self.precision.unwrap_or(0);
        let bound = self.max.as_deref().and_then(|max| max.split('.').next()).unwrap_or("0");
        // A bound of 100,000 holds numbers of five digits, and only one of six.
        let power = bound.starts_with('1') && bound[1..].bytes().all(|c| c == b'0');
        let digits = bound.trim_start_matches('-').len() - usize::from(power && 1 < bound.len());
        let digits = u8::try_from(digits).unwrap_or(u8::MAX);
        Kind::Decimal { whole: digits.clamp(1, DIGITS_KEPT.saturating_sub(scale).max(1)), scale }
    }

    fn names(&self) -> Arc<[Arc<str>]> {
        self.options.iter().map(|option| option.value.to_string().into()).collect()
    }

    fn wire(&self, navigations: Vec<Navigation>) -> Wire {
        match self.kind.as_str() {
            "PicklistType" | "StateType" | "StatusType" => Wire::Choice,
            "MultiSelectPicklistType" => Wire::Choices,
            "LookupType" | "CustomerType" | "OwnerType" => Wire::Lookup(navigations),
            "DateTimeType"
                if self.date_only_format
                    && self.behaviour.as_deref() == Some("TimeZoneIndependent") =>
            {
                Wire::DateAsInstant
            }
            _ => Wire::Plain,
        }
    }
}

#[cfg(test)]
mod tests;
