//! The fields of one object: those that say one thing of consent, those that a column stands for, those
//! that get a column made; and why the others are left out.

use std::collections::{BTreeMap, BTreeSet};

use super::fields::{Confidence, fits, lack, matches};
use super::home::{Home, number};
use super::{Existing, Mapped, Note, Parent, Relations, pairs};
use crate::discover::columns;
use crate::discover::names::{self, plain};
use crate::discover::object::{Field, Found};
use crate::discover::schema::{Attribute, KeyField, Link, Part, Schema, Type};
use crate::reconcile::Direction;
use crate::reconcile::mapping::{Column, Kind};

/// A proposal in the making.
pub(super) struct Values<'a> {
    home: &'a Home<'a>,
    /// Fields of the object, by their number, that nothing was said of yet.
    left: BTreeSet<usize>,
    /// Columns that stand for something.
    used: BTreeSet<String>,
    labels: BTreeSet<String>,
    may_add: bool,
    pub(super) fields: Vec<Mapped>,
    pub(super) notes: Vec<Note>,
    pub(super) schema: Option<Schema>,
}

impl<'a> Values<'a> {
    /// All fields that are not mapped, and were not taken out of the config by somebody.
    pub(super) fn new(
        home: &'a Home<'a>,
        earlier: Option<&BTreeMap<String, String>>,
        extend: bool,
    ) -> Self {
        let object = home.object;
        let existing = home.existing;
        let mapped = |name: &str| {
            let of_fields =
                existing.iter().flat_map(|one| one.fields.values()).flat_map(|f| &f.crm);
            let of_agent = existing.iter().flat_map(|one| &one.own);
            of_fields.chain(of_agent).any(|known| known.eq_ignore_ascii_case(name))
        };
        let taken_out = |name: &str| {
            let name = name.to_ascii_lowercase();
            let known = earlier.is_some_and(|earlier| earlier.contains_key(&name));
            let noted = |one: &Existing| one.noted.contains(&name) || one.offered.contains(&name);
            existing.is_some_and(|existing| known && !noted(existing))
        };
        let mut values = Self {
            home,
            left: BTreeSet::new(),
            used: existing
                .iter()
                .flat_map(|one| one.fields.values())
                .flat_map(|field| field.campaign.iter().cloned())
                .collect(),
            labels: existing.iter().flat_map(|one| one.fields.keys().cloned()).collect(),
            // Of a mapping that a person wrote, nobody knows yet what it should have.
            may_add: home.schema.as_ref().is_some_and(|own| own.extends.is_none() || extend)
                && (existing.is_none() || earlier.is_some()),
            fields: Vec::new(),
            notes: Vec::new(),
            schema: home.schema.clone(),
        };
        let own = [&object.external_id, &object.stamp];
        for (number, field) in object.fields.iter().enumerate() {
            let name = &*field.column.name;
            let is_own = own.iter().any(|found| match found {
                Found::Fit(own) => **own == *name,
                Found::Unfit(_) | Found::Nothing => false,
            });
            if is_own || mapped(name) || taken_out(name) {
                continue;
            }
            match &field.aside {
                Some(why) => values.note(field, why, None),
                None => drop(values.left.insert(number)),
            }
        }
        values
    }

    fn note(&mut self, field: &Field, why: &str, perhaps: Option<Mapped>) {
        let field = field.column.name.to_string();
        self.notes.push(Note { field, why: why.to_owned(), perhaps });
    }

    fn is_to_campaign(&self) -> bool {
        self.home.object.no_update.is_some()
    }

    /// Flags by which somebody forbids something.
    pub(super) fn consent(&mut self) {
        let object = self.home.object;
        for number in self.left.clone() {
            let field = &object.fields[number];
            let name = plain(&field.column.name);
            let said = pairs::said([&name, &plain(field.bare())]);
            if !self.left.contains(&number) || said == pairs::Said::Nothing {
                continue;
            }
            if said == pairs::Said::Unclear || field.column.kind != Kind::Bool {
                self.left.remove(&number);
                let why = "speaks of consent: which of its values forbids is for you to say";
                self.note(field, why, None);
                continue;
            }
            let (group, flags) = pairs::consent(&name).unwrap_or_default();
            // In the order of the list: the first is the one that an opt-out writes.
            let of_name = |name: &&str| {
                let mut left = self.left.iter().copied();
                left.find(|at| plain(&object.fields[*at].column.name) == **name)
            };
            let mut members: Vec<usize> = group.iter().filter_map(of_name).collect();
            if members.is_empty() {
                members.push(number);
            }
            for member in &members {
                self.left.remove(member);
            }
            let first = &object.fields[members[0]];
            let writable = members.iter().all(|at| object.fields[*at].is_writable());
            let campaign = if writable && !self.is_to_campaign() {
                let table = &self.home.table.name;
                let why = format!("is consent, and {table} has no flag for it");
                self.flags(first, flags).ok_or(why)
            } else {
                Err("is consent, which has to be writable on both sides".to_owned())
            };
            let campaign = match campaign {
                Ok(campaign) => campaign,
                Err(why) => {
                    for member in members {
                        self.note(&object.fields[member], &why, None);
                    }
                    continue;
                }
            };
            let why = "consent: an opt-out of either side always goes over".to_owned();
            let crm = members.iter().map(|at| object.fields[*at].column.name.to_string()).collect();
            let mapped = self.mapped(first, campaign, (Confidence::Certain, why));
            self.fields.push(Mapped { crm, consent: true, zero_is_null: false, ..mapped });
        }
    }

