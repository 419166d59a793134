//! The lines of comment that discovery writes and reads again: `#-` names fields that are left out,
//! with the reason; `#?` is a field that somebody who looked twice might take; `#!` says that the CRM
//! does not have a field any more.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use toml_edit::DocumentMut;

use super::{TAKES, inline, line};
use crate::discover::propose::Note;

const OUT: &str = "#- ";
const PERHAPS: &str = "#? ";
const GONE: &str = "#! ";

/// Longer lines are read by nobody.
const LINE_CHARS_MAX: usize = 100;

/// The fields that lines leave out, in small letters.
pub(super) fn noted(lines: &str) -> BTreeSet<String> {
    let out = lines.lines().filter_map(|line| line.trim().strip_prefix(OUT));
    let names = out.flat_map(|out| out.split(':').next().unwrap_or_default().split(','));
    names.map(|name| name.trim().to_ascii_lowercase()).collect()
}

/// The fields that lines offer, in small letters.
pub(super) fn offered(lines: &str) -> BTreeSet<String> {
    let perhaps = lines.lines().filter_map(|line| line.trim().strip_prefix(PERHAPS));
    let mut offered = BTreeSet::new();
    for field in perhaps.filter_map(|line| line.parse::<DocumentMut>().ok()) {
        let fields = field.iter().map(|(_, item)| super::field(item));
        let names = fields.flat_map(|field| field.crm).map(|name| name.to_ascii_lowercase());
        offered.extend(names);
    }
    offered
}

/// Lines before a table, with these notes in the place of those of an earlier run.
pub(super) fn renewed(before: &str, notes: &[Note]) -> String {
    let is_note = |line: &&str| {
        let line = line.trim_start();
        line.starts_with(OUT) || line.starts_with(PERHAPS) || line.trim_end() == HEAD.trim_end()
    };
    let kept: String = before.split_inclusive('\n').filter(|line| !is_note(line)).collect();
    kept + &lines(notes)
}

/// Notes as lines, those of one reason together.
pub(super) fn lines(notes: &[Note]) -> String {
    let mut text = String::new();
    let mut reasons: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for note in notes.iter().filter(|note| note.perhaps.is_none()) {
        reasons.entry(line(&note.why)).or_default().push(&note.field);
    }
    if !notes.is_empty() {
        text.push_str(HEAD);
    }
    for (why, fields) in reasons {
        let mut names = OUT.to_owned();
        for (left, field) in (0..fields.len()).rev().zip(fields) {
            if LINE_CHARS_MAX < names.len() + field.len() + 1 {
                writeln!(text, "{}", names.trim_end()).expect(TAKES);
                OUT.clone_into(&mut names);
            }
            let end = if left == 0 { ": " } else { ", " };
            write!(names, "{field}{end}").expect(TAKES);
        }
        writeln!(text, "{names}{why}").expect(TAKES);
    }
    for note in notes {
        if let Some(mapped) = &note.perhaps {
            let (label, why) = (&mapped.label, line(&note.why));
            writeln!(text, "{PERHAPS}{label} = {} # {}: {why}", inline(mapped), mapped.confidence)
                .expect(TAKES);
        }
    }
    text
}

const HEAD: &str =
    "# Left out (#-), with the reason; take the `#? ` away from what should be mapped after all.\n";

/// Lines before a field, with a mark where the object does not have it any more, and without where it
/// has.
pub(super) fn marked(before: &str, gone_from: Option<&str>) -> String {
    let kept = before.split_inclusive('\n').filter(|line| !line.trim_start().starts_with(GONE));
    let kept: String = kept.collect();
    let Some(object) = gone_from else { return kept };
    // What stands right before the field is its indentation.
    let (lines, indent) =
        kept.rsplit_once('\n').map_or(("", &*kept), |(lines, indent)| (lines, indent));
    let lines = if kept.contains('\n') { format!("{lines}\n") } else { String::new() };
    format!(
        "{lines}{indent}{GONE}{object} does not have this field any more: remove the next line, or bring it \
         back\n{indent}"
    )
}
