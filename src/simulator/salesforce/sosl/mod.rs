//! SOSL: search by words, in several objects at once.
//!
//! `FIND {words} IN scope FIELDS RETURNING Object(fields WHERE … ORDER BY … LIMIT …) LIMIT …`. What
//! stands behind RETURNING is SOQL in other clothes, and is bound as such; the words are judged
//! here. Unlike Salesforce's, this index is never late.

mod words;

use std::sync::Arc;

use super::data::Data;
use super::model::{Field, Kind, Right};
use super::refusal::Refusal;
use super::soql::bind::{Bound, bind};
use super::soql::lex::{Placed, Token, tokens};
use super::soql::read::read;
use super::soql::run::{Scope as Rows, rows};
use super::table::Row;
use words::Wanted;

/// Records of one search (Salesforce: "SOQL and SOSL Limits").
const RECORDS_MAX: usize = 2_000;
/// Longest statement.
const STATEMENT_LENGTH_MAX: usize = 20_000;

/// In which fields the words are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    All,
    Name,
    Email,
    Phone,
}

impl Scope {
    /// By its word, in any case.
    pub(super) fn named(name: &str) -> Option<Scope> {
        match name.to_ascii_uppercase().as_str() {
            "ALL" | "SIDEBAR" => Some(Scope::All),
            "NAME" => Some(Scope::Name),
            "EMAIL" => Some(Scope::Email),
            "PHONE" => Some(Scope::Phone),
            _ => None,
        }
    }

    fn holds(self, field: &Field) -> bool {
        match self {
            Scope::All => field.kind.is_text(),
            Scope::Name => {
                field.is_name
                    || field.compound.as_deref() == Some("Name") && field.kind == Kind::Text
            }
            Scope::Email => field.kind == Kind::Email,
            Scope::Phone => field.kind == Kind::Phone,
        }
    }
}

/// What is wanted of one object: its name, its fields, and the rest of a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Returning {
    pub(super) object: String,
    pub(super) fields: Vec<String>,
    pub(super) rest: String,
    pub(super) limit: Option<usize>,
}

/// A search.
#[derive(Clone, Debug)]
pub(super) struct Search {
    pub(super) words: String,
    pub(super) scope: Scope,
    /// All objects if none are named.
    pub(super) returning: Vec<Returning>,
    pub(super) limit: Option<usize>,
}

/// The records of one object, with what is shown of them.
pub(super) struct Found {
    pub(super) bound: Bound,
    pub(super) rows: Vec<Arc<Row>>,
}

/// Runs a search.
pub(super) fn run(data: &Data, search: &Search) -> Result<Vec<Found>, Refusal> {
    let wanted = words::read(&search.words)?;
    let mut left = search.limit.unwrap_or(RECORDS_MAX).min(RECORDS_MAX);
    let mut all = Vec::new();
    for returning in returning(data, search) {
        let mut found = find(data, &returning, (&wanted, search.scope))?;
        found.rows.truncate(left);
        left -= found.rows.len();
        all.push(found);
    }
    Ok(all)
}

fn returning(data: &Data, search: &Search) -> Vec<Returning> {
    if !search.returning.is_empty() {
        return search.returning.clone();
    }
    let objects = data.model.objects().iter().filter(|object| object.allows(Right::Read));
    objects
        .map(|object| Returning { object: object.name.clone(), ..Returning::default() })
        .collect()
}

fn find(
    data: &Data,
    returning: &Returning,
    (wanted, scope): (&Wanted, Scope),
) -> Result<Found, Refusal> {
    let fields =
        if returning.fields.is_empty() { "Id".to_owned() } else { returning.fields.join(", ") };
    let text = format!("SELECT {fields} FROM {} {}", returning.object, returning.rest);
    let mut bound = bind(&text, &read(&text)?, &data.model)?;
    // The words choose among all rows of the condition; only then is cut off.
    let (limit, offset) = (bound.limit.take(), std::mem::take(&mut bound.offset));
    let spec = data.model.object(bound.object);
    let places: Vec<usize> =
        spec.fields().filter(|(_, field)| scope.holds(field)).map(|(at, _)| at).collect();
    let has = |row: &Arc<Row>| {
        let texts = places.iter().filter_map(|at| row.value(*at).as_text());
        wanted.is_in(&texts.collect::<Vec<_>>())
    };
    let found = rows(data, &bound, Rows::Live).into_iter().filter(has).skip(offset);
    let limit = limit.or(returning.limit).unwrap_or(RECORDS_MAX);
    Ok(Found { rows: found.take(limit).collect(), bound })
}

