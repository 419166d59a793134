//! From the config and the live schemas to what the loops and both sides work by; or to what
//! stands against it, each thing once, with its mapping, field, columns and types.

mod caveats;
mod keys;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::agent::{Linger, Plan};
use crate::campaign::catalog::Table;
use crate::config::{self, Config, Crm, Label, Mapping};
use crate::crm::any::Object;
use crate::crm::{Rights, Wanted};
use crate::ledger::{Catalog, CatalogMapping};
use crate::reconcile::decide::Gate;
use crate::reconcile::mapping::{Column, FieldOptions, Kind, SideField, SideMapping, narrower};
use crate::reconcile::{Direction, Entity, FieldRule, Policy, Side, Sides};

use super::finding::{Finding, Findings};
use super::narrow::cautions;
use super::schemas::Schemas;

/// A mapping, made ready.
pub(super) struct Mapped {
    /// Its name in the config.
    pub(super) name: Label,
    /// For the loops.
    pub(super) plan: Plan,
    /// For both sides.
    pub(super) sides: Sides<SideMapping>,
}

/// Makes all mappings ready. What does not fit is a finding, and its mapping is left out.
pub(super) fn map_all(
    config: &Config,
    catalog: &Catalog,
    schemas: &Schemas,
    findings: &mut Findings,
) -> Vec<Mapped> {
    let mut all = Vec::new();
    for (name, mapping) in config.in_order() {
        let numbers = catalog.named(name.as_str());
        let table = schemas.tables.get(name).and_then(Option::as_ref);
        if schemas.tables.get(name).is_some_and(Option::is_none) {
            findings.problem(Finding::of(name, no_table(config, mapping)));
        }
        let object = match schemas.objects.get(name) {
            Some(Ok(object)) => Some(object),
            Some(Err(error)) => {
                findings.problem(Finding::of(name, error.to_string()));
                None
            }
            None => None,
        };
        if let (Some(numbers), Some(table), Some(object)) = (numbers, table, object) {
            let maker = Maker { config, catalog, name, mapping, numbers, table, object };
            all.extend(maker.make(findings));
        }
    }
    all
}

/// Names for the catalog of the ledger: each mapping with its fields.
pub(super) fn names(config: &Config) -> Vec<(String, Vec<String>)> {
    let fields = |mapping: &Mapping| mapping.fields.keys().map(ToString::to_string).collect();
    config.in_order().map(|(name, mapping)| (name.to_string(), fields(mapping))).collect()
}

fn no_table(config: &Config, mapping: &Mapping) -> String {
    format!(
        "there is no table `{}` in the schema `{}`; names of tables are in lower case there",
        mapping.table, config.campaign.schema
    )
}

struct Maker<'a> {
    config: &'a Config,
    catalog: &'a Catalog,
    name: &'a Label,
    mapping: &'a Mapping,
    numbers: &'a CatalogMapping,
    table: &'a Table,
    object: &'a Object,
}

/// A field, made ready.
struct Made {
    name: Arc<str>,
    rule: FieldRule,
    sides: Sides<SideField>,
}

