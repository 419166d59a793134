//! Records as an address names them: `contacts(guid)`, `contacts(accountnumber='C-100')`.

use super::data::{Data, joined};
use super::guid::Guid;
use super::model::ID;
use super::odata::bind::{Path, fit};
use super::odata::lex::{Literal, Token, tokens};
use super::refusal::Refusal;
use super::value::Value;

/// Letters that no value of a key in an address may have.
const NOT_IN_KEYS: [char; 10] = ['/', '<', '>', '*', '%', '&', ':', '\\', '?', '+'];

/// Which record is meant.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Named {
    Id(Guid),
    /// By an alternate key: its place, and the value of each column.
    Key(usize, Vec<(usize, Value)>),
}

/// A segment of a path: its name, and what stands in parentheses.
pub(super) fn segment(text: &str) -> (&str, Option<&str>) {
    match text.split_once('(') {
        Some((name, rest)) => (name, Some(rest.strip_suffix(')').unwrap_or(rest))),
        None => (text, None),
    }
}

/// Cuts a path at the slashes that are in no quotes and no parentheses.
pub(super) fn segments(path: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut depth) = (Vec::new(), 0, false, 0_usize);
    for (at, letter) in path.char_indices() {
        match letter {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            '/' if !quoted && depth == 0 => {
                parts.push(&path[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&path[start..]);
    parts.retain(|part| !part.is_empty());
    parts
}

/// Reads what stands in the parentheses behind a table's name.
pub(super) fn key(data: &Data, table: usize, text: &str) -> Result<Named, Refusal> {
    if let Some(id) = Guid::parse(text.trim()) {
        return Ok(Named::Id(id));
    }
    let spec = data.model.table(table);
    let pairs = pairs(text)?;
    let names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    if let [(name, Literal::Id(id))] = pairs.as_slice()
        && *name == spec.column(ID).name
    {
        return Ok(Named::Id(*id));
    }
    let found = spec.key_over(&names).filter(|key| key.is_active());
    let Some(found) = found else {
        let message = format!(
            "The key in the request URI is not valid for resource 'Microsoft.Dynamics.CRM.{0}'. \
             Ensure that the names and number of key properties match the declared or alternate \
             key properties for the resource 'Microsoft.Dynamics.CRM.{0}'.",
            spec.name
        );
        return Err(Refusal::undefined(message));
    };
    let at = spec.keys.iter().position(|key| key.name == found.name).unwrap_or(0);
    let mut values = Vec::new();
    for (name, literal) in &pairs {
        let column = spec.property(name).or_else(|| spec.find(name)).unwrap_or(ID);
        if let Literal::Text(text) = literal
            && text.contains(NOT_IN_KEYS)
        {
            let message =
                format!("The value of '{name}' has letters that no key in an address may have.");
            return Err(Refusal::undefined(message));
        }
        let value = fit(&data.model, &Path { steps: Vec::new(), column, table }, literal)?;
        values.push((column, value));
    }
    Ok(Named::Key(at, values))
}

fn pairs(text: &str) -> Result<Vec<(String, Literal)>, Refusal> {
    let wrong = || Refusal::undefined(format!("Bad Request - Error in query syntax: '{text}'."));
    let tokens = tokens(text)?;
    let mut pairs = Vec::new();
    for pair in tokens.split(|token| *token == Token::Sign(',')) {
        let [Token::Name(name), Token::Sign('='), Token::Literal(value)] = pair else {
            return Err(wrong());
        };
        pairs.push((name.clone(), value.clone()));
    }
    Ok(pairs)
}

impl Named {
    /// The record that it is; nothing if there is none.
    pub(super) fn find(&self, data: &Data, table: usize) -> Option<Guid> {
        match self {
            Named::Id(id) => data.row(table, *id).map(|row| row.id()),
            Named::Key(at, values) => {
                let key = &data.model.table(table).keys[*at];
                let part = |column: &usize| {
                    let found = values.iter().find(|(of, _)| of == column)?;
                    // An index knows whole numbers and money by one form.
                    match found.1.as_number() {
                        Some(number) => Some(number.to_string()),
                        None => found.1.key(),
                    }
                };
                let parts: Option<Vec<String>> = key.columns.iter().map(part).collect();
                data.records(table).with_key(*at, &joined(&parts?))
            }
        }
    }

    /// The record, or that it is not there.
    pub(super) fn found(&self, data: &Data, table: usize) -> Result<Guid, Refusal> {
        self.find(data, table).ok_or_else(|| {
            let name = &data.model.table(table).name;
            match self {
                Named::Id(id) => Refusal::missing(name, id),
                Named::Key(..) => {
                    let message = format!(
                        "A record with the specified key values does not exist in {name} entity"
                    );
                    Refusal::new(404, "0x80060891", message)
                }
            }
        })
    }
}

/// Follows a reference as a body writes it: relative or absolute, by id or by key.
pub(super) fn follow(data: &Data, reference: &str) -> Result<(usize, Guid), Refusal> {
    let (table, named) = read(data, reference)?;
    Ok((table, named.found(data, table)?))
}

/// The key of a record of one table, as its address writes it.
pub(super) fn follow_key(data: &Data, table: usize, address: &str) -> Result<Named, Refusal> {
    let (of, named) = read(data, address)?;
    if of == table {
        return Ok(named);
    }
    Err(Refusal::payload(format!("'{address}' is not of the table of this request")))
}

fn read(data: &Data, reference: &str) -> Result<(usize, Named), Refusal> {
    let path = match reference.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => reference.trim_start_matches('/'),
    };
    let behind_version = path.strip_prefix("api/data/").and_then(|path| path.split_once('/'));
    let relative = behind_version.map_or(path, |(_, path)| path);
    let decoded = super::super::wire::decode_path(relative);
    let (set, inside) = segment(&decoded);
    let table = data.model.by_set(set).ok_or_else(|| Refusal::segment(set))?;
    let inside =
        inside.ok_or_else(|| Refusal::payload(format!("'{reference}' names no record")))?;
    Ok((table, key(data, table, inside)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_cut_outside_of_keys_only() {
        let path = "/contacts(name='a/b')/parentcustomerid_account/$ref";
        let parts = segments(path);
        assert_eq!(parts, ["contacts(name='a/b')", "parentcustomerid_account", "$ref"]);
        assert_eq!(segment(parts[0]), ("contacts", Some("name='a/b'")));
        assert_eq!(segment("contacts"), ("contacts", None));
    }
}
