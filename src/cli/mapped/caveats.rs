//! What of an organisation makes mapped fields other than they look: formulas, person accounts, many
//! currencies.

use crate::config::{self, Label};

use super::super::finding::{Finding, Findings};
use super::Maker;

impl Maker<'_> {
    /// Everything that is to be known of the mapped fields, of which nothing stands against running.
    pub(super) fn caveats(&self, findings: &mut Findings) {
        for (name, field) in &self.mapping.fields {
            if let Some(what) = self.calculated(field) {
                findings.warning(Finding::of(self.name, what).field(name));
            }
        }
        let whole = [self.of_persons(), self.currencies()];
        for what in whole.into_iter().flatten() {
            findings.warning(Finding::of(self.name, what));
        }
    }

    /// A formula's value changes without its record, which is all that is followed.
    fn calculated(&self, field: &config::Field) -> Option<String> {
        let column = field.crm.iter().find(|name| self.object.is_calculated(name.as_str()))?;
        Some(format!(
            "`{column}` is calculated by the CRM, and its record's time of change does not move with \
             it: what it shows is read with the record's next change, and by no poll, deep pass or \
             census before; `truce sync {} --all` compares it, or map the fields that it is made of",
            self.name
        ))
    }

    /// Fields of persons are on accounts that are companies too, and cannot be written there.
    fn of_persons(&self) -> Option<String> {
        let has = |name: &str| self.object.column(name).is_some();
        if !self.object.name().eq_ignore_ascii_case("Account") || !has("IsPersonAccount") {
            return None;
        }
        let named = self.mapped().filter(|(_, column)| is_of_person(column));
        let named: Vec<String> = named.map(|(_, column)| format!("`{column}`")).collect();
        (!named.is_empty()).then(|| {
            format!(
                "only person accounts have {}, and `Account` has business accounts too: a write of it \
                 to such an account is refused and held; hide business accounts from the integration \
                 user, and give new ones a record type of person accounts (create_with.crm \
                 RecordTypeId)",
                named.join(", ")
            )
        })
    }

    /// An amount is nothing without its currency.
    fn currencies(&self) -> Option<String> {
        let has = |name: &str| self.object.column(name).is_some();
        let maps = |name: &str| self.mapped().any(|(_, column)| column.eq_ignore_ascii_case(name));
        if !has(CURRENCY) || maps(CURRENCY) {
            return None;
        }
        let amounts = self.mapped().filter(|(_, column)| {
            self.object.column(column).is_some_and(|known| &*known.type_name == "currency")
        });
        let amounts: Vec<String> = amounts.map(|(_, column)| format!("`{column}`")).collect();
        (!amounts.is_empty()).then(|| {
            format!(
                "the organisation has several currencies, and the amounts of {} go over without \
                 theirs: those of different currencies become alike; map `{CURRENCY}` to a column of \
                 its own too",
                amounts.join(", ")
            )
        })
    }

    /// Each mapped field with each of its columns in the CRM.
    fn mapped(&self) -> impl Iterator<Item = (&Label, &str)> {
        let fields = self.mapping.fields.iter();
        fields.flat_map(|(name, field)| field.crm.iter().map(move |crm| (name, crm.as_str())))
    }
}

/// Which currency an amount is in; there where an organisation has several.
const CURRENCY: &str = "CurrencyIsoCode";

/// Whether only a person account has this field: `PersonEmail`, `FirstName`, `Birthday__pc`.
fn is_of_person(column: &str) -> bool {
    let lower = column.to_ascii_lowercase();
    let names = ["firstname", "lastname", "middlename", "salutation", "suffix"];
    lower.starts_with("person") || lower.ends_with("__pc") || names.contains(&&*lower)
}
