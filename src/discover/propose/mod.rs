//! What a mapping of an object would be: its table, its fields with how sure each is and why, what is
//! left out and why, and the schema of what has to be made for it.
//!
//! What the config says already stands: a mapping of the same object is added to and not changed, and a
//! field that was proposed before and is not there any more was taken out by somebody, so it stays out.

mod fields;
mod home;
mod pairs;
mod settings;
mod table;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::names;
use super::object::{Account, Object, Table};
use super::schema::Schema;
use super::view;

pub use fields::Confidence;
pub use pairs::RECIPIENTS;
pub use table::is_candidate;

use home::Home;

/// What is there already, beside the objects.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// The tables of Campaign's that records can be kept in.
    pub tables: &'a [Table],
    /// The mappings of the config, of all accounts.
    pub mappings: &'a [Existing],
    /// The schemas of a person's own that earlier runs wrote.
    pub schemas: &'a [Schema],
    /// What the last run saw of the account.
    pub earlier: Option<&'a Schema>,
    /// Whose new schemas are.
    pub namespace: &'a str,
    /// Whether recipients get columns for what they have none for.
    pub extend: bool,
}

/// A mapping as the config has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Existing {
    /// Its name.
    pub label: String,
    /// The account.
    pub crm: String,
    /// The object.
    pub object: String,
    /// Campaign's table.
    pub table: String,
    /// The fields that the agent itself writes.
    pub own: Vec<String>,
    /// Its fields, by their names.
    pub fields: BTreeMap<String, ExistingField>,
    /// The CRM's fields that its notes leave out, in small letters.
    pub noted: BTreeSet<String>,
    /// The CRM's fields that its notes offer, in small letters.
    pub offered: BTreeSet<String>,
}

/// A field as the config has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExistingField {
    /// Campaign's columns.
    pub campaign: Vec<String>,
    /// The CRM's fields.
    pub crm: Vec<String>,
    /// The mapping that it refers to.
    pub references: Option<String>,
}

/// What is proposed for an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The object.
    pub object: Arc<str>,
    /// What people call it.
    pub title: String,
    /// How many records it has, where that is known.
    pub count: Option<u64>,
    /// The mapping's name.
    pub label: String,
    /// Whether the config has no such mapping yet.
    pub is_new: bool,
    /// The table, and the column of its key.
    pub table: (String, String),
    /// Why this table.
    pub why: String,
    /// What a new mapping says beside its fields.
    pub settings: Settings,
    /// The fields to add.
    pub fields: Vec<Mapped>,
    /// Fields that are not added.
    pub notes: Vec<Note>,
    /// Names of fields of the config that the CRM does not have any more.
    pub gone: BTreeSet<String>,
    /// The schema of a person's own that the table or new columns of it come from.
    pub schema: Option<Schema>,
}

/// What a new mapping says beside its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The field that bears Campaign's key.
    pub external_id: Option<String>,
    /// The field that bears the stamp.
    pub stamp: Option<String>,
    /// By which fields records find each other.
    pub match_on: Vec<String>,
    /// Whether values go to Campaign only.
    pub to_campaign: bool,
    /// Whether records may be made in Campaign, and in the CRM.
    pub create: (bool, bool),
    /// The folder of new rows.
    pub folder: Option<i64>,
    /// What a person should know of all that.
    pub remarks: Vec<String>,
}

/// A field of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// Its name.
    pub label: String,
    /// Campaign's columns.
    pub campaign: Vec<String>,
    /// The CRM's fields.
    pub crm: Vec<String>,
    /// Whether it is consent.
    pub consent: bool,
    /// The mapping that it refers to.
    pub references: Option<String>,
    /// Whether Campaign's 0 is no value.
    pub zero_is_null: bool,
    /// How sure it is.
    pub confidence: Confidence,
    /// And why.
    pub why: String,
}

/// A field that is not added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The CRM's field.
    pub field: String,
    /// Why not.
    pub why: String,
    /// What somebody who looked twice might take.
    pub perhaps: Option<Mapped>,
}