    /// The flags of a table that say what a field of consent does; a new one where one may be made.
    fn flags(&mut self, field: &Field, flags: &[&str]) -> Option<Vec<String>> {
        let table = &self.home.table;
        let free = |flag: &&&str| table.column(flag).is_some() && !self.used.contains(**flag);
        let own = format!("i{}", plain(field.bare()));
        let own = [own.as_str()];
        let wanted = if *table.name == *pairs::RECIPIENTS { flags } else { &own };
        let there: Vec<String> =
            wanted.iter().filter(free).map(|flag| (*flag).to_owned()).collect();
        if !there.is_empty() {
            self.used.extend(there.iter().cloned());
            return Some(there);
        }
        self.add(field).map(|column| vec![column.name.to_string()])
    }

    /// Fields that a column of the table stands for.
    pub(super) fn paired(&mut self, relations: &mut Relations) {
        let object = self.home.object;
        for found in matches(object, &self.left, &self.home.table, &self.used) {
            let field = &object.fields[found.field];
            if !self.is_to_campaign() && !field.is_writable() {
                continue;
            }
            let how = (found.confidence, found.why);
            let name = found.column.name.to_string();
            if pairs::is_flag(&name) {
                continue;
            }
            let mut mapped = self.mapped(field, vec![name.clone()], how);
            mapped.zero_is_null = zero_is_null(field, &found.column);
            if mapped.zero_is_null {
                mapped.why += "; 0 is no value";
            }
            if let Kind::Reference(targets) = &field.column.kind {
                match relations.refer(&self.home.label, targets) {
                    Ok(parent) => mapped.references = Some(parent.label),
                    // It is told with those that get a column.
                    Err(_) => continue,
                }
            }
            self.left.remove(&found.field);
            if mapped.confidence == Confidence::Possible && !self.may_add {
                let why = format!("{name} might stand for it: {}", mapped.why);
                self.labels.remove(&mapped.label);
                self.note(field, &why, Some(mapped));
            } else if mapped.confidence == Confidence::Possible {
                self.labels.remove(&mapped.label);
                self.left.insert(found.field);
            } else {
                self.used.insert(name);
                self.fields.push(mapped);
            }
        }
    }

    /// Fields that get a column, or have to do without.
    pub(super) fn made(&mut self, relations: &mut Relations) {
        let object = self.home.object;
        for number in std::mem::take(&mut self.left) {
            let field = &object.fields[number];
            if !self.is_to_campaign() && !field.is_writable() {
                self.note(field, "is read-only there", None);
                continue;
            }
            let mut parent = None;
            if let Kind::Reference(targets) = &field.column.kind {
                match relations.refer(&self.home.label, targets) {
                    Ok(found) => parent = Some(found),
                    Err(why) => {
                        self.note(field, &why, None);
                        continue;
                    }
                }
            }
            let column = match &parent {
                Some(parent) => self.link(field, parent),
                None => self.add(field),
            };
            let Some(column) = column else {
                let why = self.no_column(field);
                self.note(field, &why, None);
                continue;
            };
            let how = (Confidence::Certain, "a column of its own".to_owned());
            let mut mapped = self.mapped(field, vec![column.name.to_string()], how);
            mapped.references = parent.map(|parent| parent.label);
            if let Some(lack) = lack(field, &column) {
                mapped.why = format!("{}; {lack}", mapped.why);
            }
            self.fields.push(mapped);
        }
        self.fields.sort_by(|a, b| a.label.cmp(&b.label));
    }

    /// Takes back what was offered before and not taken up; and all of it, where a person wrote the
    /// mapping and chose what is in it.
    pub(super) fn offer(&mut self, is_first: bool) {
        let Some(existing) = self.home.existing else { return };
        for mapped in std::mem::take(&mut self.fields) {
            let mut names = mapped.crm.iter();
            if is_first || names.any(|name| existing.offered.contains(&name.to_ascii_lowercase())) {
                let field = mapped.crm.first().cloned().unwrap_or_default();
                self.notes.push(Note { field, why: mapped.why.clone(), perhaps: Some(mapped) });
            } else {
                self.fields.push(mapped);
            }
        }
    }

    /// Whether the config offers a field: as long as nobody takes it up, nothing is made for it.
    fn is_offered(&self, field: &Field) -> bool {
        let name = field.column.name.to_ascii_lowercase();
        self.home.existing.is_some_and(|existing| existing.offered.contains(&name))
    }

    fn no_column(&self, field: &Field) -> String {
        if columns::attribute(field, "x").is_none()
            && !matches!(field.column.kind, Kind::Reference(_))
        {
            return format!("is {}, which no column of Campaign's holds", field.column.type_name);
        }
        let table = &*self.home.table.name;
        if table == pairs::RECIPIENTS {
            return format!("{table} has no column for it; --extend makes one");
        }
        format!("{table} has no column for it; add one to its schema, and discover again")
    }

