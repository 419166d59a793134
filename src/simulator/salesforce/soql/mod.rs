//! SOQL: the query language of Salesforce, as far as clients that synchronise use it.
//!
//! Text becomes tokens (`lex`), tokens a tree (`read`), the tree is bound to the model (`bind`),
//! and a bound query asks the indexes for candidates (`plan`) and judges each (`run`).

pub(super) mod bind;
pub(super) mod lex;
pub(super) mod plan;
pub(super) mod read;
pub(super) mod run;
pub(super) mod shape;

use super::refusal::Refusal;

/// An error in a query, pointing at the place as Salesforce does.
pub(super) fn pointing(query: &str, at: usize, code: &str, message: &str) -> Refusal {
    let at = (0..=at.min(query.len())).rev().find(|at| query.is_char_boundary(*at)).unwrap_or(0);
    let (before, after) = query.split_at(at);
    let row = before.matches('\n').count() + 1;
    let line_start = before.rfind('\n').map_or(0, |place| place + 1);
    let column = before[line_start..].chars().count();
    let line_end = after.find('\n').unwrap_or(after.len());
    let line: String = format!("{}{}", &before[line_start..], &after[..line_end]);
    // Salesforce shows a window of the query around the place.
    let skip = column.saturating_sub(40);
    let window: String = line.chars().skip(skip).take(80).collect();
    let text = format!(
        "\n{window}\n{}^\nERROR at Row:{row}:Column:{}\n{message}",
        " ".repeat(column - skip),
        column + 1
    );
    Refusal::new(code, text)
}
