//! A schema as a document, in the order that Adobe's own have.

use super::{
    Attribute, Element, EnumValue, Enumeration, Index, Key, KeyField, Link, More, Part, Schema,
};
use crate::discover::xml::Node;

impl Schema {
    /// The document's one element.
    pub fn node(&self) -> Node {
        let node = Node::new("srcSchema").with("namespace", &self.namespace);
        let node = node.with("name", &self.name).with("label", &self.label);
        let node = node.with_some("extendedSchema", self.extends.as_deref());
        let node = more(flag(node, "view", self.view), &self.more);
        node.holding(self.enumerations.iter().map(enumeration)).holding([self.element.node()])
    }

    /// The document.
    pub fn document(&self) -> String {
        self.node().document()
    }
}

fn enumeration(list: &Enumeration) -> Node {
    let node = Node::new("enumeration").with("name", &list.name);
    let node = more(node.with("basetype", list.basetype.name()), &list.more);
    node.holding(list.values.iter().map(value))
}

fn value(value: &EnumValue) -> Node {
    let node = Node::new("value").with("name", &value.name);
    more(node.with_some("value", value.value.as_deref()), &value.more)
}

impl Element {
    fn node(&self) -> Node {
        let node = flag(Node::new("element").with("name", &self.name), "autopk", self.autopk);
        let node = node.with_some("pkSequence", self.sequence.as_deref());
        let node = more(node.with_some("sqltable", self.table.as_deref()), &self.more);
        let compute = self.compute.iter();
        node.holding(compute.map(|how| Node::new("compute-string").with("expr", how)))
            .holding(self.indexes.iter().map(index))
            .holding(self.keys.iter().map(key))
            .holding(self.attributes.iter().map(attribute))
            .holding(self.parts.iter().map(part))
    }
}

fn index(index: &Index) -> Node {
    let node = flag(Node::new("dbindex").with("name", &index.name), "unique", index.unique);
    more(node, &index.more).holding(index.fields.iter().map(key_field))
}

fn key(key: &Key) -> Node {
    let node = flag(Node::new("key").with("name", &key.name), "noDbIndex", key.no_index);
    more(node, &key.more).holding(key.fields.iter().map(key_field))
}

fn key_field(field: &KeyField) -> Node {
    let node = Node::new("keyfield");
    match field {
        KeyField::Path(path) => node.with("xpath", path),
        KeyField::Link(link) => node.with("xlink", link),
    }
}

fn attribute(attribute: &Attribute) -> Node {
    let length = attribute.length.map(|length| length.to_string());
    let node = Node::new("attribute").with("name", &attribute.name);
    let node = node.with("type", attribute.kind.name()).with_some("length", length.as_deref());
    let node = node.with_some("label", attribute.label.as_deref());
    let node = node.with_some("enum", attribute.list.as_deref());
    let node = node.with_some("sqlname", attribute.column.as_deref());
    let never_null = attribute.not_null.map(|never| never.to_string());
    more(node.with_some("notNull", never_null.as_deref()), &attribute.more)
}

fn part(part: &Part) -> Node {
    match part {
        Part::Structure(element) => element.node(),
        Part::Link(one) => link(one),
        Part::Aggregate { name, of } => {
            Node::new("element").with("aggregate", of).with("name", name)
        }
    }
}

fn link(link: &Link) -> Node {
    let node = Node::new("element").with("name", &link.name).with("type", "link");
    let node = more(node.with("target", &link.target), &link.more);
    let joins = link.joins.iter();
    node.holding(
        joins.map(|(from, to)| Node::new("join").with("xpath-src", from).with("xpath-dst", to)),
    )
}

fn more(mut node: Node, more: &More) -> Node {
    node.attributes.extend(more.iter().cloned());
    node
}

fn flag(node: Node, name: &str, is_set: bool) -> Node {
    if is_set { node.with(name, "true") } else { node }
}