/// Proposals for these objects of an account, in the order in which they are told.
pub fn propose(account: &Account, objects: &[Object], world: &World<'_>) -> Vec<Draft> {
    let mut objects: Vec<&Object> = objects.iter().collect();
    // Who comes first has the first choice of tables.
    objects.sort_by_key(|object| {
        let person = pairs::PEOPLE.iter().position(|name| *name == names::plain(&object.name));
        (person.unwrap_or(pairs::PEOPLE.len()), object.custom, Arc::clone(&object.name))
    });
    let homes = home::find(account, &objects, world);
    let mut relations = Relations::of(account, world, &homes);
    // Several objects may have their records in one table, whose schema grows by each.
    let mut grown: Option<Schema> = None;
    let mut drafts = Vec::new();
    for mut home in homes {
        let extends = home.schema.as_ref().is_some_and(|schema| schema.extends.is_some());
        if extends && grown.is_some() {
            home.schema.clone_from(&grown);
        }
        let draft = draft(&home, world, &mut relations);
        if extends {
            grown.clone_from(&draft.schema);
        }
        drafts.push(draft);
    }
    drafts
}

fn draft(home: &Home<'_>, world: &World<'_>, relations: &mut Relations) -> Draft {
    let object = home.object;
    let earlier = world.earlier.and_then(|earlier| view::known(earlier, &object.name));
    let mut drafted = values::Values::new(home, earlier.as_ref(), world.extend);
    drafted.consent();
    drafted.paired(relations);
    drafted.made(relations);
    drafted.offer(earlier.is_none());
    let values::Values { fields, notes, mut schema, .. } = drafted;
    let settings = settings::settings(home, &fields, schema.as_mut());
    let there = |name: &String| object.field(name).is_some();
    let existing = home.existing.iter().flat_map(|existing| &existing.fields);
    let gone = existing.filter(|(_, field)| !field.crm.iter().all(there));
    Draft {
        object: Arc::clone(&object.name),
        title: object.label.clone(),
        count: object.count,
        label: home.label.clone(),
        is_new: home.existing.is_none(),
        table: (home.table.name.to_string(), home.table.key.to_string()),
        why: home.why.clone(),
        gone: gone.map(|(label, _)| label.clone()).collect(),
        settings,
        fields,
        notes,
        schema,
    }
}

/// Which mapping refers to which: no two may refer to each other by way of others, as no order would
/// then create both.
#[derive(Debug, Default)]
struct Relations {
    /// The mapping of an object, by its name in small letters, with its table.
    by_object: BTreeMap<String, Parent>,
    parents: BTreeMap<String, BTreeSet<String>>,
}

/// A mapping that may be referred to.
#[derive(Clone, Debug)]
struct Parent {
    label: String,
    /// Its schema, where that is known.
    schema: Option<String>,
}

impl Relations {
    fn of(account: &Account, world: &World<'_>, homes: &[Home<'_>]) -> Self {
        let mut relations = Self::default();
        for mapping in world.mappings.iter().filter(|mapping| mapping.crm == account.name) {
            let schema = home::schema_of(&mapping.table, world.schemas);
            let parent = Parent { label: mapping.label.clone(), schema };
            relations.by_object.insert(mapping.object.to_ascii_lowercase(), parent);
            let referred = mapping.fields.values().filter_map(|field| field.references.clone());
            relations.parents.insert(mapping.label.clone(), referred.collect());
        }
        for home in homes {
            let schema = home.schema.as_ref().filter(|schema| schema.extends.is_none());
            let schema = schema.map(Schema::full_name);
            let schema = schema.or_else(|| home::schema_of(&home.table.name, world.schemas));
            let parent = Parent { label: home.label.clone(), schema };
            relations.by_object.insert(home.object.name.to_ascii_lowercase(), parent);
        }
        relations
    }

    /// The mapping that a lookup of a mapping may refer to.
    fn refer(&mut self, from: &str, targets: &[Arc<str>]) -> Result<Parent, String> {
        let [target] = targets else {
            let targets = targets.join(", ");
            return Err(format!("refers to records of several objects ({targets})"));
        };
        let Some(parent) = self.by_object.get(&target.to_ascii_lowercase()).cloned() else {
            return Err(format!("refers to {target}, which is not mapped; discover that too"));
        };
        if parent.label != from && self.reaches(&parent.label, from) {
            let to = &parent.label;
            return Err(format!("refers to {to}, which refer back: no order creates both"));
        }
        self.parents.entry(from.to_owned()).or_default().insert(parent.label.clone());
        Ok(parent)
    }

    fn reaches(&self, from: &str, to: &str) -> bool {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(label) = next.pop() {
            if label == to {
                return true;
            }
            if seen.insert(label) {
                next.extend(self.parents.get(label).into_iter().flatten().map(String::as_str));
            }
        }
        false
    }
}

#[cfg(test)]
pub(crate) mod tests;
