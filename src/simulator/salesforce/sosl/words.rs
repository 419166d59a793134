//! The words of a search: phrases, wildcards, AND, OR and AND NOT.

use super::super::refusal::Refusal;
use super::super::value::fold;
use super::malformed;

/// Shorter words find nothing.
const LENGTH_MIN: usize = 2;
/// Deepest nesting of parentheses; the reader is recursive.
const DEPTH_MAX: usize = 32;

/// What is looked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wanted {
    And(Vec<Wanted>),
    Or(Vec<Wanted>),
    Not(Box<Wanted>),
    /// Words that follow each other in one field; the wildcards `*` and `?` may stand in them.
    Phrase(Vec<Vec<char>>),
}

impl Wanted {
    /// Whether a record with these texts is found.
    pub(super) fn is_in(&self, texts: &[&str]) -> bool {
        match self {
            Wanted::And(all) => all.iter().all(|one| one.is_in(texts)),
            Wanted::Or(any) => any.iter().any(|one| one.is_in(texts)),
            Wanted::Not(one) => !one.is_in(texts),
            Wanted::Phrase(phrase) => texts.iter().any(|text| {
                let has: Vec<Vec<char>> = split(text);
                let fits = |window: &[Vec<char>]| {
                    window.iter().zip(phrase).all(|(word, pattern)| matches(word, pattern))
                };
                has.windows(phrase.len()).any(fits)
            }),
        }
    }
}

/// Reads what stands between the braces of FIND.
pub(super) fn read(text: &str) -> Result<Wanted, Refusal> {
    let mut reader = Reader { signs: signs(text), next: 0, depth: 0 };
    let wanted = reader.any()?;
    if reader.next < reader.signs.len() {
        return Err(malformed("the search has a parenthesis too many"));
    }
    Ok(wanted)
}

/// A sign of the search.
#[derive(Clone, Debug, PartialEq)]
enum Sign {
    Open,
    Close,
    /// A bare word, which may be an operator.
    Word(String),
    /// Between quotes.
    Quoted(String),
}

fn signs(text: &str) -> Vec<Sign> {
    let mut found = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    let mut chars = text.chars();
    let end = |word: &mut String, found: &mut Vec<Sign>| {
        if !word.is_empty() {
            found.push(Sign::Word(std::mem::take(word)));
        }
    };
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.extend(chars.next()),
            '"' if quoted => {
                found.push(Sign::Quoted(std::mem::take(&mut word)));
                quoted = false;
            }
            '"' => {
                end(&mut word, &mut found);
                quoted = true;
            }
            c if quoted => word.push(c),
            '(' | ')' => {
                end(&mut word, &mut found);
                found.push(if c == '(' { Sign::Open } else { Sign::Close });
            }
            c if c.is_whitespace() => end(&mut word, &mut found),
            c => word.push(c),
        }
    }
    end(&mut word, &mut found);
    found
}

struct Reader {
    signs: Vec<Sign>,
    next: usize,
    depth: usize,
}

impl Reader {
    fn any(&mut self) -> Result<Wanted, Refusal> {
        self.depth += 1;
        if DEPTH_MAX < self.depth {
            return Err(malformed("the search is nested too deeply"));
        }
        let mut any = vec![self.all()?];
        while self.take("OR") {
            any.push(self.all()?);
        }
        self.depth -= 1;
        Ok(if any.len() == 1 { any.remove(0) } else { Wanted::Or(any) })
    }

    /// Words that stand side by side are joined by AND.
    fn all(&mut self) -> Result<Wanted, Refusal> {
        let mut all = vec![self.one()?];
        loop {
            let joined = self.take("AND");
            if self.take("NOT") {
                all.push(Wanted::Not(Box::new(self.one()?)));
            } else if joined || !self.is_at_end() {
                all.push(self.one()?);
            } else {
                return Ok(if all.len() == 1 { all.remove(0) } else { Wanted::And(all) });
            }
        }
    }

    fn one(&mut self) -> Result<Wanted, Refusal> {
        let sign = self.signs.get(self.next).cloned();
        self.next += 1;
        match sign {
            Some(Sign::Open) => {
                let inner = self.any()?;
                if self.signs.get(self.next) != Some(&Sign::Close) {
                    return Err(malformed("a parenthesis of the search does not close"));
                }
                self.next += 1;
                Ok(inner)
            }
            Some(Sign::Word(text) | Sign::Quoted(text)) => {
                let phrase = pattern(&text);
                let length: usize = phrase.iter().map(Vec::len).sum();
                if length < LENGTH_MIN {
                    return Err(malformed("search term must be longer than one character"));
                }
                Ok(Wanted::Phrase(phrase))
            }
            Some(Sign::Close) | None => Err(malformed("the search ends too early")),
        }
    }

    fn is_at_end(&self) -> bool {
        match self.signs.get(self.next) {
            None | Some(Sign::Close) => true,
            Some(Sign::Word(word)) => word == "OR",
            Some(Sign::Open | Sign::Quoted(_)) => false,
        }
    }

    fn take(&mut self, operator: &str) -> bool {
        let is = matches!(self.signs.get(self.next), Some(Sign::Word(word)) if word == operator);
        self.next += usize::from(is);
        is
    }
}

/// The words of a text, as they are compared.
fn split(text: &str) -> Vec<Vec<char>> {
    words(text, char::is_alphanumeric)
}

fn pattern(text: &str) -> Vec<Vec<char>> {
    words(text, |c| c.is_alphanumeric() || matches!(c, '*' | '?'))
}

fn words(text: &str, belongs: impl Fn(char) -> bool) -> Vec<Vec<char>> {
    let folded = fold(text);
    let words = folded.split(|c| !belongs(c)).filter(|word| !word.is_empty());
    words.map(|word| word.chars().collect()).collect()
}

/// Whether a word fits a pattern, going back to the last `*` only.
fn matches(word: &[char], pattern: &[char]) -> bool {
    let (mut w, mut p) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while w < word.len() {
        match pattern.get(p) {
            Some('*') => {
                back = Some((p, w));
                p += 1;
            }
            Some(c) if *c == '?' || *c == word[w] => (w, p) = (w + 1, p + 1),
            Some(_) | None => {
                let Some((star, from)) = back else { return false };
                back = Some((star, from + 1));
                (w, p) = (from + 1, star + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(search: &str, texts: &[&str], expected: bool) {
        assert_eq!(read(search).unwrap().is_in(texts), expected, "{search} in {texts:?}");
    }

    #[test]
    fn words_are_whole_unless_a_wildcard_says_otherwise() {
        check("roe", &["Jo Roe"], true);
        check("ro", &["Jo Roe"], false);
        check("ro*", &["Jo Roe"], true);
        check("r?e", &["Jo Roe"], true);
        check("jo.roe@example.com", &["x", "jo.roe@example.com"], true);
        check("\"jo roe\"", &["Roe Jo"], false);
    }

    #[test]
    fn operators_bind_as_documented() {
        check("jo roe", &["Jo", "Roe"], true);
        check("jo AND doe", &["Jo", "Roe"], false);
        check("doe OR roe", &["Jo Roe"], true);
        check("roe AND NOT jo", &["Jo Roe"], false);
        check("(doe OR roe) AND jo", &["Jo Roe"], true);
        for search in ["", "a", "(roe", "roe)", "roe AND"] {
            assert_eq!(read(search).unwrap_err().code, "MALFORMED_SEARCH", "{search}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "[a-z()\"\\\\ *?ANDORT]{0,40}") {
            drop(read(&text));
        }
    }
}