    fn mapped(
        &mut self,
        field: &Field,
        campaign: Vec<String>,
        (confidence, why): (Confidence, String),
    ) -> Mapped {
        let label = names::distinct(&names::label(field.bare()), &mut self.labels);
        Mapped {
            label,
            campaign,
            crm: vec![field.column.name.to_string()],
            consent: false,
            references: None,
            zero_is_null: false,
            confidence,
            why,
        }
    }

    /// Makes an attribute for a field, where the schema is one that may be added to.
    fn add(&mut self, field: &Field) -> Option<Column> {
        if self.is_offered(field) {
            return None;
        }
        let kind = columns::kind(field)?.0;
        let name = self.free_attribute(&names::identifier(field.bare()), kind)?;
        let mut attribute = columns::attribute(field, &name)?;
        let column = columns::column(&attribute);
        fits(field, &column, Direction::Both).ok()?;
        let schema = self.schema.as_mut()?;
        let label = format!("List of '{}'", field.label);
        let is_list =
            matches!(attribute.kind, Type::String | Type::Short | Type::Long | Type::Int64)
                && !matches!(field.column.kind, Kind::Set { .. });
        if let Some(list) = columns::enumeration(field, &name, &label).filter(|_| is_list) {
            attribute.list = Some(list.name.clone());
            schema.enumerations.push(list);
        }
        schema.element.attributes.push(attribute);
        self.used.insert(column.name.to_string());
        Some(column)
    }

    /// A name for an attribute whose column is not there yet.
    fn free_attribute(&self, base: &str, kind: Type) -> Option<String> {
        if !self.may_add {
            return None;
        }
        let schema = self.schema.as_ref()?;
        let there = |name: &str| {
            let column = names::column(kind, name).to_lowercase();
            let mut known = schema.element.attributes.iter();
            known.any(|attribute| attribute.name.eq_ignore_ascii_case(name))
                || name == "id"
                || self.home.table.column(&column).is_some()
                || super::table::is_campaigns(&column, &self.home.table)
        };
        let mut numbered = (2_u32..).map(|number| format!("{base}{number}"));
        let mut name = base.to_owned();
        while there(&name) {
            name = numbered.next()?;
        }
        Some(name)
    }

    /// Makes a link to the records of another mapping.
    fn link(&mut self, field: &Field, parent: &Parent) -> Option<Column> {
        if self.is_offered(field) {
            return None;
        }
        let base = names::identifier(field.bare());
        let base = if base.to_ascii_lowercase().ends_with("id") { base } else { base + "Id" };
        let name = self.free_attribute(&base, Type::Long)?;
        let target = parent.schema.clone();
        let schema = self.schema.as_mut()?;
        let named = parent.schema.as_deref().and_then(|target| target.split_once(':'));
        let named = named.map(|(_, name)| name);
        let is_free = |link: &str| {
            !schema.element.parts.iter().any(|part| match part {
                Part::Link(known) => known.name.eq_ignore_ascii_case(link),
                Part::Structure(known) => known.name.eq_ignore_ascii_case(link),
                Part::Aggregate { name, .. } => name.eq_ignore_ascii_case(link),
            })
        };
        let own_key = |link: &str| link.eq_ignore_ascii_case(&schema.element.name);
        let more = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let more = vec![more("label", &field.label), more("revLink", "_NONE_")];
        let column = match (target, named) {
            (Some(target), Some(named)) if is_free(named) && !own_key(named) => {
                let link = Link { name: named.to_owned(), target, more, joins: Vec::new() };
                let column = names::link_column(named);
                schema.element.parts.push(Part::Link(link));
                number(&column.to_lowercase())
            }
            (target, _) => {
                // Another link to the same schema would have the same column.
                let attribute = Attribute {
                    label: Some(field.label.clone()),
                    ..Attribute::new(&name, Type::Long)
                };
                let column = columns::column(&attribute);
                let path = format!("@{name}");
                let index = crate::discover::schema::Index {
                    name: name.clone(),
                    unique: false,
                    more: Vec::new(),
                    fields: vec![KeyField::Path(path.clone())],
                };
                schema.element.indexes.push(index);
                schema.element.attributes.push(attribute);
                if let Some(target) = target {
                    let name = format!("{name}Link");
                    let joins = vec![(path, "@id".to_owned())];
                    schema.element.parts.push(Part::Link(Link { name, target, more, joins }));
                }
                column
            }
        };
        self.used.insert(column.name.to_string());
        Some(column)
    }
}

/// Whether a column that is never null stands for a number that may be missing.
fn zero_is_null(field: &Field, column: &Column) -> bool {
    let is_number = matches!(field.column.kind, Kind::Int { .. } | Kind::Decimal { .. });
    let zero_is_a_choice = field.choices.iter().any(|choice| choice.value == "0");
    is_number
        && matches!(column.kind, Kind::Int { .. } | Kind::Decimal { .. })
        && field.column.nullable
        && !column.nullable
        && !zero_is_a_choice
}
