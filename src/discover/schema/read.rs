//! A document as a schema: what the grammar does not know is refused, with its place.

use super::{
    ATTRIBUTE_MORE, Attribute, ELEMENT_MORE, ENUMERATION_MORE, Element, EnumValue, Enumeration,
    INDEX_MORE, Index, KEY_MORE, Key, KeyField, LINK_MORE, Link, More, Part, SCHEMA_MORE, Schema,
    Type, VALUE_MORE,
};
use crate::discover::xml::Node;

impl Schema {
    /// Reads a document. The error names the place and what the grammar says of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::of(&Node::parse(text)?)
    }

    /// Reads a document's one element.
    pub fn of(node: &Node) -> Result<Self, String> {
        let mut taken = Taken::of(node, "srcSchema")?;
        let mut schema = Self {
            namespace: taken.need("namespace")?,
            name: taken.need("name")?,
            label: taken.need("label")?,
            extends: taken.take("extendedSchema"),
            view: taken.flag("view")?,
            more: taken.more(SCHEMA_MORE)?,
            ..Self::default()
        };
        let mut elements = Vec::new();
        for child in &node.children {
            match child.name.as_str() {
                "enumeration" => schema.enumerations.push(enumeration(child)?),
                "element" => elements.push(element(child)?),
                other => return Err(taken.stranger(other)),
            }
        }
        let [element] = <[Element; 1]>::try_from(elements).map_err(|elements| {
            format!("srcSchema: holds {} elements, and a schema has one", elements.len())
        })?;
        schema.element = element;
        Ok(schema)
    }
}

/// The attributes of an element that were not looked at yet.
struct Taken<'a> {
    place: String,
    left: Vec<&'a (String, String)>,
}

impl<'a> Taken<'a> {
    fn of(node: &'a Node, wanted: &str) -> Result<Self, String> {
        let name = node.attribute("name").map(|name| format!(" `{name}`")).unwrap_or_default();
        let place = format!("{}{name}", node.name);
        if node.name != wanted {
            return Err(format!("{place}: stands where {wanted} should"));
        }
        Ok(Self { place, left: node.attributes.iter().collect() })
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.left.iter().position(|(known, _)| known == name)?;
        Some(self.left.remove(at).1.clone())
    }

    fn need(&mut self, name: &str) -> Result<String, String> {
        self.take(name).ok_or_else(|| format!("{}: has no @{name}", self.place))
    }

    fn flag(&mut self, name: &str) -> Result<bool, String> {
        Ok(self.perhaps(name)?.unwrap_or_default())
    }

    fn perhaps(&mut self, name: &str) -> Result<Option<bool>, String> {
        match self.take(name).as_deref() {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(other) => {
                Err(format!("{}: @{name} is `{other}`, and takes true or false", self.place))
            }
        }
    }

    fn kind(&mut self, name: &str) -> Result<Type, String> {
        let told = self.take(name).unwrap_or_else(|| "string".to_owned());
        Type::named(&told).ok_or_else(|| {
            let known: Vec<&str> = Type::ALL.into_iter().map(Type::name).collect();
            format!("{}: @{name} is `{told}`; a column is {}", self.place, known.join(", "))
        })
    }

    /// What is left, which has to be of these.
    fn more(&mut self, known: &[&str]) -> Result<More, String> {
        let stranger = self.left.iter().find(|(name, _)| !known.contains(&name.as_str()));
        match stranger {
            Some((name, _)) => Err(format!("{}: @{name} is not of the grammar", self.place)),
            None => Ok(std::mem::take(&mut self.left).into_iter().cloned().collect()),
        }
    }

    fn stranger(&self, name: &str) -> String {
        format!("{}: holds <{name}>, which does not belong there", self.place)
    }
}

fn enumeration(node: &Node) -> Result<Enumeration, String> {
    let mut taken = Taken::of(node, "enumeration")?;
    Ok(Enumeration {
        name: taken.need("name")?,
        basetype: taken.kind("basetype")?,
        more: taken.more(ENUMERATION_MORE)?,
        values: node.children.iter().map(value).collect::<Result<_, _>>()?,
    })
}

fn value(node: &Node) -> Result<EnumValue, String> {
    let mut taken = Taken::of(node, "value")?;
    let (name, value) = (taken.need("name")?, taken.take("value"));
    Ok(EnumValue { name, value, more: taken.more(VALUE_MORE)? })
}

