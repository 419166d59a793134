//! What stands against a mapping of a table, each thing with what would mend it.

use super::{Key, Lacking, Table, Wire};
use crate::crm::wanted::{Rights, STAMP_LENGTH_MIN, Wanted};
use crate::reconcile::mapping::Kind;

/// What is read besides the names of columns: an address holds 32,768 bytes.
const SELECT_BYTES_MAX: usize = 20_000;

impl Table {
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
        problems.extend(self.lacking(wanted.rights));
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

    /// Which privileges are wanted and not there.
    fn lacking(&self, rights: Rights) -> Option<String> {
        let wanted =
            [("Create", rights.create), ("Write", rights.update), ("Delete", rights.delete)];
        let is_wanted = |one: &&Lacking| wanted.contains(&(one.verb.as_str(), true));
        let lacking: Vec<&Lacking> = self.lacks.iter().filter(is_wanted).collect();
        let all = |name: fn(&Lacking) -> &str| {
            lacking.iter().map(|one| name(one)).collect::<Vec<_>>().join(", ")
        };
        (!lacking.is_empty()).then(|| {
            format!(
                "the application user lacks {} on `{}`; give it a security role with {} on the \
                 table, for the whole organisation",
                all(|one| &one.name),
                self.name,
                all(|one| &one.verb)
            )
        })
    }

    /// Why a column does not tell consent, where `named` are the options of which the config says
    /// what they say.
    pub fn unfit_consent(&self, name: &str, named: Option<&[i64]>) -> Option<String> {
        let (table, column) = (&self.name, self.column(name)?);
        let is_choice = self.wires.get(&column.name) == Some(&Wire::Choice);
        match (named, column.kind == Kind::Bool) {
            (Some(_), true) => Some(format!(
                "`{name}` of `{table}` is yes or no, and consent_options is for choices; name it in \
                 allowing_columns where yes allows contact, and leave it out of consent_options"
            )),
            (None, true) => None,
            (_, false) if !is_choice => Some(format!(
                "`{name}` of `{table}` is {}; consent is told by a column of yes and no, or by a \
                 choice",
                column.type_name
            )),
            (named, false) => self.unclear_options(&column.name, named.unwrap_or_default()),
        }
    }

    /// Options of a choice of which nobody says whether they forbid contact, and others that it has
    /// not.
    fn unclear_options(&self, column: &str, named: &[i64]) -> Option<String> {
        let there: Vec<i64> =
            self.options_of(column).iter().filter_map(|option| option.parse().ok()).collect();
        let told = |options: Vec<i64>| {
            options.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let strange: Vec<i64> = named.iter().copied().filter(|one| !there.contains(one)).collect();
        if !strange.is_empty() {
            return Some(format!(
                "consent_options names {} of `{column}`, and the choice has {}; correct it",
                told(strange),
                told(there)
            ));
        }
        let open: Vec<i64> = there.into_iter().filter(|one| !named.contains(one)).collect();
        (!open.is_empty()).then(|| {
            format!(
                "`{column}` of `{}` is a choice, and nothing says what its options {} mean; name each \
                 in consent_options: {{ {column} = {{ out = […], in = […] }} }}",
                self.name,
                told(open)
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
}