/// Reads a statement.
pub(super) fn statement(text: &str) -> Result<Search, Refusal> {
    if STATEMENT_LENGTH_MAX < text.len() {
        return Err(malformed("SOSL statements cannot be longer than 20000 characters"));
    }
    let rest = text.trim().strip_prefix_word("FIND").ok_or_else(|| unexpected(text))?;
    let inside = rest.trim_start().strip_prefix('{').ok_or_else(|| unexpected(rest))?;
    let end = closing(inside).ok_or_else(|| malformed("the braces behind FIND do not close"))?;
    let words = inside[..end].to_owned();
    let mut rest = inside[end + 1..].trim();
    let mut scope = Scope::All;
    if let Some(behind) = rest.strip_prefix_word("IN") {
        let (name, behind) =
            behind.trim_start().split_once(char::is_whitespace).unwrap_or((behind, ""));
        scope = Scope::named(name).ok_or_else(|| unexpected(name))?;
        rest = behind.trim_start().strip_prefix_word("FIELDS").ok_or_else(|| unexpected(behind))?;
    }
    let (returning, limit) = clauses(rest)?;
    Ok(Search { words, scope, returning, limit })
}

/// `RETURNING …` and `LIMIT n`.
fn clauses(text: &str) -> Result<(Vec<Returning>, Option<usize>), Refusal> {
    let tokens = tokens(text).map_err(|refusal| malformed(&refusal.message))?;
    let mut reader = Reader { text, tokens, next: 0 };
    let mut objects = Vec::new();
    if reader.take_word("RETURNING") {
        objects.push(reader.object()?);
        while reader.take(&Token::Sign(",")) {
            objects.push(reader.object()?);
        }
    }
    let mut limit = None;
    if reader.take_word("LIMIT") {
        let Token::Number(number) = reader.token().clone() else { return Err(reader.unexpected()) };
        limit = Some(number.parse().map_err(|_| reader.unexpected())?);
        reader.next += 1;
    }
    if reader.token() == &Token::End { Ok((objects, limit)) } else { Err(reader.unexpected()) }
}

struct Reader<'a> {
    text: &'a str,
    tokens: Vec<Placed>,
    next: usize,
}

impl Reader<'_> {
    /// `Contact` or `Contact(Id, Name WHERE … )`.
    fn object(&mut self) -> Result<Returning, Refusal> {
        let Token::Word(name) = self.token().clone() else { return Err(self.unexpected()) };
        self.next += 1;
        let mut one = Returning { object: name, ..Returning::default() };
        if !self.take(&Token::Sign("(")) {
            return Ok(one);
        }
        let start = self.next;
        let end = self.closing()?;
        let clause = ["WHERE", "USING", "ORDER", "LIMIT", "OFFSET"];
        let is_clause = |at: &usize| clause.iter().any(|word| self.is_word(*at, word));
        let split = (start..end).find(is_clause).unwrap_or(end);
        let part = |from: usize, to: usize| {
            self.text[self.tokens[from].at..self.tokens[to].at].trim().to_owned()
        };
        let fields = part(start, split);
        let fields = fields.split(',').map(str::trim).filter(|name| !name.is_empty());
        one.fields = fields.map(str::to_owned).collect();
        one.rest = part(split, end);
        self.next = end + 1;
        Ok(one)
    }

    /// Where the parenthesis closes that was opened last.
    fn closing(&self) -> Result<usize, Refusal> {
        let mut depth = 1_usize;
        for (at, placed) in self.tokens.iter().enumerate().skip(self.next) {
            depth = match placed.token {
                Token::Sign("(") => depth + 1,
                Token::Sign(")") => depth - 1,
                Token::Word(_)
                | Token::Text(_)
                | Token::Number(_)
                | Token::Date(_)
                | Token::DateTime(_)
                | Token::Sign(_)
                | Token::End => depth,
            };
            if depth == 0 {
                return Ok(at);
            }
        }
        Err(malformed("a parenthesis does not close"))
    }

    fn token(&self) -> &Token {
        &self.tokens[self.next].token
    }

    fn is_word(&self, at: usize, word: &str) -> bool {
        matches!(&self.tokens[at].token, Token::Word(text) if text.eq_ignore_ascii_case(word))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let is = self.is_word(self.next, word);
        self.next += usize::from(is);
        is
    }

    fn take(&mut self, token: &Token) -> bool {
        let is = self.token() == token;
        self.next += usize::from(is);
        is
    }

    fn unexpected(&self) -> Refusal {
        unexpected(&self.text[self.tokens[self.next].at..])
    }
}

/// Where the brace closes that was opened before the text; escaped ones do not count.
fn closing(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let closes = c == '}' && !escaped;
        escaped = c == '\\' && !escaped;
        closes.then_some(at)
    })
}

trait PrefixWord {
    fn strip_prefix_word(&self, word: &str) -> Option<&str>;
}

impl PrefixWord for str {
    /// What follows a word that stands by itself, in any case.
    fn strip_prefix_word(&self, word: &str) -> Option<&str> {
        let (first, rest) = self.split_at_checked(word.len())?;
        let ends = rest.chars().next().is_none_or(|c| !c.is_alphanumeric());
        (first.eq_ignore_ascii_case(word) && ends).then_some(rest)
    }
}

fn unexpected(text: &str) -> Refusal {
    let start: String = text.trim().chars().take(40).collect();
    malformed(&format!("unexpected token: '{start}'"))
}

pub(super) fn malformed(message: &str) -> Refusal {
    Refusal::new("MALFORMED_SEARCH", message)
}