fn element(node: &Node) -> Result<Element, String> {
    let mut taken = Taken::of(node, "element")?;
    let mut element = Element {
        name: taken.need("name")?,
        autopk: taken.flag("autopk")?,
        sequence: taken.take("pkSequence"),
        table: taken.take("sqltable"),
        more: taken.more(ELEMENT_MORE)?,
        ..Element::default()
    };
    for child in &node.children {
        match child.name.as_str() {
            "compute-string" => {
                let mut inner = Taken::of(child, "compute-string")?;
                element.compute = Some(inner.need("expr")?);
                inner.more(&[])?;
            }
            "dbindex" => element.indexes.push(index(child)?),
            "key" => element.keys.push(key(child)?),
            "attribute" => element.attributes.push(attribute(child)?),
            "element" => element.parts.push(part(child)?),
            other => return Err(taken.stranger(other)),
        }
    }
    Ok(element)
}

fn index(node: &Node) -> Result<Index, String> {
    let mut taken = Taken::of(node, "dbindex")?;
    Ok(Index {
        name: taken.need("name")?,
        unique: taken.flag("unique")?,
        more: taken.more(INDEX_MORE)?,
        fields: key_fields(node)?,
    })
}

fn key(node: &Node) -> Result<Key, String> {
    let mut taken = Taken::of(node, "key")?;
    Ok(Key {
        name: taken.need("name")?,
        no_index: taken.flag("noDbIndex")?,
        more: taken.more(KEY_MORE)?,
        fields: key_fields(node)?,
    })
}

fn key_fields(node: &Node) -> Result<Vec<KeyField>, String> {
    let field = |node: &Node| {
        let mut taken = Taken::of(node, "keyfield")?;
        let told = (taken.take("xpath"), taken.take("xlink"));
        taken.more(&[])?;
        match told {
            (Some(path), None) => Ok(KeyField::Path(path)),
            (None, Some(link)) => Ok(KeyField::Link(link)),
            (Some(_), Some(_)) | (None, None) => {
                Err("keyfield: takes either @xpath or @xlink".to_owned())
            }
        }
    };
    node.children.iter().map(field).collect()
}

fn attribute(node: &Node) -> Result<Attribute, String> {
    let mut taken = Taken::of(node, "attribute")?;
    if let Some(child) = node.children.first() {
        return Err(taken.stranger(&child.name));
    }
    let length = taken.take("length");
    let length = length.map(|told| {
        let wrong = format!("{}: @length is `{told}`, and takes a number", taken.place);
        told.parse().map_err(|_| wrong)
    });
    let calculated = node.attribute("expr").is_some();
    let kept_in_memo = matches!(node.attribute("xml"), Some("true" | "1"));
    Ok(Attribute {
        name: taken.need("name")?,
        kind: taken.kind("type")?,
        length: length.transpose()?,
        label: taken.take("label"),
        list: taken.take("enum"),
        column: taken.take("sqlname"),
        not_null: taken.perhaps("notNull")?,
        stored: !calculated && !kept_in_memo,
        more: taken.more(ATTRIBUTE_MORE)?,
    })
}

fn part(node: &Node) -> Result<Part, String> {
    let mut taken = Taken::of(node, "element")?;
    if let Some(of) = taken.take("aggregate") {
        let name = taken.need("name")?;
        taken.more(&[])?;
        return Ok(Part::Aggregate { name, of });
    }
    match taken.take("type").as_deref() {
        Some("link") => {
            let (name, target) = (taken.need("name")?, taken.need("target")?);
            let more = taken.more(LINK_MORE)?;
            let joins = node.children.iter().map(join).collect::<Result<_, _>>()?;
            Ok(Part::Link(Link { name, target, more, joins }))
        }
        None => element(node).map(Part::Structure),
        Some(other) => Err(format!("{}: @type is `{other}`, and only links have one", taken.place)),
    }
}

fn join(node: &Node) -> Result<(String, String), String> {
    let mut taken = Taken::of(node, "join")?;
    let join = (taken.need("xpath-src")?, taken.need("xpath-dst")?);
    taken.more(&[])?;
    Ok(join)
}
