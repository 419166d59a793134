//! The words of a filter, an order or a key.

use jiff::civil::Date;

use super::super::guid::Guid;
use super::super::number::Number;
use super::super::refusal::Refusal;
use super::super::value::{Value, parse_date, parse_instant};

/// A word.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Token {
    /// A name or a keyword, with its dots.
    Name(String),
    Literal(Literal),
    /// `( ) , / : [ ] ; =`
    Sign(char),
}

/// A value as an address writes it; what it means is said by the column that it meets.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Literal {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    Id(Guid),
    Date(Date),
    Instant(i64),
}

impl Literal {
    /// As a value, before it is fitted to a column.
    pub(in super::super) fn value(&self) -> Value {
        match self {
            Literal::Null => Value::Null,
            Literal::Bool(flag) => Value::Bool(*flag),
            Literal::Number(number) => Value::Number(*number),
            Literal::Text(text) => Value::Text(text.as_str().into()),
            Literal::Id(id) => Value::Id(*id),
            Literal::Date(date) => Value::Date(*date),
            Literal::Instant(second) => Value::Instant(*second),
        }
    }
}

/// Cuts a text into words.
pub(in super::super) fn tokens(text: &str) -> Result<Vec<Token>, Refusal> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, behind) = match first {
            '\'' => quoted(rest, text)?,
            '(' | ')' | ',' | '/' | ':' | '[' | ']' | ';' | '=' => (Token::Sign(first), &rest[1..]),
            _ => word(rest, text)?,
        };
        tokens.push(token);
        rest = behind.trim_start();
    }
    Ok(tokens)
}

/// A text; its quotes are doubled.
fn quoted<'a>(rest: &'a str, whole: &str) -> Result<(Token, &'a str), Refusal> {
    let mut text = String::new();
    let mut letters = rest.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if letter != '\'' {
            text.push(letter);
        } else if letters.peek().is_some_and(|(_, next)| *next == '\'') {
            letters.next();
            text.push('\'');
        } else {
            return Ok((Token::Literal(Literal::Text(text)), &rest[at + 1..]));
        }
    }
    Err(unreadable(whole))
}

fn word<'a>(rest: &'a str, whole: &str) -> Result<(Token, &'a str), Refusal> {
    if let Some(id) = rest.get(..36).and_then(Guid::parse) {
        return Ok((Token::Literal(Literal::Id(id)), &rest[36..]));
    }
    let is_number = rest.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    let belongs =
        |c: char| c.is_alphanumeric() || "_.@$*".contains(c) || (is_number && "-+:".contains(c));
    let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
    let (word, behind) = rest.split_at(end);
    if word.is_empty() {
        return Err(unreadable(whole));
    }
    let token = match word {
        "null" => Token::Literal(Literal::Null),
        "true" => Token::Literal(Literal::Bool(true)),
        "false" => Token::Literal(Literal::Bool(false)),
        _ if is_number => Token::Literal(number(word).ok_or_else(|| unreadable(whole))?),
        _ => Token::Name(word.to_owned()),
    };
    Ok((token, behind))
}

fn number(word: &str) -> Option<Literal> {
    if let Some(number) = Number::parse(word) {
        return Some(Literal::Number(number));
    }
    let date = parse_date(word).map(Literal::Date);
    date.or_else(|| parse_instant(word).map(Literal::Instant))
}

pub(super) fn unreadable(text: &str) -> Refusal {
    Refusal::undefined(format!("Syntax error in '{text}'."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart() {
        let text =
            "name eq 'O''Brien' and (n gt -1.5 or c:c/id eq 5C2F0000-aaaa-4bbb-8ccc-0123456789ab)";
        let found = tokens(text).unwrap();
        assert_eq!(found[0], Token::Name("name".into()));
        assert_eq!(found[2], Token::Literal(Literal::Text("O'Brien".into())));
        assert_eq!(found[4], Token::Sign('('));
        assert!(matches!(found[7], Token::Literal(Literal::Number(_))));
        assert_eq!(found[10], Token::Sign(':'));
        assert!(matches!(found[15], Token::Literal(Literal::Id(_))));
        let dates = tokens("2026-01-05 2026-01-05T10:11:12Z").unwrap();
        assert!(matches!(dates[0], Token::Literal(Literal::Date(_))));
        assert!(matches!(dates[1], Token::Literal(Literal::Instant(_))));
        assert!(tokens("'open").is_err());
        assert!(tokens("a ~ b").is_err());
    }
}
