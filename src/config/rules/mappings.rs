//! Rules within one mapping, and its fields filled from its own choices.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, fields};
use crate::config::mapping::file::{FieldFile, MappingFile};
use crate::config::mapping::policy::ConflictWord;
use crate::config::words::nearest;
use crate::config::{Label, Mapping, Merge, Side};

pub(super) fn resolve(
    files: BTreeMap<Label, MappingFile>,
    findings: &mut Findings,
) -> BTreeMap<Label, Mapping> {
    files
        .into_iter()
        .map(|(name, file)| {
            check(&name, &file, findings);
            let mapping = resolved(&name, file, findings);
            (name, mapping)
        })
        .collect()
}

fn resolved(name: &Label, file: MappingFile, findings: &mut Findings) -> Mapping {
    let fields = file
        .fields
        .iter()
        .map(|(field_name, field)| {
            let key = format!("mapping.{name}.fields.{field_name}");
            (field_name.clone(), fields::resolve(&key, field, &file, findings))
        })
        .collect();
    Mapping {
        crm: file.crm,
        table: file.table,
        key: file.key,
        id_function: file.id_function,
        object: file.object,
        external_id: file.external_id,
        stamp: file.stamp,
        match_on: file.match_on,
        create: file.create.into_iter().collect(),
        delete: file.delete,
        delete_conflict: file.delete_conflict,
        merge: file.merge,
        identity: file.identity,
        reference_wait: file.reference_wait_seconds.get(),
        brake: file.brake,
        flap: file.flap,
        create_with: file.create_with,
        fields,
    }
}

fn check(name: &Label, file: &MappingFile, findings: &mut Findings) {
    let key = |key: &str| format!("mapping.{name}.{key}");
    let table = file.table.as_str();
    if table.starts_with("wkf") || table == "xtkoption" {
        findings.add(key("table"), "is one of Campaign's own work tables, which are never touched");
    }
    if file.fields.is_empty() {
        findings.add(key("fields"), "is empty; name at least one field");
    }
    policies(name, file, findings);
    if file.merge == Merge::Hold {
        // Better refused than ignored.
        findings.add(key("merge"), "is not supported by this version; \"relink\" is");
    }
    if file.create.contains(&Side::Crm) && file.external_id.is_none() {
        findings.add(
            key("create"),
            "creates in the CRM, which needs external_id: a text field of the object, marked as a \
             unique external id",
        );
    }
    if file.create.len() != file.create.iter().collect::<BTreeSet<_>>().len() {
        findings.add(key("create"), "names a side twice");
    }
    if let (Some(id), Some(stamp)) = (&file.external_id, &file.stamp)
        && id.same_as(stamp)
    {
        findings.add(key("stamp"), "is the external_id too; they need a field each");
    }
    for column in file.create_with.campaign.keys().filter(|column| **column == file.key) {
        findings.add(
            format!("mapping.{name}.create_with.campaign.{column}"),
            "is the key; new keys come from Campaign's id function",
        );
    }
    match_on(name, file, findings);
}

fn policies(name: &Label, file: &MappingFile, findings: &mut Findings) {
    let key = |key: &str| format!("mapping.{name}.{key}");
    if file.conflict == ConflictWord::MostRestrictive {
        findings.add(
            key("conflict"),
            "is for consent; write it at the fields that are consent, and another one here",
        );
    }
    let words = [("conflict", file.conflict.tie()), ("pairing", file.pairing.tie())];
    for (word, tie) in words {
        if let Err(wrong) = fields::settled(tie, file.fallback) {
            findings.add(key(word), wrong);
        }
    }
}

fn match_on(name: &Label, file: &MappingFile, findings: &mut Findings) {
    let key = format!("mapping.{name}.match_on");
    let known: Vec<_> = file.fields.keys().map(Label::as_str).collect();
    let mut seen = BTreeSet::new();
    for wanted in &file.match_on {
        if !seen.insert(wanted) {
            findings.add(&key, format!("names `{wanted}` twice"));
        }
        match file.fields.get(wanted) {
            Some(field) if is_consent(field) => {
                findings.add(
                    &key,
                    format!("names `{wanted}`, which is consent and tells no one apart"),
                );
            }
            // One that is made without it is nobody's to the other mappings of its table.
            Some(field)
                if file.create.contains(&Side::Campaign)
                    && !field.direction.unwrap_or(file.direction).writes(Side::Campaign) =>
            {
                findings.add(
                    format!("mapping.{name}.create"),
                    format!(
                        "makes records in Campaign without `{wanted}`, by which they are to be found \
                         again (match_on): its direction does not write it; take \"campaign\" out, \
                         or let `{wanted}` go to Campaign"
                    ),
                );
            }
            Some(_) => {}
            None => findings.add(
                &key,
                match nearest(wanted.as_str(), &known) {
                    Some(near) => format!("`{wanted}` is not a field here; did you mean `{near}`?"),
                    None => format!(
                        "`{wanted}` is not a field of [mapping.{name}.fields]; there are {}",
                        known.join(", ")
                    ),
                },
            ),
        }
    }
}

fn is_consent(field: &FieldFile) -> bool {
    field.conflict == Some(ConflictWord::MostRestrictive)
}
