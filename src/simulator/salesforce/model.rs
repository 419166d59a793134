//! The table model: which objects there are, and their fields.
//!
//! One model drives describe, the checks of a write, and SOQL. It is data: a test may add
//! objects and fields, hide a field (as field-level security does), or change its length while
//! clients are connected.

use std::collections::BTreeMap;

use super::id::Id;

/// Where every record keeps what Salesforce itself maintains; the rest of the fields follow.
pub(super) const ID: usize = 0;
pub(super) const IS_DELETED: usize = 1;
pub(super) const MASTER_RECORD_ID: usize = 2;
pub(super) const OWNER_ID: usize = 3;
pub(super) const CREATED_DATE: usize = 4;
pub(super) const CREATED_BY_ID: usize = 5;
pub(super) const LAST_MODIFIED_DATE: usize = 6;
pub(super) const LAST_MODIFIED_BY_ID: usize = 7;
pub(super) const SYSTEM_MODSTAMP: usize = 8;

/// Text longer than this is long text, which cannot be filtered or sorted by.
pub(super) const LONG_TEXT_FROM: u32 = 256;

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Id,
    Text,
    TextArea,
    Email,
    Phone,
    Url,
    Picklist,
    MultiPicklist,
    Reference,
    Boolean,
    Int,
    Double,
    Currency,
    Percent,
    Date,
    DateTime,
    Time,
    Address,
}

/// Every type with the name that describe gives it and its SOAP type.
const KINDS: [(Kind, &str, &str); 18] = [
    (Kind::Id, "id", "tns:ID"),
    (Kind::Text, "string", "xsd:string"),
    (Kind::TextArea, "textarea", "xsd:string"),
    (Kind::Email, "email", "xsd:string"),
    (Kind::Phone, "phone", "xsd:string"),
    (Kind::Url, "url", "xsd:string"),
    (Kind::Picklist, "picklist", "xsd:string"),
    (Kind::MultiPicklist, "multipicklist", "xsd:string"),
    (Kind::Reference, "reference", "tns:ID"),
    (Kind::Boolean, "boolean", "xsd:boolean"),
    (Kind::Int, "int", "xsd:int"),
    (Kind::Double, "double", "xsd:double"),
    (Kind::Currency, "currency", "xsd:double"),
    (Kind::Percent, "percent", "xsd:double"),
    (Kind::Date, "date", "xsd:date"),
    (Kind::DateTime, "datetime", "xsd:dateTime"),
    (Kind::Time, "time", "xsd:time"),
    (Kind::Address, "address", "urn:address"),
];

impl Kind {
    pub(super) fn name(self) -> &'static str {
        KINDS.iter().find(|row| row.0 == self).map_or("anyType", |row| row.1)
    }

    pub(super) fn soap(self) -> &'static str {
        KINDS.iter().find(|row| row.0 == self).map_or("xsd:anyType", |row| row.2)
    }

    pub(super) fn named(name: &str) -> Option<Kind> {
        KINDS.iter().find(|row| row.1.eq_ignore_ascii_case(name)).map(|row| row.0)
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Kind::Int | Kind::Double | Kind::Currency | Kind::Percent)
    }

    pub(super) fn is_text(self) -> bool {
        matches!(
            self,
            Kind::Text
                | Kind::TextArea
                | Kind::Email
                | Kind::Phone
                | Kind::Url
                | Kind::Picklist
                | Kind::MultiPicklist
        )
    }
}

/// One value of a picklist.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) active: bool,
    pub(super) default: bool,
    /// The values of the controlling field with which it may be chosen.
    pub(super) valid_for: Vec<String>,
}

/// Who may write a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writable {
    Always,
    Never,
}

/// What uniqueness a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Uniqueness {
    None,
    /// Two values that differ by case only are the same.
    FoldingCase,
    Exact,
}

/// To which object a reference leads, and by which names.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    pub(super) to: String,
    /// The name of the parent, as in `Account.Name`; none where SOQL cannot follow it.
    pub(super) parent: Option<String>,
    /// The name of the children, as describe of the parent lists them.
    pub(super) children: Option<String>,
    /// Deleting the parent deletes the children.
    pub(super) cascade: bool,
}

