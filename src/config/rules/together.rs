//! Rules between mappings: who exists, who refers to whom, who writes what.

use std::collections::BTreeMap;

use super::Findings;
use crate::config::words::nearest;
use crate::config::{Crm, Label, Mapping, Side};

/// Checks what no mapping knows by itself, and puts parents before their children.
pub(super) fn check(
    mappings: &BTreeMap<Label, Mapping>,
    crms: &BTreeMap<Label, Crm>,
    findings: &mut Findings,
) -> Vec<Label> {
    for (name, mapping) in mappings {
        if !crms.contains_key(&mapping.crm) {
            let wrong = unknown("[crm.NAME]", &mapping.crm, crms.keys());
            findings.add(format!("mapping.{name}.crm"), wrong);
            continue;
        }
        references(name, mapping, mappings, findings);
    }
    one_writer(mappings, findings);
    same_pair(mappings, findings);
    order(mappings, findings)
}

fn unknown<'a>(what: &str, wanted: &Label, known: impl Iterator<Item = &'a Label>) -> String {
    let known: Vec<_> = known.map(Label::as_str).collect();
    match nearest(wanted.as_str(), &known) {
        Some(near) => format!("there is no such {what}; did you mean `{near}`?"),
        None if known.is_empty() => format!("there is no {what} at all; add one"),
        None => format!("there is no such {what}; there are {}", known.join(", ")),
    }
}

fn references(
    name: &Label,
    mapping: &Mapping,
    mappings: &BTreeMap<Label, Mapping>,
    findings: &mut Findings,
) {
    for (field_name, field) in &mapping.fields {
        let Some(parent) = &field.references else { continue };
        let key = format!("mapping.{name}.fields.{field_name}.references");
        match mappings.get(parent) {
            None => findings.add(key, unknown("[mapping.NAME]", parent, mappings.keys())),
            Some(target) if target.crm != mapping.crm => findings.add(
                key,
                format!(
                    "`{parent}` is of crm `{}` and this mapping of `{}`; a record cannot refer \
                     to one of another account",
                    target.crm, mapping.crm
                ),
            ),
            Some(_) => {}
        }
    }
}

/// Two mappings that write one field would overwrite each other forever. Not so consent: out stands
/// above in, so that the opt-outs of all accounts meet in Campaign's column.
fn one_writer(mappings: &BTreeMap<Label, Mapping>, findings: &mut Findings) {
    let mut writers: BTreeMap<String, Write> = BTreeMap::new();
    for write in mappings.iter().flat_map(|(name, mapping)| writes(name, mapping)) {
        match writers.get(&write.place) {
            Some(first) if first.meets && write.meets => {}
            Some(first) => findings.add(
                write.key,
                format!(
                    "{} is written by {} too; let one of both write it, and give the other a \
                     direction that only reads it",
                    write.place, first.key
                ),
            ),
            None => {
                writers.insert(write.place.clone(), write);
            }
        }
    }
}

/// A thing that a mapping writes, with the key that says so.
struct Write {
    key: String,
    place: String,
    /// Whether others may write it too.
    meets: bool,
}

fn writes(name: &Label, mapping: &Mapping) -> Vec<Write> {
    let column = |column: &str| format!("column {}.{column}", mapping.table);
    let object = format!("field {}.{}", mapping.crm, mapping.object);
    // A CRM takes names in any case.
    let field = |field: &str| format!("{object}.{field}").to_ascii_lowercase();
    let mut writes = Vec::new();
    let own = [("external_id", &mapping.external_id), ("stamp", &mapping.stamp)];
    for (word, api_name) in own {
        writes.extend(api_name.iter().map(|own| Write {
            key: format!("mapping.{name}.{word}"),
            place: field(own.as_str()),
            meets: false,
        }));
    }
    for (field_name, mapped) in &mapping.fields {
        let write = |side: &str, place: String| Write {
            key: format!("mapping.{name}.fields.{field_name}.{side}"),
            place,
            meets: side == "campaign" && mapped.is_consent(),
        };
        if mapped.direction.writes(Side::Campaign) {
            let columns = mapped.campaign.iter();
            writes.extend(columns.map(|one| write("campaign", column(one.as_str()))));
        }
        if mapped.direction.writes(Side::Crm) {
            let fields = mapped.crm.iter();
            writes.extend(fields.map(|one| write("crm", field(one.as_str()))));
        }
    }
    writes
}

/// Two mappings of the same table and object would link each record twice.
fn same_pair(mappings: &BTreeMap<Label, Mapping>, findings: &mut Findings) {
    let mut seen: BTreeMap<_, &Label> = BTreeMap::new();
    for (name, mapping) in mappings {
        let object = mapping.object.as_str().to_ascii_lowercase();
        let pair = (&mapping.crm, &mapping.table, object);
        match seen.get(&pair) {
            Some(first) => findings.add(
                format!("mapping.{name}"),
                format!("maps the same table and object as [mapping.{first}]; make them one"),
            ),
            None => {
                seen.insert(pair, name);
            }
        }
    }
}

/// Parents before children, else by name. A mapping may refer to itself, not in a circle.
fn order(mappings: &BTreeMap<Label, Mapping>, findings: &mut Findings) -> Vec<Label> {
    let mut order: Vec<Label> = Vec::new();
    while order.len() < mappings.len() {
        let ready = mappings.iter().find(|(name, mapping)| {
            !order.contains(name)
                && parents(name, mapping)
                    .all(|(_, parent)| order.contains(parent) || !mappings.contains_key(parent))
        });
        let Some((name, _)) = ready else {
            findings.add(circle(mappings, &order), IN_A_CIRCLE);
            break;
        };
        order.push(name.clone());
    }
    order
}

const IN_A_CIRCLE: &str = "refers to records that refer back to these by way of other fields, so \
     that no order creates both; remove one of the references";

/// The first reference that stands in the way.
fn circle(mappings: &BTreeMap<Label, Mapping>, order: &[Label]) -> String {
    let waiting = |name: &&Label| mappings.contains_key(*name) && !order.contains(name);
    let mut stuck = mappings.keys().filter(waiting);
    let mut name = stuck.next().expect("a circle has mappings in it");
    // Whoever follows references from a stuck mapping ends up in the circle itself.
    for _ in mappings {
        if let Some((_, parent)) =
            parents(name, &mappings[name]).find(|(_, parent)| waiting(parent))
        {
            name = parent;
        }
    }
    let field = parents(name, &mappings[name]).find(|(_, parent)| waiting(parent));
    let field = field.map_or("", |(field, _)| field.as_str());
    format!("mapping.{name}.fields.{field}.references")
}

fn parents<'a>(
    name: &'a Label,
    mapping: &'a Mapping,
) -> impl Iterator<Item = (&'a Label, &'a Label)> {
    let referring = mapping.fields.iter();
    referring
        .filter_map(|(field, mapped)| Some((field, mapped.references.as_ref()?)))
        .filter(move |(_, parent)| *parent != name)
}
