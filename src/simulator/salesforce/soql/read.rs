//! Reads a query.

use super::super::refusal::Refusal;
use super::lex::{Placed, Token, tokens};
use super::pointing;
use super::shape::{Column, Expr, Fold, Group, Literal, Op, Order, Path, Query};

/// Longest statement (Salesforce: "SOQL and SOSL Limits").
pub(in super::super) const STATEMENT_LENGTH_MAX: usize = 100_000;
/// Longest text literal in a condition.
const LITERAL_LENGTH_MAX: usize = 4_000;
/// Largest OFFSET.
const OFFSET_MAX: usize = 2_000;
/// Deepest nesting of parentheses; the reader is recursive.
const DEPTH_MAX: usize = 64;

/// Words that end a list of columns or the name of an object.
const CLAUSES: [&str; 11] =
    ["FROM", "WHERE", "ORDER", "LIMIT", "OFFSET", "FOR", "GROUP", "HAVING", "WITH", "USING", "ALL"];

/// Reads a whole query.
pub(in super::super) fn read(query: &str) -> Result<Query, Refusal> {
    if STATEMENT_LENGTH_MAX < query.len() {
        return Err(Refusal::new(
            "QUERY_TOO_COMPLICATED",
            "SOQL statements cannot be longer than 100000 characters.",
        ));
    }
    let mut reader = Reader { query, tokens: tokens(query)?, next: 0, depth: 0 };
    reader.query()
}

struct Reader<'a> {
    query: &'a str,
    tokens: Vec<Placed>,
    next: usize,
    depth: usize,
}

