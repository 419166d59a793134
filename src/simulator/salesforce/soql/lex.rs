//! Words, literals and signs of a query, each with its place.

use super::super::refusal::Refusal;
use super::pointing;

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Token {
    /// A keyword or a path such as `Account.Name`.
    Word(String),
    /// The inside of a quoted string, escapes and all.
    Text(String),
    Number(String),
    Date(String),
    DateTime(String),
    /// `= != < <= > >= ( ) , :`
    Sign(&'static str),
    End,
}

/// A token and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Placed {
    pub(in super::super) token: Token,
    pub(in super::super) at: usize,
}

/// Longer signs first.
const SIGNS: [(&str, &str); 11] = [
    ("!=", "!="),
    ("<>", "!="),
    ("<=", "<="),
    (">=", ">="),
    ("<", "<"),
    (">", ">"),
    ("=", "="),
    ("(", "("),
    (")", ")"),
    (",", ","),
    (":", ":"),
];

/// Cuts a query into tokens; the last is `End`.
pub(in super::super) fn tokens(query: &str) -> Result<Vec<Placed>, Refusal> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = query[at..].chars().next() {
        if next.is_whitespace() {
            at += next.len_utf8();
            continue;
        }
        let (token, length) = token(query, at)?;
        found.push(Placed { token, at });
        at += length;
    }
    found.push(Placed { token: Token::End, at });
    Ok(found)
}

fn token(query: &str, at: usize) -> Result<(Token, usize), Refusal> {
    let rest = &query[at..];
    let malformed = |message: &str| pointing(query, at, "MALFORMED_QUERY", message);
    if let Some((sign, token)) = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign)) {
        return Ok((Token::Sign(token), sign.len()));
    }
    if let Some(inside) = rest.strip_prefix('\'') {
        let end = quote_end(inside).ok_or_else(|| {
            malformed("unexpected end of string literal, expecting a closing quote")
        })?;
        return Ok((Token::Text(inside[..end].to_owned()), end + 2));
    }
    let first = rest.chars().next().unwrap_or(' ');
    if first.is_ascii_alphabetic() || first == '_' {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
        return Ok((Token::Word(rest[..end].to_owned()), end));
    }
    if first.is_ascii_digit() || matches!(first, '-' | '+' | '.') {
        let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.' | ':');
        let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
        let text = rest[..end].to_owned();
        return number_or_date(text)
            .map(|token| (token, end))
            .ok_or_else(|| malformed(&format!("unexpected token: '{}'", &rest[..end])));
    }
    Err(malformed(&format!("unexpected token: '{first}'")))
}

fn quote_end(inside: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' => return Some(at),
            _ => {}
        }
    }
    None
}

fn number_or_date(text: String) -> Option<Token> {
    use super::super::parse::{date, date_time};
    if date(&text).is_some() {
        return Some(Token::Date(text));
    }
    if date_time(&text).is_some() {
        return Some(Token::DateTime(text));
    }
    let plain = text.strip_prefix('+').unwrap_or(&text);
    let numeric = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
    (plain.chars().all(numeric) && plain.parse::<f64>().is_ok_and(f64::is_finite))
        .then(|| Token::Number(plain.to_owned()))
}

/// A piece of the text of a literal: what LIKE sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Piece {
    Char(char),
    /// `_`: any one character.
    One,
    /// `%`: any characters.
    Any,
}

/// The text that an ordinary literal stands for; none if an escape is unknown.
pub(in super::super) fn unescape(raw: &str) -> Option<String> {
    pieces(raw, false)?
        .into_iter()
        .map(|piece| if let Piece::Char(c) = piece { Some(c) } else { None })
        .collect()
}

/// The pattern that a literal of LIKE stands for; none if an escape is unknown.
pub(in super::super) fn pattern(raw: &str) -> Option<Vec<Piece>> {
    pieces(raw, true)
}

fn pieces(raw: &str, like: bool) -> Option<Vec<Piece>> {
    let mut found = Vec::new();
    let mut rest = raw.chars();
    while let Some(c) = rest.next() {
        found.push(match c {
            '%' if like => Piece::Any,
            '_' if like => Piece::One,
            '\\' => Piece::Char(match rest.next()? {
                c @ ('\\' | '\'' | '"') => c,
                'n' | 'N' => '\n',
                'r' | 'R' => '\r',
                't' | 'T' => '\t',
                'b' | 'B' => '\u{8}',
                'f' | 'F' => '\u{c}',
                c @ ('_' | '%') if like => c,
                'u' => {
                    let hex: String = rest.by_ref().take(4).collect();
                    let code = u32::from_str_radix(&hex, 16).ok().filter(|_| hex.len() == 4)?;
                    char::from_u32(code)?
                }
                _ => return None,
            }),
            c => Piece::Char(c),
        });
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_the_manual() {
        assert_eq!(unescape(r"O\'Brien \\ \u00e9\n").as_deref(), Some("O'Brien \\ é\n"));
        assert_eq!(unescape(r"100\%"), None);
        assert_eq!(unescape(r"\x"), None);
        assert_eq!(unescape(r"\u12"), None);
        assert_eq!(pattern(r"a\%_%").unwrap().len(), 4);
        assert_eq!(pattern(r"a\%_%").unwrap()[1], Piece::Char('%'));
    }

    #[test]
    fn literals_are_told_apart() {
        let kinds: Vec<Token> = tokens("2026-10-31 2026-10-31T12:00:00Z -1.5 'x' a.b <>")
            .unwrap()
            .into_iter()
            .map(|placed| placed.token)
            .collect();
        assert_eq!(kinds[0], Token::Date("2026-10-31".to_owned()));
        assert!(matches!(kinds[1], Token::DateTime(_)));
        assert_eq!(kinds[2], Token::Number("-1.5".to_owned()));
        assert_eq!(kinds[3], Token::Text("x".to_owned()));
        assert_eq!(kinds[4], Token::Word("a.b".to_owned()));
        assert_eq!(kinds[5], Token::Sign("!="));
    }
}
