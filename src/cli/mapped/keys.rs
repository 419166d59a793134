//! What stands against a mapping's fields as keys, and against all of them in one statement.

use crate::config::{self, Mapping};
use crate::reconcile::mapping::Kind;
use crate::reconcile::shape::Case;

use super::super::finding::{Finding, Findings};
use super::Maker;

impl Maker<'_> {
    /// What stands against the fields as keys, and against all of them in one statement.
    pub(super) fn keys_fit(&self, findings: &mut Findings) {
        let Mapping { external_id, stamp, match_on, fields, key, .. } = self.mapping;
        let matched = match_on.iter().filter_map(|name| fields.get(name)).flat_map(names);
        let named = external_id.iter().chain(stamp).map(config::ApiName::as_str);
        let all = fields.values().flat_map(names).chain(named);
        let mut problems: Vec<String> =
            matched.filter_map(|name| self.object.unfilterable(name)).collect();
        problems.extend(self.object.too_wide(all));
        let column = self.table.column(key.as_str()).map(|known| &known.column);
        if let (Some(id), Some(column)) = (external_id, column) {
            let longest = self.config.campaign.external_id(self.name, "").chars().count()
                + key_length(&column.kind);
            problems.extend(self.object.short_external_id(id.as_str(), longest));
            let cased = matches!(column.kind, Kind::Text { case: Case::Kept, .. });
            if let Some(why) = self.object.folds_external_ids(id.as_str()).filter(|_| cased) {
                findings.warning(Finding::of(self.name, why));
            }
        }
        for problem in problems {
            findings.problem(Finding::of(self.name, problem));
        }
    }
}

fn names(field: &config::Field) -> impl Iterator<Item = &str> {
    field.crm.iter().map(config::ApiName::as_str)
}

/// How long a key of Campaign may be as text. One without a limit is as long as it happens to be.
fn key_length(kind: &Kind) -> usize {
    match kind {
        Kind::Int { max, .. } => max.checked_ilog10().map_or(1, |power| power as usize + 1),
        Kind::Text { max, .. } => max.unwrap_or(1),
        Kind::Uuid => 36,
        Kind::Bool
        | Kind::Decimal { .. }
        | Kind::Date
        | Kind::Time
        | Kind::Instant
        | Kind::Set { .. }
        | Kind::Reference(_)
        | Kind::Other => 1,
    }
}
