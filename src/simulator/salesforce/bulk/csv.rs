//! CSV as Bulk API 2.0 reads and writes it: every written cell in quotes, quotes doubled, and the
//! line ends that the job named, not others.

/// What separates cells and lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Format {
    pub(in super::super) delimiter: Delimiter,
    pub(in super::super) ending: Ending,
}

/// The separator of cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Delimiter(usize);

/// The end of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Ending {
    Lf,
    CrLf,
}

const DELIMITERS: [(&str, char); 6] = [
    ("COMMA", ','),
    ("TAB", '\t'),
    ("SEMICOLON", ';'),
    ("PIPE", '|'),
    ("CARET", '^'),
    ("BACKQUOTE", '`'),
];

impl Delimiter {
    pub(in super::super) const COMMA: Delimiter = Delimiter(0);

    pub(in super::super) fn named(name: &str) -> Option<Delimiter> {
        DELIMITERS.iter().position(|row| row.0 == name).map(Delimiter)
    }

    pub(in super::super) fn name(self) -> &'static str {
        DELIMITERS[self.0].0
    }

    fn sign(self) -> char {
        DELIMITERS[self.0].1
    }
}

impl Ending {
    pub(in super::super) fn named(name: &str) -> Option<Ending> {
        match name {
            "LF" => Some(Ending::Lf),
            "CRLF" => Some(Ending::CrLf),
            _ => None,
        }
    }

    pub(in super::super) fn name(self) -> &'static str {
        match self {
            Ending::Lf => "LF",
            Ending::CrLf => "CRLF",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Ending::Lf => "\n",
            Ending::CrLf => "\r\n",
        }
    }
}

/// Why a file cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Unreadable {
    /// A line ends otherwise than the job says.
    WrongEnding,
    /// A quoted cell is not closed, or goes on behind its closing quote.
    Quotes,
}

/// Lines of cells; empty lines are left out.
pub(in super::super) fn read(text: &str, format: Format) -> Result<Vec<Vec<String>>, Unreadable> {
    let mut reader = Reader { rest: text.strip_prefix('\u{feff}').unwrap_or(text), format };
    let mut lines = Vec::new();
    while !reader.rest.is_empty() {
        let line = reader.line()?;
        if line != [""] {
            lines.push(line);
        }
    }
    Ok(lines)
}

struct Reader<'a> {
    rest: &'a str,
    format: Format,
}

impl Reader<'_> {
    fn line(&mut self) -> Result<Vec<String>, Unreadable> {
        let mut cells = vec![self.cell()?];
        while self.take(self.format.delimiter.sign()) {
            cells.push(self.cell()?);
        }
        if self.rest.is_empty() {
            return Ok(cells);
        }
        match (self.take('\r'), self.take('\n'), self.format.ending) {
            (false, true, Ending::Lf) | (true, true, Ending::CrLf) => Ok(cells),
            (false, false, _) => Err(Unreadable::Quotes),
            (true, _, Ending::Lf) | (true, false, _) | (false, true, Ending::CrLf) => {
                Err(Unreadable::WrongEnding)
            }
        }
    }

    fn cell(&mut self) -> Result<String, Unreadable> {
        if !self.take('"') {
            let sign = self.format.delimiter.sign();
            let end = self.rest.find([sign, '\r', '\n']).unwrap_or(self.rest.len());
            let (cell, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Ok(cell.to_owned());
        }
        let mut cell = String::new();
        loop {
            let end = self.rest.find('"').ok_or(Unreadable::Quotes)?;
            cell.push_str(&self.rest[..end]);
            self.rest = &self.rest[end + 1..];
            if !self.take('"') {
                return Ok(cell);
            }
            cell.push('"');
        }
    }

    fn take(&mut self, sign: char) -> bool {
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

/// Writes one line.
pub(in super::super) fn write<'a>(
    into: &mut String,
    cells: impl IntoIterator<Item = &'a str>,
    format: Format,
) {
    for (place, cell) in cells.into_iter().enumerate() {
        if 0 < place {
            into.push(format.delimiter.sign());
        }
        into.push('"');
        into.push_str(&cell.replace('"', "\"\""));
        into.push('"');
    }
    into.push_str(format.ending.text());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COMMA_LF: Format = Format { delimiter: Delimiter(0), ending: Ending::Lf };

    fn check(text: &str, expected: &[&[&str]]) {
        assert_eq!(read(text, COMMA_LF).unwrap(), expected, "{text:?}");
    }

    #[test]
    fn cells_may_hold_what_separates_them() {
        check("Id,Title\n1,\"a,\"\"b\"\"\nc\"\n", &[&["Id", "Title"], &["1", "a,\"b\"\nc"]]);
        check("\u{feff}Id\n\n1", &[&["Id"], &["1"]]);
        check("a,,\n", &[&["a", "", ""]]);
        check("", &[]);
    }

    #[test]
    fn only_the_named_line_end_ends_a_line() {
        assert_eq!(read("Id\r\n1\r\n", COMMA_LF), Err(Unreadable::WrongEnding));
        let crlf = Format { ending: Ending::CrLf, ..COMMA_LF };
        assert_eq!(read("Id\r\n1\r\n", crlf).unwrap().len(), 2);
        assert_eq!(read("Id\n1\n", crlf), Err(Unreadable::WrongEnding));
        assert_eq!(read("\"Id", COMMA_LF), Err(Unreadable::Quotes));
        assert_eq!(read("\"Id\"x", COMMA_LF), Err(Unreadable::Quotes));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            lines in prop::collection::vec(prop::collection::vec(".*", 2..4), 0..5),
            delimiter in 0..DELIMITERS.len(),
            crlf: bool,
        ) {
            let ending = if crlf { Ending::CrLf } else { Ending::Lf };
            let format = Format { delimiter: Delimiter(delimiter), ending };
            let mut text = String::new();
            for line in &lines {
                write(&mut text, line.iter().map(String::as_str), format);
            }
            prop_assert_eq!(read(&text, format).unwrap(), lines);
        }
    }
}