impl Maker<'_> {
    fn make(&self, findings: &mut Findings) -> Option<Mapped> {
        let before = findings.problems();
        self.check_mapping(findings);
        let mut made = Vec::new();
        for (name, field) in &self.mapping.fields {
            made.extend(self.field(name, field, findings));
        }
        self.check_required(findings);
        if before < findings.problems() {
            return None;
        }
        let plan = self.plan(&made);
        let sides = Sides::of(|side| self.side(side, &made));
        Some(Mapped { name: self.name.clone(), plan, sides })
    }

    /// What stands against the mapping as a whole.
    fn check_mapping(&self, findings: &mut Findings) {
        let Mapping { key, create, delete, .. } = self.mapping;
        let table = &self.mapping.table;
        if self.table.column(key.as_str()).is_none() {
            let why = format!("`{table}` has no column `{key}`, which is named as its key");
            findings.problem(Finding::of(self.name, why));
        }
        let writes = |side| self.mapping.fields.values().any(|f| f.direction.writes(side));
        let rights = Rights {
            query: true,
            create: create.contains(&config::Side::Crm),
            update: writes(config::Side::Crm),
            delete: *delete == config::Delete::Propagate,
        };
        let wanted = Wanted {
            external_id: self.mapping.external_id.as_ref().map(config::ApiName::as_str),
            stamp: self.mapping.stamp.as_ref().map(config::ApiName::as_str),
            rights,
        };
        for problem in self.object.problems(&wanted) {
            findings.problem(Finding::of(self.name, problem));
        }
        self.keys_fit(findings);
        self.caveats(findings);
    }

    fn field(&self, name: &Label, field: &config::Field, findings: &mut Findings) -> Option<Made> {
        let campaign = self.campaign_columns(name, field, findings);
        let beside = campaign.as_ref().and_then(|columns| columns.first());
        let crm = self.crm_columns(name, field, beside, findings);
        let (campaign, crm) = (campaign?, crm?);
        let number = self.numbers.field(name.as_str())?;
        let options = self.options(field);
        let fits = self.looked_up(field, &crm).and_then(|()| narrower(&campaign, &crm, &options));
        let shape = match fits {
            Ok(shape) => shape,
            Err(why) => {
                findings.problem(Finding::of(self.name, why).field(name));
                return None;
            }
        };
        if !field.is_consent() && field.references.is_none() {
            let first = Sides { campaign: &campaign[0], crm: &crm[0] };
            for what in cautions(&first, options.direction, options.too_long) {
                findings.warning(Finding::of(self.name, what).field(name));
            }
        }
        let create_with = &self.mapping.create_with;
        let given = Sides {
            campaign: create_with.campaign.keys().any(|c| c.as_str() == &*campaign[0].name),
            crm: create_with.crm.keys().any(|c| c.as_str().eq_ignore_ascii_case(&crm[0].name)),
        };
        let columns = Sides { campaign, crm };
        let rule = FieldRule {
            shape: shape.clone(),
            direction: field.direction.into(),
            conflict: field.conflict.into(),
            pairing: field.pairing.into(),
            required: Sides::of(|side| columns[side][0].required && !given[side]),
            unique: Sides::of(|side| field.unique.unwrap_or(columns[side][0].unique)),
        };
        let shown: Arc<str> = name.as_str().into();
        let sides = Sides::of(|side| SideField {
            field: number,
            name: Arc::clone(&shown),
            columns: columns[side].clone(),
            shape: shape.clone(),
            zero_is_null: side == Side::Campaign && field.zero_is_null,
            writable: rule.direction.allows(side),
        });
        Some(Made { name: shown, rule, sides })
    }

    /// Whether the lookup refers to the object of the mapping that the field refers to: an id of
    /// another object is refused with every write.
    fn looked_up(&self, field: &config::Field, crm: &[Column]) -> Result<(), String> {
        let Some(parent) = &field.references else { return Ok(()) };
        let Some(mapping) = self.config.mappings.get(parent) else { return Ok(()) };
        let object = mapping.object.as_str();
        match crm.first().map(|column| (&column.name, &column.kind)) {
            Some((name, Kind::Reference(to)))
                if !to.iter().any(|one| one.eq_ignore_ascii_case(object)) =>
            {
                Err(format!(
                    "`{name}` refers to {}, and the mapping `{parent}` that `references` names is \
                     of `{object}`; name the mapping of what `{name}` refers to",
                    to.join(", ")
                ))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn options(&self, field: &config::Field) -> FieldOptions {
        let entity = |name: &Label| self.catalog.named(name.as_str()).map(|known| known.entity);
        let direction: Direction = field.direction.into();
        FieldOptions {
            references: field.references.as_ref().and_then(entity),
            consent: field.is_consent(),
            zero_is_null: field.zero_is_null,
            too_long: field.too_long.into(),
            direction,
        }
    }

    fn campaign_columns(
        &self,
        name: &Label,
        field: &config::Field,
        findings: &mut Findings,
    ) -> Option<Vec<Column>> {
        let mut columns = Vec::new();
        for column in &field.campaign {
            if let Some(known) = self.table.column(column.as_str()) {
                columns.push(known.column.clone());
            } else {
                let why = format!("`{}` has no column `{column}`", self.mapping.table);
                let similar =
                    closest(column.as_str(), self.table.columns.iter().map(|c| &*c.column.name));
                findings.problem(Finding::of(self.name, why + &similar).field(name));
            }
        }
        let consent =
            field.is_consent() && columns.iter().any(|c| c.name.starts_with("iblacklist"));
        if consent
            && columns.iter().all(|column| &*column.name != "iblacklist")
            && self.table.column("iblacklist").is_some()
        {
            findings.warning(
                Finding::of(
                    self.name,
                    "does not look at `iblacklist`, which is no \
                 contact on any channel: Adobe's own unsubscribe sets that one; add it to the \
                 field's columns of Campaign"
                        .to_owned(),
                )
                .field(name),
            );
        }
        (columns.len() == field.campaign.iter().count()).then_some(columns)
    }

    fn crm_columns(
        &self,
        name: &Label,
        field: &config::Field,
        beside: Option<&Column>,
        findings: &mut Findings,
    ) -> Option<Vec<Column>> {
        let mut columns = Vec::new();
        for column in &field.crm {
            if let Some(why) = self.object.unreadable(column.as_str()) {
                findings.problem(Finding::of(self.name, why).field(name));
            } else if let Some(known) =
                self.object.column_beside(column.as_str(), beside.map(|column| &column.kind))
            {
                let unfit = field.is_consent().then(|| self.unfit_consent(column)).flatten();
                if let Some(why) = unfit {
                    findings.problem(Finding::of(self.name, why).field(name));
                } else {
                    columns.push(known);
                }
            } else {
                let mut why = self.object.missing(column.as_str());
                if field.is_consent() {
                    why += "; without it opt-outs reach neither side";
                }
                findings.problem(Finding::of(self.name, why).field(name));
            }
        }
        (columns.len() == field.crm.iter().count()).then_some(columns)
    }

    /// Why a column does not tell consent.
    fn unfit_consent(&self, column: &config::ApiName) -> Option<String> {
        let mut named = self.config.crm_of(self.mapping).consent_options.iter();
        let named = named.find(|(name, _)| name.same_as(column));
        let named = named.map(|(_, options)| [&*options.out, &options.allowed].concat());
        self.object.unfit_consent(column.as_str(), named.as_deref())
    }

    /// Whether new records get what they cannot exist without.
    fn check_required(&self, findings: &mut Findings) {
        let Mapping { create, create_with, fields, external_id, .. } = self.mapping;
        let mapped_crm = |name: &str| {
            fields
                .values()
                .flat_map(|f| f.crm.iter())
                .any(|c| c.as_str().eq_ignore_ascii_case(name))
                || create_with.crm.keys().any(|c| c.as_str().eq_ignore_ascii_case(name))
                || external_id.as_ref().is_some_and(|id| id.as_str().eq_ignore_ascii_case(name))
        };
        if create.contains(&config::Side::Crm) {
            for column in self.object.columns().into_iter().filter(|c| c.required && c.creatable) {
                if !mapped_crm(&column.name) {
                    findings.problem(Finding::of(self.name, format!(
                        "a new `{}` needs `{}` ({}); map it, or give it a value in create_with.crm",
                        self.object.name(), column.name, column.type_name
                    )));
                }
            }
        }
        let unknown = create_with.crm.keys().filter(|c| self.object.column(c.as_str()).is_none());
        for name in unknown {
            findings.problem(Finding::of(self.name, self.object.missing(name.as_str())));
        }
        for (name, value) in &create_with.crm {
            let value = value.text(config::Side::Crm);
            if let Some(why) = self.object.unfit_constant(name.as_str(), &value) {
                findings.problem(Finding::of(self.name, format!("create_with.crm: {why}")));
            }
        }
        for name in create_with.campaign.keys().filter(|c| self.table.column(c.as_str()).is_none())
        {
            let why = format!("create_with: `{}` has no column `{name}`", self.mapping.table);
            findings.problem(Finding::of(self.name, why));
        }
        if create.contains(&config::Side::Campaign) {
            let mapped = |name: &str| {
                fields.values().flat_map(|f| f.campaign.iter()).any(|c| c.as_str() == name)
                    || create_with.campaign.keys().any(|c| c.as_str() == name)
                    || self.mapping.key.as_str() == name
            };
            for column in self.table.columns.iter().filter(|known| known.column.required) {
                if !mapped(&column.column.name) {
                    findings.problem(Finding::of(
                        self.name,
                        format!(
                            "a new row of `{}` needs `{}` ({}); map it, or give it a value in \
                         create_with.campaign",
                            self.mapping.table, column.column.name, column.column.type_name
                        ),
                    ));
                }
            }
        }
    }

    fn plan(&self, made: &[Made]) -> Plan {
        let crm: &Crm = self.config.crm_of(self.mapping);
        let account = self.config.crms.keys().position(|name| *name == self.mapping.crm);
        let mapping = self.mapping;
        let numbered = |made: &Made| (made.sides.campaign.field, made.rule.clone());
        let policy = Policy {
            entity: self.numbers.entity,
            fields: made.iter().map(numbered).collect(),
            create: mapping.create.iter().map(|side| Side::from(*side)).collect(),
            delete: mapping.delete.into(),
            delete_conflict: mapping.delete_conflict.into(),
            match_on: self.match_on(),
            stamped: mapping.stamp.is_some(),
            write_limit: crm.write_time_limit_seconds.get(),
            late_commit: crm.late_commit_seconds.get(),
            wait_limit: mapping.reference_wait,
            flap: mapping.flap.into(),
            blank_fields: mapping.brake.blank_fields.size(),
        };
        Plan {
            name: self.name.as_str().into(),
            account: account.unwrap_or_default(),
            policy,
            brake: mapping.brake.into(),
            linger: Linger::default(),
            census: crm.census_every(),
            tombstone_keep: self.config.ledger.tombstone_keep(),
            field_names: made
                .iter()
                .map(|m| (m.sides.campaign.field, Arc::clone(&m.name)))
                .collect(),
            creates: Gate::Later,
            deletes: Gate::Open,
        }
    }

    /// Where a lead's record goes on once it is converted: to the mapping of what it becomes, where
    /// that maps the same table of Campaign.
    fn converts(&self) -> Option<(Arc<str>, Entity)> {
        const BECOMES: [(&str, &str); 2] =
            [("ConvertedContactId", "Contact"), ("ConvertedAccountId", "Account")];
        let mapping = self.mapping;
        BECOMES.into_iter().find_map(|(field, object)| {
            let column = self.object.column(field)?;
            let mut others = self.config.mappings.iter().filter(|(_, other)| {
                other.crm == mapping.crm
                    && other.table == mapping.table
                    && other.object.as_str().eq_ignore_ascii_case(object)
            });
            let (name, _) = others.next()?;
            Some((Arc::clone(&column.name), self.catalog.named(name.as_str())?.entity))
        })
    }

    fn match_on(&self) -> Vec<crate::reconcile::Field> {
        let number = |name: &Label| self.numbers.field(name.as_str());
        self.mapping.match_on.iter().filter_map(number).collect()
    }

    fn side(&self, side: Side, made: &[Made]) -> SideMapping {
        let mapping = self.mapping;
        let own = |name: &config::ApiName| -> Arc<str> {
            self.object.column(name.as_str()).map_or(name.as_str().into(), |c| Arc::clone(&c.name))
        };
        let crm =
            |name: &Option<config::ApiName>| name.as_ref().filter(|_| side == Side::Crm).map(own);
        let (table, key): (Arc<str>, Arc<str>) = match side {
            Side::Campaign => (mapping.table.as_str().into(), mapping.key.as_str().into()),
            Side::Crm => (Arc::clone(self.object.name()), self.object.key()),
        };
        let with = &mapping.create_with;
        let defaults: BTreeMap<Arc<str>, String> = match side {
            Side::Campaign => (with.campaign.iter())
                .map(|(name, value)| (name.as_str().into(), value.text(config::Side::Campaign)))
                .collect(),
            Side::Crm => (with.crm.iter())
                .map(|(name, value)| (own(name), value.text(config::Side::Crm)))
                .collect(),
        };
        let mut fields: Vec<SideField> = made.iter().map(|m| m.sides[side].clone()).collect();
        fields.sort_by_key(|field| field.field);
        SideMapping {
            entity: self.numbers.entity,
            name: self.name.as_str().into(),
            table,
            key,
            external_id: crm(&mapping.external_id),
            stamp: crm(&mapping.stamp),
            fields,
            match_on: self.match_on(),
            converts: self.converts().filter(|_| side == Side::Crm),
            defaults,
        }
    }
}

/// The known name that is most like a wrong one, as a hint.
fn closest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> String {
    let likeness = |name: &str| {
        name.chars().zip(wrong.chars()).filter(|(a, b)| a.eq_ignore_ascii_case(b)).count()
    };
    match known.max_by_key(|name| likeness(name)).filter(|name| 2 < likeness(name)) {
        Some(name) => format!("; did you mean `{name}`?"),
        None => String::new(),
    }
}

/// Numbers for a check before there is a ledger that could give them.
pub(super) fn provisional(config: &Config) -> Catalog {
    let mut field = 0;
    let mut mappings = Vec::new();
    for (number, (name, fields)) in (1_u16..).zip(names(config)) {
        let mut numbered = Vec::new();
        for name in fields {
            field += 1;
            numbered
                .push(crate::ledger::CatalogField { name, field: crate::reconcile::Field(field) });
        }
        mappings.push(CatalogMapping { name, entity: Entity(number), fields: numbered });
    }
    Catalog { mappings }
}
