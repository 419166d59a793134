//! What a filter says, before it is known of which table.

use super::super::refusal::Refusal;
use super::lex::{Literal, Token, tokens, unreadable};

/// How deep a filter may be nested.
const DEPTH_MAX: usize = 100;

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Comparison {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

impl Comparison {
    fn parse(word: &str) -> Option<Comparison> {
        Some(match word {
            "eq" => Comparison::Eq,
            "ne" => Comparison::Ne,
            "gt" => Comparison::Gt,
            "ge" => Comparison::Ge,
            "lt" => Comparison::Lt,
            "le" => Comparison::Le,
            _ => return None,
        })
    }
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Operand {
    /// `lastname`, or `parentcustomerid_account/name`.
    Path(Vec<String>),
    Literal(Literal),
}

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Not(Box<Filter>),
    Compare(Operand, Comparison, Operand),
    /// `contains`, `startswith`, `endswith`.
    Text(String, Operand, Operand),
    /// A query function of the service: its name, column, values.
    Query(String, String, Vec<Literal>),
    /// Whether any or all records of a collection meet a condition.
    Lambda {
        collection: Vec<String>,
        all: bool,
        filter: Option<Box<Filter>>,
    },
}

/// Reads a filter.
pub(in super::super) fn parse(text: &str) -> Result<Filter, Refusal> {
    let mut reader = Reader { text, tokens: tokens(text)?, at: 0, depth: 0, variable: None };
    let filter = reader.any()?;
    if reader.at < reader.tokens.len() {
        return Err(unreadable(text));
    }
    Ok(filter)
}

struct Reader<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    variable: Option<String>,
}

impl Reader<'_> {
    fn wrong<T>(&self) -> Result<T, Refusal> {
        Err(unreadable(self.text))
    }

    fn next(&mut self) -> Result<Token, Refusal> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token.ok_or_else(|| unreadable(self.text))
    }

    fn takes_name(&mut self, name: &str) -> bool {
        let is = matches!(self.tokens.get(self.at), Some(Token::Name(found)) if found == name);
        self.at += usize::from(is);
        is
    }

    fn takes(&mut self, sign: char) -> bool {
        let is = self.tokens.get(self.at) == Some(&Token::Sign(sign));
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, sign: char) -> Result<(), Refusal> {
        if self.takes(sign) { Ok(()) } else { self.wrong() }
    }

    fn any(&mut self) -> Result<Filter, Refusal> {
        self.depth += 1;
        if DEPTH_MAX < self.depth {
            return self.wrong();
        }
        let mut parts = vec![self.all()?];
        while self.takes_name("or") {
            parts.push(self.all()?);
        }
        self.depth -= 1;
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::Any(parts) })
    }

    fn all(&mut self) -> Result<Filter, Refusal> {
        let mut parts = vec![self.one()?];
        while self.takes_name("and") {
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::All(parts) })
    }

    fn one(&mut self) -> Result<Filter, Refusal> {
        if self.takes_name("not") {
            self.depth += 1;
            if DEPTH_MAX < self.depth {
                return self.wrong();
            }
            let inner = self.one()?;
            self.depth -= 1;
            return Ok(Filter::Not(Box::new(inner)));
        }
        if self.takes('(') {
            let inner = self.any()?;
            self.expect(')')?;
            return Ok(inner);
        }
        if let Some(Token::Name(name)) = self.tokens.get(self.at).cloned()
            && self.tokens.get(self.at + 1) == Some(&Token::Sign('('))
        {
            self.at += 2;
            return self.function(name);
        }
        let left = self.operand()?;
        if let Operand::Path(path) = &left
            && let Some((last, collection)) = path.split_last()
            && matches!(last.as_str(), "any" | "all")
            && self.takes('(')
        {
            return self.lambda(collection.to_vec(), last == "all");
        }
        let Token::Name(word) = self.next()? else { return self.wrong() };
        let Some(how) = Comparison::parse(&word) else { return self.wrong() };
        Ok(Filter::Compare(left, how, self.operand()?))
    }

    fn operand(&mut self) -> Result<Operand, Refusal> {
        match self.next()? {
            Token::Literal(literal) => Ok(Operand::Literal(literal)),
            // Microsoft.Dynamics.CRM.OwnershipTypes'UserOwned': an enumeration's member.
            Token::Name(name) if name.starts_with("Microsoft.Dynamics.CRM.") => {
                match self.next()? {
                    Token::Literal(literal) => Ok(Operand::Literal(literal)),
                    Token::Name(_) | Token::Sign(_) => self.wrong(),
                }
            }
            Token::Name(first) => {
                let mut path = vec![first];
                while self.takes('/') {
                    let Token::Name(next) = self.next()? else { return self.wrong() };
                    path.push(next);
                }
                if self.variable.as_ref() == path.first() && 1 < path.len() {
                    path.remove(0);
                }
                Ok(Operand::Path(path))
            }
            Token::Sign(_) => self.wrong(),
        }
    }

    fn function(&mut self, name: String) -> Result<Filter, Refusal> {
        if let Some(name) = name.strip_prefix("Microsoft.Dynamics.CRM.") {
            let (column, values) = self.arguments()?;
            return Ok(Filter::Query(name.to_owned(), column, values));
        }
        if !matches!(name.as_str(), "contains" | "startswith" | "endswith") {
            let message = format!("An unknown function with name '{name}' was found.");
            return Err(Refusal::undefined(message));
        }
        let left = self.operand()?;
        self.expect(',')?;
        let right = self.operand()?;
        self.expect(')')?;
        Ok(Filter::Text(name, left, right))
    }

    /// `PropertyName='x',PropertyValues=['1','2'])`
    fn arguments(&mut self) -> Result<(String, Vec<Literal>), Refusal> {
        let (mut column, mut values) = (String::new(), Vec::new());
        loop {
            let Token::Name(name) = self.next()? else { return self.wrong() };
            self.expect('=')?;
            match name.as_str() {
                "PropertyName" => match self.next()? {
                    Token::Literal(Literal::Text(text)) => column = text,
                    Token::Literal(_) | Token::Name(_) | Token::Sign(_) => return self.wrong(),
                },
                _ if self.takes('[') => {
                    while !self.takes(']') {
                        self.literal(&mut values)?;
                        self.takes(',');
                    }
                }
                _ => self.literal(&mut values)?,
            }
            if self.takes(')') {
                return Ok((column, values));
            }
            self.expect(',')?;
        }
    }

    fn literal(&mut self, values: &mut Vec<Literal>) -> Result<(), Refusal> {
        let Token::Literal(literal) = self.next()? else { return self.wrong() };
        values.push(literal);
        Ok(())
    }

    fn lambda(&mut self, collection: Vec<String>, all: bool) -> Result<Filter, Refusal> {
        if self.takes(')') {
            return Ok(Filter::Lambda { collection, all, filter: None });
        }
        let Token::Name(variable) = self.next()? else { return self.wrong() };
        self.expect(':')?;
        let outer = self.variable.replace(variable);
        let filter = self.any()?;
        self.variable = outer;
        self.expect(')')?;
        Ok(Filter::Lambda { collection, all, filter: Some(Box::new(filter)) })
    }
}
