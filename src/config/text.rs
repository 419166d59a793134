//! From the text of a config file to values, with the line of each key kept for messages.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Fault;
use super::words;

/// What the environment variable of a name is set to.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Something wrong at a key, before its line was looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) key: String,
    pub(super) wrong: String,
}

/// The text of a file, and where in it each key stands.
pub(super) struct Text<'a> {
    text: &'a str,
    places: BTreeMap<String, Place>,
}

struct Place {
    key: Range<usize>,
    value: Range<usize>,
    table: bool,
}

// Longer values do not help the reader of a message.
const SHOWN_CHARS_MAX: usize = 80;

impl<'a> Text<'a> {
    /// Parses the text, puts environment variables into its strings, and fills a `T`.
    pub(super) fn decode<T: DeserializeOwned>(
        text: &'a str,
        environment: Environment<'_>,
    ) -> Result<(T, Self), Vec<Fault>> {
        let mut decoded = Self { text, places: BTreeMap::new() };
        let mut root = DeTable::parse(text).map_err(|error| vec![decoded.refused(&error)])?;
        decoded.note(root.get_ref(), "");
        let mut findings = Vec::new();
        for (key, value) in root.get_mut().iter_mut() {
            fill(value.get_mut(), key.get_ref(), environment, &mut findings);
        }
        if !findings.is_empty() {
            return Err(decoded.faults(findings));
        }
        match T::deserialize(toml::Deserializer::from(root)) {
            Ok(value) => Ok((value, decoded)),
            Err(error) => Err(vec![decoded.refused(&error)]),
        }
    }

    /// Looks up the line and value of each finding, and sorts them by line.
    pub(super) fn faults(&self, findings: Vec<Finding>) -> Vec<Fault> {
        let mut faults: Vec<_> = findings.into_iter().map(|found| self.fault(found)).collect();
        faults.sort_by_key(|fault| fault.line);
        faults
    }

    fn fault(&self, Finding { key, wrong }: Finding) -> Fault {
        let mut nearest = key.as_str();
        let line = loop {
            if let Some(place) = self.places.get(nearest) {
                break self.line(place.key.start);
            }
            match nearest.rsplit_once('.') {
                Some((table, _)) => nearest = table,
                None => break 1,
            }
        };
        let value = self.places.get(&key).and_then(|place| self.shown(place));
        Fault { line, key, value, wrong }
    }

    /// What the parser or serde refused.
    fn refused(&self, error: &toml::de::Error) -> Fault {
        let span = error.span().unwrap_or_default();
        // Nothing is pointed at where the file as a whole lacks something.
        let (key, place) = self.innermost(&span).filter(|_| !span.is_empty()).unzip();
        let key = key.cloned().unwrap_or_default();
        let wrong = words::plain(error.message());
        // The value of a key that nobody knows may be a secret.
        let known = place.filter(|place| encloses(&place.value, &span));
        let value = known.and_then(|place| self.shown(place));
        Fault { line: self.line(span.start), key, value, wrong }
    }

    /// The narrowest key or value around a part of the text.
    fn innermost(&self, part: &Range<usize>) -> Option<(&String, &Place)> {
        let width = |place: &Place| {
            let around = [&place.key, &place.value].into_iter();
            around.filter(|range| encloses(range, part)).map(Range::len).min()
        };
        self.places
            .iter()
            .filter_map(|(key, place)| Some((width(place)?, key, place)))
            .min_by_key(|(width, key, _)| (*width, usize::MAX - key.len()))
            .map(|(_, key, place)| (key, place))
    }

    fn note(&mut self, table: &DeTable<'_>, parent: &str) {
        for (key, value) in table {
            let path = joined(parent, key.get_ref());
            let inner = value.get_ref().as_table();
            let place = Place { key: key.span(), value: value.span(), table: inner.is_some() };
            if let Some(inner) = inner {
                self.note(inner, &path);
            }
            self.places.insert(path, place);
        }
    }

    fn line(&self, position: usize) -> usize {
        let before = self.text.as_bytes().iter().take(position);
        1 + before.filter(|byte| **byte == b'\n').count()
    }

    /// The value as it is written: variables are not replaced, so they are not printed.
    fn shown(&self, place: &Place) -> Option<String> {
        if place.table {
            return None;
        }
        let raw = self.text.get(place.value.clone())?;
        let one_line = raw.lines().next() == Some(raw) && raw.chars().count() <= SHOWN_CHARS_MAX;
        one_line.then(|| words::without_password(raw))
    }
}

fn encloses(range: &Range<usize>, part: &Range<usize>) -> bool {
    range.start <= part.start && part.end <= range.end
}

fn joined(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}

fn fill(
    value: &mut DeValue<'_>,
    path: &str,
    environment: Environment<'_>,
    findings: &mut Vec<Finding>,
) {
    match value {
        DeValue::String(text) => match filled(text, environment) {
            Ok(Some(replaced)) => *text = replaced.into(),
            Ok(None) => {}
            Err(wrong) => findings.push(Finding { key: path.to_owned(), wrong }),
        },
        DeValue::Array(items) => {
            for item in items.iter_mut() {
                fill(Spanned::get_mut(item), path, environment, findings);
            }
        }
        DeValue::Table(table) => {
            for (key, inner) in table.iter_mut() {
                fill(inner.get_mut(), &joined(path, key.get_ref()), environment, findings);
            }
        }
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
    }
}

/// Replaces each `${NAME}`; `$${` stands for `${` itself.
fn filled(text: &str, environment: Environment<'_>) -> Result<Option<String>, String> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(literal) = before.strip_suffix('$') {
            done.push_str(literal);
            done.push_str("${");
            rest = after;
            continue;
        }
        let (name, following) = after
            .split_once('}')
            .ok_or("a `${` is not closed by `}`; write `$${` for the text itself")?;
        let set = environment(name).ok_or_else(|| {
            format!("environment variable {name} is not set; set it, or write `$${{` for the text itself")
        })?;
        done.push_str(before);
        done.push_str(&set);
        rest = following;
    }
    done.push_str(rest);
    Ok(Some(done))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_env(text: &str) -> Result<Option<String>, String> {
        filled(text, &|name| (name == "HOST").then(|| "crm.example.com".to_owned()))
    }

    #[test]
    fn variables_are_replaced_and_can_be_escaped() {
        assert_eq!(with_env("plain $HOST").unwrap(), None);
        assert_eq!(with_env("https://${HOST}/x").unwrap().unwrap(), "https://crm.example.com/x");
        assert_eq!(with_env("$${HOST} ${HOST}").unwrap().unwrap(), "${HOST} crm.example.com");
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        assert!(with_env("${PORT}").unwrap_err().contains("PORT is not set"));
        assert!(with_env("${HOST").unwrap_err().contains("not closed"));
    }
}
