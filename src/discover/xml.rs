//! XML as far as schemas use it: elements with attributes, and nothing else.

use std::fmt::Write as _;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

/// An element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its attributes, in their order.
    pub attributes: Vec<(String, String)>,
    /// What is in it, in its order.
    pub children: Vec<Node>,
}

/// Schemas are a handful of levels deep; a file that is deeper is none.
const DEPTH_MAX: usize = 32;

impl Node {
    /// An element without anything in it.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// With this attribute.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.attributes.push((name.to_owned(), value.into()));
        self
    }

    /// With this attribute, where there is one.
    pub fn with_some(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// With these in it.
    pub fn holding(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children.extend(children);
        self
    }

    /// What an attribute says.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The document, indented.
    pub fn document(&self) -> String {
        let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
        self.print(&mut text, 0);
        text
    }

    fn print(&self, text: &mut String, depth: usize) {
        text.push_str(&"  ".repeat(depth));
        write!(text, "<{}", self.name).expect(TAKES);
        for (name, value) in &self.attributes {
            write!(text, " {name}=\"{}\"", escaped(value)).expect(TAKES);
        }
        if self.children.is_empty() {
            text.push_str("/>\n");
            return;
        }
        text.push_str(">\n");
        for child in &self.children {
            child.print(text, depth + 1);
        }
        writeln!(text, "{}</{}>", "  ".repeat(depth), self.name).expect(TAKES);
    }

    /// Reads a document; comments are left out. The error says what is not as it must be.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader::from_str(text);
        let mut open: Vec<Self> = Vec::new();
        let mut root = None;
        loop {
            let event = reader.read_event().map_err(|error| error.to_string())?;
            let closed = match event {
                Event::Start(start) => {
                    open.push(element(&start)?);
                    if DEPTH_MAX < open.len() {
                        return Err(format!("is more than {DEPTH_MAX} levels deep"));
                    }
                    None
                }
                Event::Empty(start) => Some(element(&start)?),
                Event::End(_) => open.pop(),
                Event::Eof => return root.ok_or_else(|| "holds no element".to_owned()),
                Event::Text(text) if text.trim_ascii().is_empty() => None,
                Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => {
                    return Err("holds text between elements".to_owned());
                }
                Event::DocType(_) => return Err("holds a document type".to_owned()),
                Event::Decl(_) | Event::Comment(_) | Event::PI(_) => None,
            };
            match (closed, open.last_mut()) {
                (Some(closed), Some(parent)) => parent.children.push(closed),
                (Some(_), None) if root.is_some() => {
                    return Err("holds more than one element".to_owned());
                }
                (Some(closed), None) => root = Some(closed),
                (None, _) => {}
            }
        }
    }
}

const TAKES: &str = "a text takes what is written to it";

fn element(start: &BytesStart<'_>) -> Result<Node, String> {
    let name = start.name().as_ref().to_owned();
    let mut node = Node { name, ..Node::default() };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let name = attribute.key.as_ref().to_owned();
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        node.attributes.push((name, value.map_err(|error| error.to_string())?.into_owned()));
    }
    Ok(node)
}

/// Line ends and tabs are kept by their numbers: as themselves a reader takes them for blanks. What no
/// XML can hold is left out.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for one in value.chars() {
        match one {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\n' | '\r' | '\t' => write!(text, "&#{};", u32::from(one)).expect(TAKES),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            _ => text.push(one),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again() {
        let odd = "a \"b\" <c> & 'd'\n\te \u{1f600} ב";
        let inner = Node::new("value").with("name", odd).with("empty", "");
        let node = Node::new("list").with("a", "1").holding([inner, Node::new("value")]);
        assert_eq!(Node::parse(&node.document()), Ok(node));
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        let refused = |text: &str| Node::parse(text).unwrap_err();
        assert!(refused("<a>text</a>").contains("text between elements"));
        assert!(refused("<!DOCTYPE a [<!ENTITY b 'c'>]><a/>").contains("document type"));
        assert!(refused("<a/><b/>").contains("more than one"));
        assert!(refused(&"<a>".repeat(40)).contains("levels deep"));
        assert!(refused("").contains("no element"));
        assert!(Node::parse("<a></b>").is_err() && Node::parse("<a b='1' b='2'/>").is_err());
        assert!(Node::parse("<a>").is_err());
    }
}
