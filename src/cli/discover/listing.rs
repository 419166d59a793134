//! The objects of an account: label, name, about how many records.

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{Account, Unusable};
use crate::config::Label;
use crate::crm::Listed;

/// An object, and how many records it has, where that is counted.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) object: Listed,
    pub(super) count: Option<u64>,
}

/// By label, for people.
pub(super) async fn ask(name: &Label, account: &Account) -> Result<Vec<Entry>> {
    let place = || format!("crm.{name}");
    let objects = account.objects().await.with_context(place)?;
    let names: Vec<Arc<str>> = objects.iter().map(|one| Arc::clone(&one.name)).collect();
    let counts = account.counts(&names).await.with_context(place)?;
    let entry = |object: Listed| Entry { count: counts.get(&object.name).copied(), object };
    let mut entries: Vec<Entry> = objects.into_iter().map(entry).collect();
    entries
        .sort_by(|a, b| (&a.object.label, &a.object.name).cmp(&(&b.object.label, &b.object.name)));
    Ok(entries)
}

/// Those that were named.
pub(super) fn named(listed: &[Entry], wanted: &[String]) -> Result<Vec<Arc<str>>> {
    let mut chosen = Vec::new();
    for wanted in wanted {
        let mut known = listed.iter().map(|one| &one.object.name);
        let found = known.find(|name| name.eq_ignore_ascii_case(wanted));
        let found = found.ok_or_else(|| {
            Unusable::new(format!(
                "--object: there is no `{wanted}` that this account may see; without --object the \
                 objects are listed"
            ))
        })?;
        if !chosen.contains(found) {
            chosen.push(Arc::clone(found));
        }
    }
    Ok(chosen)
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label: String = self.object.label.chars().filter(|one| !one.is_control()).collect();
        write!(f, "{label} ({})", self.object.name)?;
        match self.count {
            Some(1) => f.write_str(", 1 record"),
            Some(count) => write!(f, ", {count} records"),
            None => Ok(()),
        }
    }
}

pub(super) fn print(listed: &[Entry], as_json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if as_json {
        let one = |one: &Entry| json!({ "name": &*one.object.name, "label": one.object.label, "records": one.count });
        let objects: Vec<_> = listed.iter().map(one).collect();
        writeln!(out, "{}", json!({ "objects": objects }))?;
        return Ok(());
    }
    for one in listed {
        writeln!(out, "{one}")?;
    }
    writeln!(out, "{} objects; --object NAME maps one, --all maps every one", listed.len())?;
    Ok(())
}