/// A field of an object.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "describe's flags, independent of each other")]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) kind: Kind,
    pub(super) length: u32,
    pub(super) precision: u32,
    pub(super) scale: u32,
    pub(super) required: bool,
    pub(super) unique: Uniqueness,
    pub(super) external_id: bool,
    pub(super) id_lookup: bool,
    pub(super) writable: Writable,
    pub(super) default: Option<String>,
    pub(super) choices: Vec<Choice>,
    pub(super) restricted: bool,
    /// The picklist that says which of its values may be chosen; the API does not check it.
    pub(super) controller: Option<String>,
    /// A formula: its value changes without a write.
    pub(super) calculated: bool,
    pub(super) reference: Option<Reference>,
    pub(super) compound: Option<String>,
    pub(super) is_name: bool,
    /// As field-level security hides it: absent from describe, unknown to SOQL and to writes.
    pub(super) hidden: bool,
    /// As field-level security lets it be read only.
    pub(super) read_only: bool,
    /// It was deleted; its place stays, for those that come after it.
    pub(super) removed: bool,
}

impl Field {
    pub(super) fn new(name: &str, label: &str, kind: Kind) -> Field {
        Field {
            name: name.to_owned(),
            label: label.to_owned(),
            kind,
            length: if kind.is_text() { 255 } else { 0 },
            precision: 0,
            scale: 0,
            required: kind == Kind::Boolean,
            unique: Uniqueness::None,
            external_id: false,
            id_lookup: false,
            writable: Writable::Always,
            default: (kind == Kind::Boolean).then(|| "false".to_owned()),
            choices: Vec::new(),
            restricted: false,
            controller: None,
            calculated: false,
            reference: None,
            compound: None,
            is_name: false,
            hidden: false,
            read_only: false,
            removed: false,
        }
    }

    pub(super) fn is_custom(&self) -> bool {
        self.name.ends_with("__c")
    }

    pub(super) fn is_long_text(&self) -> bool {
        self.kind == Kind::TextArea && self.length >= LONG_TEXT_FROM
    }

    pub(super) fn is_case_sensitive(&self) -> bool {
        self.unique == Uniqueness::Exact
    }

    /// Whether the integration user may write it.
    pub(super) fn is_writable(&self) -> bool {
        self.writable == Writable::Always && !self.read_only
    }

    /// Whether the store keeps an index of it.
    pub(super) fn is_indexed(&self) -> bool {
        self.unique != Uniqueness::None
            || self.external_id
            || self.kind == Kind::Email
            || self.kind == Kind::Reference
    }
}

/// What the integration user may do with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    Read,
    Create,
    Edit,
    Delete,
}

/// A kind of record of one object.
#[derive(Clone, Debug)]
pub(super) struct RecordType {
    pub(super) id: Id,
    pub(super) name: String,
    pub(super) developer_name: String,
    pub(super) active: bool,
    /// What a record is that does not say.
    pub(super) default: bool,
}

/// An object (Salesforce says sObject): a table.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) plural: String,
    pub(super) prefix: String,
    pub(super) writable: bool,
    pub(super) mergeable: bool,
    pub(super) record_types: Vec<RecordType>,
    /// Rights that were taken away.
    pub(super) denied: Vec<Right>,
    fields: Vec<Field>,
    by_name: BTreeMap<String, usize>,
}

impl Object {
    pub(super) fn new(name: &str, plural: &str, prefix: &str, fields: Vec<Field>) -> Object {
        let mut object = Object {
            name: name.to_owned(),
            label: name.trim_end_matches("__c").replace('_', " "),
            plural: plural.to_owned(),
            prefix: prefix.to_owned(),
            writable: true,
            mergeable: false,
            record_types: Vec::new(),
            denied: Vec::new(),
            fields: Vec::new(),
            by_name: BTreeMap::new(),
        };
        for field in super::catalog::system_fields().into_iter().chain(fields) {
            object.add(field);
        }
        object
    }

    pub(super) fn is_custom(&self) -> bool {
        self.name.ends_with("__c")
    }

