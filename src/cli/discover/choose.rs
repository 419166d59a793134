//! Choosing on a terminal: a list that is searched by typing, with marks.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Result;
use inquire::{InquireError, MultiSelect};

use super::Unusable;
use super::listing::Entry;
use crate::config::{Config, Label};

/// So many lines are shown at once.
const LINES: usize = 15;

/// What a person marks. Objects that the config maps are marked from the start.
pub(super) async fn choose(
    listed: &[Entry],
    config: &Config,
    account: &Label,
) -> Result<Vec<Arc<str>>> {
    let mapped: BTreeSet<String> = (config.mappings.values())
        .filter(|mapping| mapping.crm == *account)
        .map(|mapping| mapping.object.as_str().to_ascii_lowercase())
        .collect();
    let is_mapped = |one: &Entry| mapped.contains(&one.object.name.to_ascii_lowercase());
    let marked: Vec<usize> =
        listed.iter().enumerate().filter(|(_, one)| is_mapped(one)).map(|(at, _)| at).collect();
    let entries = listed.to_vec();
    // It waits for a person, and must not keep anything else waiting.
    let asked = tokio::task::spawn_blocking(move || {
        MultiSelect::new("Which objects?", entries)
            .with_default(&marked)
            .with_page_size(LINES)
            .with_help_message("type to search, space marks, right marks all, enter takes them")
            .prompt()
    });
    match asked.await? {
        Ok(chosen) if !chosen.is_empty() => {
            Ok(chosen.into_iter().map(|one| one.object.name).collect())
        }
        Ok(_) | Err(InquireError::OperationCanceled | InquireError::OperationInterrupted) => {
            Err(Unusable::new("nothing was chosen; nothing was written").into())
        }
        Err(error) => Err(error.into()),
    }
}