impl Reader<'_> {
    fn query(&mut self) -> Result<Query, Refusal> {
        let query = self.select()?;
        if self.take_word("FOR") && !self.take_word("VIEW") && !self.take_word("REFERENCE") {
            return Err(self.unexpected());
        }
        if self.peek() != &Token::End {
            return Err(self.unexpected());
        }
        Ok(query)
    }

    fn select(&mut self) -> Result<Query, Refusal> {
        self.keyword("SELECT")?;
        let mut columns = vec![self.column()?];
        while self.take_sign(",") {
            columns.push(self.column()?);
        }
        self.keyword("FROM")?;
        let object = self.path()?;
        let alias = self.alias()?;
        let filter = if self.take_word("WHERE") { Some(self.any()?) } else { None };
        let order = if self.take_word("ORDER") { self.order()? } else { Vec::new() };
        let limit = if self.take_word("LIMIT") { Some(self.count()?) } else { None };
        let offset = if self.take_word("OFFSET") { self.offset()? } else { 0 };
        Ok(Query { columns, object, alias, filter, order, limit, offset })
    }

    fn column(&mut self) -> Result<Column, Refusal> {
        // Children of children are not simulated.
        if self.depth == 0 && self.take_sign("(") {
            self.depth += 1;
            let children = self.select()?;
            self.depth -= 1;
            self.sign(")")?;
            return Ok(Column::Children(Box::new(children)));
        }
        let path = self.path()?;
        if !self.take_sign("(") {
            return Ok(Column::Path(path));
        }
        let column = match path.text.to_ascii_uppercase().as_str() {
            "COUNT" if self.take_sign(")") => return Ok(Column::Count),
            "FIELDS" => Column::Fields(self.group()?),
            "COUNT" => Column::Fold(Fold::Count, self.path()?, None),
            "COUNT_DISTINCT" => Column::Fold(Fold::CountDistinct, self.path()?, None),
            "MIN" => Column::Fold(Fold::Min, self.path()?, None),
            "MAX" => Column::Fold(Fold::Max, self.path()?, None),
            "SUM" => Column::Fold(Fold::Sum, self.path()?, None),
            "AVG" => Column::Fold(Fold::Average, self.path()?, None),
            _ => return Err(self.unexpected()),
        };
        self.sign(")")?;
        if let Column::Fold(fold, path, None) = column {
            let alias = self.alias()?;
            return Ok(Column::Fold(fold, path, alias));
        }
        Ok(column)
    }

    fn group(&mut self) -> Result<Group, Refusal> {
        for (word, group) in
            [("ALL", Group::All), ("STANDARD", Group::Standard), ("CUSTOM", Group::Custom)]
        {
            if self.take_word(word) {
                return Ok(group);
            }
        }
        Err(self.unexpected())
    }

    fn alias(&mut self) -> Result<Option<String>, Refusal> {
        let Token::Word(word) = self.peek().clone() else { return Ok(None) };
        if CLAUSES.iter().any(|clause| word.eq_ignore_ascii_case(clause)) {
            return Ok(None);
        }
        if word.contains('.') {
            return Err(self.unexpected());
        }
        self.next += 1;
        Ok(Some(word))
    }

    /// Conditions joined by AND or by OR; a mixture needs parentheses.
    fn any(&mut self) -> Result<Expr, Refusal> {
        self.depth += 1;
        if DEPTH_MAX < self.depth {
            return Err(Refusal::new("QUERY_TOO_COMPLICATED", "Query is too complicated"));
        }
        let first = self.one()?;
        let joiner = if self.is_word("AND") { "AND" } else { "OR" };
        let mut all = vec![first];
        while self.take_word(joiner) {
            all.push(self.one()?);
        }
        if self.is_word("AND") || self.is_word("OR") {
            return Err(self.unexpected());
        }
        self.depth -= 1;
        Ok(match all.len() {
            1 => all.remove(0),
            _ if joiner == "AND" => Expr::And(all),
            _ => Expr::Or(all),
        })
    }

    fn one(&mut self) -> Result<Expr, Refusal> {
        if self.take_word("NOT") {
            self.depth += 1;
            if DEPTH_MAX < self.depth {
                return Err(Refusal::new("QUERY_TOO_COMPLICATED", "Query is too complicated"));
            }
            let inner = self.one()?;
            self.depth -= 1;
            return Ok(Expr::Not(Box::new(inner)));
        }
        if self.take_sign("(") {
            let inner = self.any()?;
            self.sign(")")?;
            return Ok(inner);
        }
        let path = self.path()?;
        if self.take_word("NOT") {
            self.keyword("IN")?;
            return Ok(Expr::In(path, true, self.list()?));
        }
        if self.take_word("IN") {
            return Ok(Expr::In(path, false, self.list()?));
        }
        if self.take_word("INCLUDES") {
            return Ok(Expr::Includes(path, false, self.list()?));
        }
        if self.take_word("EXCLUDES") {
            return Ok(Expr::Includes(path, true, self.list()?));
        }
        let op = self.op()?;
        Ok(Expr::Compare(path, op, self.literal()?))
    }

    fn op(&mut self) -> Result<Op, Refusal> {
        if self.take_word("LIKE") {
            return Ok(Op::Like);
        }
        let ops = [
            ("=", Op::Equal),
            ("!=", Op::NotEqual),
            ("<=", Op::AtMost),
            ("<", Op::Less),
            (">=", Op::AtLeast),
            (">", Op::More),
        ];
        for (sign, op) in ops {
            if self.take_sign(sign) {
                return Ok(op);
            }
        }
        Err(self.unexpected())
    }

    fn list(&mut self) -> Result<Vec<Literal>, Refusal> {
        self.sign("(")?;
        let mut all = vec![self.literal()?];
        while self.take_sign(",") {
            all.push(self.literal()?);
        }
        self.sign(")")?;
        Ok(all)
    }

    fn literal(&mut self) -> Result<Literal, Refusal> {
        let literal = match self.peek().clone() {
            Token::Word(word) => match word.to_ascii_uppercase().as_str() {
                "NULL" => Literal::Null,
                "TRUE" => Literal::Bool(true),
                "FALSE" => Literal::Bool(false),
                _ => return Err(self.unexpected()),
            },
            Token::Text(text) if LITERAL_LENGTH_MAX < text.len() => {
                let message = "string literal is longer than 4000 characters";
                return Err(self.malformed(message));
            }
            Token::Text(text) => Literal::Text(text),
            Token::Number(text) => Literal::Number(text),
            Token::Date(text) => Literal::Date(text),
            Token::DateTime(text) => Literal::DateTime(text),
            Token::Sign(_) | Token::End => return Err(self.unexpected()),
        };
        self.next += 1;
        Ok(literal)
    }

    fn order(&mut self) -> Result<Vec<Order>, Refusal> {
        self.keyword("BY")?;
        let mut all = Vec::new();
        loop {
            let path = self.path()?;
            let descending = self.take_word("DESC");
            if !descending {
                self.take_word("ASC");
            }
            let mut nulls_last = false;
            if self.take_word("NULLS") {
                nulls_last = self.take_word("LAST");
                if !nulls_last {
                    self.keyword("FIRST")?;
                }
            }
            all.push(Order { path, descending, nulls_last });
            if !self.take_sign(",") {
                return Ok(all);
            }
        }
    }

    fn count(&mut self) -> Result<usize, Refusal> {
        let Token::Number(text) = self.peek().clone() else { return Err(self.unexpected()) };
        let count = text.parse().map_err(|_| self.unexpected())?;
        self.next += 1;
        Ok(count)
    }

    fn offset(&mut self) -> Result<usize, Refusal> {
        let offset = self.count()?;
        if OFFSET_MAX < offset {
            let message = "Maximum SOQL offset allowed is 2000";
            return Err(Refusal::new("NUMBER_OUTSIDE_VALID_RANGE", message));
        }
        Ok(offset)
    }

    fn path(&mut self) -> Result<Path, Refusal> {
        let Placed { token: Token::Word(text), at } = self.tokens[self.next].clone() else {
            return Err(self.unexpected());
        };
        self.next += 1;
        Ok(Path { text, at })
    }

    fn keyword(&mut self, word: &str) -> Result<(), Refusal> {
        if self.take_word(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn sign(&mut self, sign: &str) -> Result<(), Refusal> {
        if self.take_sign(sign) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.next += usize::from(found);
        found
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(next) if *next == sign);
        self.next += usize::from(found);
        found
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(next) if next.eq_ignore_ascii_case(word))
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.next].token
    }

    fn unexpected(&self) -> Refusal {
        let text = match self.peek() {
            Token::Word(text) | Token::Number(text) | Token::Date(text) | Token::DateTime(text) => {
                text.clone()
            }
            Token::Text(text) => format!("'{text}'"),
            Token::Sign(sign) => (*sign).to_owned(),
            Token::End => "<EOF>".to_owned(),
        };
        self.malformed(&format!("unexpected token: '{text}'"))
    }

    fn malformed(&self, message: &str) -> Refusal {
        pointing(self.query, self.tokens[self.next].at, "MALFORMED_QUERY", message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(query: &str) -> Refusal {
        read(query).unwrap_err()
    }

    #[test]
    fn a_poll_is_read_in_full() {
        let query = read(
            "select Id, Account.Name from Contact c where (SystemModstamp = \
             2026-10-31T12:00:00.000+0000 and Id > '003xx000004TmiQ') or SystemModstamp > \
             2026-10-31T12:00:00Z order by SystemModstamp, Id desc nulls last limit 200 offset 5",
        )
        .unwrap();
        assert_eq!(query.columns.len(), 2);
        assert_eq!(query.object.text, "Contact");
        assert_eq!(query.alias.as_deref(), Some("c"));
        assert!(matches!(query.filter, Some(Expr::Or(ref all)) if all.len() == 2));
        assert!(query.order[1].descending && query.order[1].nulls_last);
        assert_eq!((query.limit, query.offset), (Some(200), 5));
    }

    #[test]
    fn and_mixed_with_or_needs_parentheses() {
        let query = "SELECT Id FROM Contact WHERE Id = '1' AND Id = '2' OR Id = '3'";
        assert_eq!(refused(query).code, "MALFORMED_QUERY");
    }

    #[test]
    fn errors_point_at_the_place() {
        let refusal = refused("SELECT Id FRM Contact");
        assert_eq!(
            refusal.message,
            "\nSELECT Id FRM Contact\n          ^\nERROR at Row:1:Column:11\n\
             unexpected token: 'FRM'"
        );
        assert_eq!(refused("").code, "MALFORMED_QUERY");
        assert_eq!(refused("SELECT Id FROM Contact WHERE Name = 'x").code, "MALFORMED_QUERY");
        assert_eq!(
            refused("SELECT Id FROM Contact LIMIT 1 OFFSET 2001").code,
            "NUMBER_OUTSIDE_VALID_RANGE"
        );
        let deep = format!("SELECT Id FROM Contact WHERE {}", "(".repeat(5_000));
        assert_eq!(refused(&deep).code, "QUERY_TOO_COMPLICATED");
        let nots = format!("SELECT Id FROM Contact WHERE {}", "NOT ".repeat(5_000));
        assert_eq!(refused(&nots).code, "QUERY_TOO_COMPLICATED");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in ".{0,200}") {
            drop(read(&text));
        }

        #[test]
        fn no_near_query_makes_the_reader_panic(
            words in prop::collection::vec(
                prop::sample::select(vec![
                    "SELECT", "Id", "FROM", "Contact", "WHERE", "(", ")", ",", "=", "!=", "IN",
                    "NOT", "AND", "OR", "LIKE", "'x'", "'\\'", "2026-10-31", "1", "null", "ORDER",
                    "BY", "LIMIT", "OFFSET", "COUNT(", "FIELDS(ALL)", "é", "\n", "NULLS",
                ]),
                0..30,
            )
        ) {
            drop(read(&words.join(" ")));
            drop(read(&format!("SELECT Id FROM Contact WHERE {}", words.join(" "))));
        }
    }
}