    /// Adds a field, or changes the one of that name.
    pub(super) fn add(&mut self, field: Field) -> usize {
        let key = field.name.to_ascii_lowercase();
        if let Some(at) = self.by_name.get(&key) {
            self.fields[*at] = field;
            return *at;
        }
        self.fields.push(field);
        self.by_name.insert(key, self.fields.len() - 1);
        self.fields.len() - 1
    }

    /// Whether the integration user may do that.
    pub(super) fn allows(&self, right: Right) -> bool {
        (self.writable || right == Right::Read) && !self.denied.contains(&right)
    }

    /// Deletes a field; whether there was one.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let Some(at) = self.by_name.remove(&name.to_ascii_lowercase()) else { return false };
        let field = &mut self.fields[at];
        (field.removed, field.hidden) = (true, true);
        true
    }

    /// The field of that name that the integration user may see.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.find_any(name).filter(|at| !self.fields[*at].hidden)
    }

    /// The field of that name, hidden or not.
    pub(super) fn find_any(&self, name: &str) -> Option<usize> {
        self.by_name.get(&name.to_ascii_lowercase()).copied()
    }

    pub(super) fn field(&self, at: usize) -> &Field {
        &self.fields[at]
    }

    pub(super) fn field_mut(&mut self, at: usize) -> &mut Field {
        &mut self.fields[at]
    }

    /// All fields that may be seen, with their places.
    pub(super) fn fields(&self) -> impl Iterator<Item = (usize, &Field)> {
        self.fields.iter().enumerate().filter(|(_, field)| !field.hidden)
    }

    /// All fields, hidden ones too.
    pub(super) fn all_fields(&self) -> impl Iterator<Item = (usize, &Field)> {
        self.fields.iter().enumerate().filter(|(_, field)| !field.removed)
    }

    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }

    /// The reference field that the parent name leads through: `Account` is `AccountId`.
    pub(super) fn parent(&self, relationship: &str) -> Option<usize> {
        self.fields()
            .find(|(_, field)| {
                field
                    .reference
                    .as_ref()
                    .and_then(|reference| reference.parent.as_deref())
                    .is_some_and(|name| name.eq_ignore_ascii_case(relationship))
            })
            .map(|(at, _)| at)
    }
}

/// All objects.
#[derive(Clone, Debug)]
pub(super) struct Model {
    objects: Vec<Object>,
}

impl Model {
    pub(super) fn new(objects: Vec<Object>) -> Model {
        Model { objects }
    }

    /// The object of that name that the integration user may see.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.find_any(name).filter(|at| self.objects[*at].allows(Right::Read))
    }

    /// The object of that name.
    pub(super) fn find_any(&self, name: &str) -> Option<usize> {
        self.objects.iter().position(|object| object.name.eq_ignore_ascii_case(name))
    }

    /// The object that a record id belongs to.
    pub(super) fn of_id(&self, id: Id) -> Option<usize> {
        self.objects.iter().position(|object| object.prefix == id.prefix())
    }

    pub(super) fn object(&self, at: usize) -> &Object {
        &self.objects[at]
    }

    pub(super) fn object_mut(&mut self, at: usize) -> &mut Object {
        &mut self.objects[at]
    }

    pub(super) fn objects(&self) -> &[Object] {
        &self.objects
    }

    pub(super) fn add(&mut self, object: Object) -> usize {
        self.objects.push(object);
        self.objects.len() - 1
    }

    /// The children of that name: their object, and the field by which they refer to the parent.
    pub(super) fn children(&self, parent: usize, name: &str) -> Option<(usize, usize)> {
        self.references_to(&self.objects[parent].name).into_iter().find(|(child, at)| {
            let field = self.objects[*child].field(*at);
            let children = field.reference.as_ref().and_then(|to| to.children.as_deref());
            !field.hidden && children.is_some_and(|known| known.eq_ignore_ascii_case(name))
        })
    }

    /// Every reference field that leads to the object: (child object, field).
    pub(super) fn references_to(&self, name: &str) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for (child, object) in self.objects.iter().enumerate() {
            for (at, field) in object.all_fields() {
                if field.reference.as_ref().is_some_and(|reference| reference.to == name) {
                    found.push((child, at));
                }
            }
        }
        found
    }
}
