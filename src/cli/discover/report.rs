//! What was discovered, for who gave the command.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use serde_json::{Value as Json, json};

use crate::discover::propose::{Confidence, Draft};

/// All of it.
pub(super) struct Report<'a> {
    pub(super) drafts: &'a [Draft],
    pub(super) refused: &'a [(Arc<str>, String)],
    pub(super) files: &'a [PathBuf],
}

pub(super) fn print(report: &Report<'_>, as_json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if as_json {
        writeln!(out, "{}", whole(report))?;
        return Ok(());
    }
    for draft in report.drafts {
        let (object, (table, _)) = (&draft.object, &draft.table);
        let how = if draft.is_new { "new" } else { "as it was" };
        writeln!(out, "{object} and {table} ({}): mapping.{}, {how}", draft.why, draft.label)?;
        let of = |how| draft.fields.iter().filter(|field| field.confidence == how).count();
        let (certain, likely) = (of(Confidence::Certain), of(Confidence::Likely));
        let (left, gone) = (draft.notes.len(), draft.gone.len());
        write!(out, "  fields added: {certain} certain, {likely} likely; {left} left out")?;
        writeln!(out, "{}", if gone == 0 { String::new() } else { format!(", {gone} gone") })?;
        for remark in draft.settings.remarks.iter().filter(|_| draft.is_new) {
            writeln!(out, "  note: {remark}")?;
        }
    }
    for (object, why) in report.refused {
        writeln!(out, "{object} is not mapped: {why}")?;
    }
    for file in report.files {
        writeln!(out, "written: {}", file.display())?;
    }
    if report.files.is_empty() {
        writeln!(out, "nothing is new")?;
    } else {
        writeln!(out, "{NEXT}")?;
    }
    Ok(())
}

const NEXT: &str = "\
Look through the config file. Let the owner of Campaign's database run campaign.sql, or Campaign's own
structure update make the same of the schemas; then `truce check`, `truce setup`, `truce plan`, `truce run`.";

fn whole(report: &Report<'_>) -> Json {
    let field = |field: &crate::discover::propose::Mapped| {
        json!({
            "name": field.label,
            "campaign": field.campaign,
            "crm": field.crm,
            "confidence": field.confidence.to_string(),
            "why": field.why,
        })
    };
    let draft = |draft: &Draft| {
        json!({
            "object": &*draft.object,
            "mapping": draft.label,
            "new": draft.is_new,
            "table": draft.table.0,
            "why": draft.why,
            "fields": draft.fields.iter().map(field).collect::<Vec<_>>(),
            "left_out": draft.notes.iter()
                .map(|note| json!({ "crm": note.field, "why": note.why }))
                .collect::<Vec<_>>(),
            "gone": draft.gone,
        })
    };
    let refused = |(object, why): &(Arc<str>, String)| json!({ "object": &**object, "why": why });
    json!({
        "mappings": report.drafts.iter().map(draft).collect::<Vec<_>>(),
        "refused": report.refused.iter().map(refused).collect::<Vec<_>>(),
        "files": report.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>(),
    })
}
