//! A schema of Campaign's (`srcSchema`) as a value: what the console shows of a table, and what its
//! structure wizard makes the table from.
//!
//! Only what tables and the wizard's own layout need is spelled out; what else the grammar knows of an
//! element is kept as it is ([`More`]), so that a person's edits of a file survive a second run. What the
//! grammar does not know is refused. The grammar is that of Adobe's configuration guide (`schema/…`).

mod check;
mod read;
mod write;

pub use check::problems;

/// Attributes that are kept and not looked at, in their order.
pub type More = Vec<(String, String)>;

/// A document of one schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// Whose it is.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What people see.
    pub label: String,
    /// The schema that it extends, as `namespace:name`.
    pub extends: Option<String>,
    /// Whether no table is made for it.
    pub view: bool,
    /// What else is said of it.
    pub more: More,
    /// Lists of values.
    pub enumerations: Vec<Enumeration>,
    /// The element of the schema's own name.
    pub element: Element,
}

/// A list of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enumeration {
    /// Its name.
    pub name: String,
    /// The type of its values.
    pub basetype: Type,
    /// What else is said of it.
    pub more: More,
    /// Its values.
    pub values: Vec<EnumValue>,
}

/// A value of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnumValue {
    /// Its name.
    pub name: String,
    /// What is stored.
    pub value: Option<String>,
    /// What else is said of it.
    pub more: More,
}

/// An element: of the whole schema, of a structure, of an object in a schema of many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name.
    pub name: String,
    /// Whether Campaign numbers its records.
    pub autopk: bool,
    /// The sequence that gives the numbers.
    pub sequence: Option<String>,
    /// The table's name, where it is not that of namespace and schema.
    pub table: Option<String>,
    /// What else is said of it.
    pub more: More,
    /// How a record is called.
    pub compute: Option<String>,
    /// Indexes.
    pub indexes: Vec<Index>,
    /// Keys.
    pub keys: Vec<Key>,
    /// Attributes.
    pub attributes: Vec<Attribute>,
    /// What else is in it, in its order.
    pub parts: Vec<Part>,
}

/// What may be in an element beside attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Elements that belong together.
    Structure(Element),
    /// A link to records of another schema.
    Link(Link),
    /// A ready-made group of attributes.
    Aggregate {
        /// Its name here.
        name: String,
        /// Which one: `xtk:common:auditTrail`.
        of: String,
    },
}

/// An attribute: a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: Type,
    /// How many characters it holds.
    pub length: Option<u32>,
    /// What people see.
    pub label: Option<String>,
    /// The list that its values are of.
    pub list: Option<String>,
    /// The column's name, where it is not that of type and attribute.
    pub column: Option<String>,
    /// Whether it may be null, where that is not what its type says.
    pub not_null: Option<bool>,
    /// Whether it has a column at all: neither calculated nor kept within the table's memo.
    pub stored: bool,
    /// What else is said of it.
    pub more: More,
}

/// An index that keeps no duplicates out unless it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// Whether it keeps duplicates out.
    pub unique: bool,
    /// What else is said of it.
    pub more: More,
    /// What it is over.
    pub fields: Vec<KeyField>,
}

/// What tells records apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// Whether it gets no index of its own.
    pub no_index: bool,
    /// What else is said of it.
    pub more: More,
    /// What it is over.
    pub fields: Vec<KeyField>,
}

/// A part of a key or index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyField {
    /// An attribute, by its path: `@remoteId`.
    Path(String),
    /// A link, by its name.
    Link(String),
}

/// A link to records of another schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// The other schema, as `namespace:name`.
    pub target: String,
    /// What else is said of it.
    pub more: More,
    /// By which attributes it joins, where that is not by a column of its own.
    pub joins: Vec<(String, String)>,
}

/// The types of attributes that are columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Type {
    /// Text of a length.
    String,
    /// Text without one.
    Memo,
    /// HTML.
    Html,
    /// Yes or no.
    Boolean,
    /// A number of one byte.
    Byte,
    /// A number of two bytes.
    Short,
    /// A number of four bytes.
    Long,
    /// A number of eight bytes.
    Int64,
    /// A number with digits behind the point.
    Float,
    /// The same, of more digits.
    Double,
    /// A share.
    Percent,
    /// Seconds.
    Timespan,
    /// A calendar date.
    Date,
    /// A time of day.
    Time,
    /// A point in time.
    DateTime,
    /// A point in time with its zone.
    DateTimeTz,
    /// A time as clocks show it.
    DateTimeNoTz,
    /// Bytes.
    Blob,
}

impl Type {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::String,
        Self::Memo,
        Self::Html,
        Self::Boolean,
        Self::Byte,
        Self::Short,
        Self::Long,
        Self::Int64,
        Self::Float,
        Self::Double,
        Self::Percent,
        Self::Timespan,
        Self::Date,
        Self::Time,
        Self::DateTime,
        Self::DateTimeTz,
        Self::DateTimeNoTz,
        Self::Blob,
    ];

    /// Its name in a schema.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Memo => "memo",
            Self::Html => "html",
            Self::Boolean => "boolean",
            Self::Byte => "byte",
            Self::Short => "short",
            Self::Long => "long",
            Self::Int64 => "int64",
            Self::Float => "float",
            Self::Double => "double",
            Self::Percent => "percent",
            Self::Timespan => "timespan",
            Self::Date => "date",
            Self::Time => "time",
            Self::DateTime => "datetime",
            Self::DateTimeTz => "datetimetz",
            Self::DateTimeNoTz => "datetimenotz",
            Self::Blob => "blob",
        }
    }

    /// The type of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What its columns' names begin with.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::String => "s",
            Self::Memo | Self::Html => "m",
            Self::Boolean | Self::Byte | Self::Short | Self::Long => "i",
            Self::Int64 => "bi",
            Self::Float | Self::Double | Self::Percent | Self::Timespan => "d",
            Self::Date | Self::Time | Self::DateTime | Self::DateTimeTz | Self::DateTimeNoTz => {
                "ts"
            }
            Self::Blob => "b",
        }
    }

    /// Its columns' type, for a text of this length.
    pub fn sql(self, length: Option<u32>) -> String {
        match self {
            Self::String => format!("varchar({})", length.unwrap_or(LENGTH)),
            Self::Memo | Self::Html => "text".to_owned(),
            Self::Boolean | Self::Byte | Self::Short => "smallint".to_owned(),
            Self::Long => "integer".to_owned(),
            Self::Int64 => "bigint".to_owned(),
            Self::Float | Self::Double | Self::Percent | Self::Timespan => {
                "double precision".to_owned()
            }
            Self::Date => "date".to_owned(),
            Self::Time => "time".to_owned(),
            Self::DateTime | Self::DateTimeTz | Self::DateTimeNoTz => "timestamptz".to_owned(),
            Self::Blob => "bytea".to_owned(),
        }
    }

    /// Whether its columns are never null, and hold 0 instead.
    pub fn is_never_null(self) -> bool {
        match self {
            Self::Boolean
            | Self::Byte
            | Self::Short
            | Self::Long
            | Self::Int64
            | Self::Float
            | Self::Double
            | Self::Percent => true,
            Self::String
            | Self::Memo
            | Self::Html
            | Self::Timespan
            | Self::Date
            | Self::Time
            | Self::DateTime
            | Self::DateTimeTz
            | Self::DateTimeNoTz
            | Self::Blob => false,
        }
    }
}

/// How long a text is where its schema does not say it.
const LENGTH: u32 = 255;

impl Schema {
    /// Its name with its namespace.
    pub fn full_name(&self) -> String {
        format!("{}:{}", self.namespace, self.name)
    }

    /// The table, in Campaign's letters.
    pub fn table(&self) -> String {
        let named = self.element.table.clone();
        let of = self.extends.as_deref().and_then(|extended| extended.split_once(':'));
        let (namespace, name) = of.unwrap_or((&self.namespace, &self.name));
        named.unwrap_or_else(|| super::names::table(namespace, name))
    }
}

impl Attribute {
    /// An attribute of this type.
    pub fn new(name: &str, kind: Type) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            length: None,
            label: None,
            list: None,
            column: None,
            not_null: None,
            stored: true,
            more: More::new(),
        }
    }

    /// Its column, in Campaign's letters.
    pub fn column_name(&self) -> String {
        self.column.clone().unwrap_or_else(|| super::names::column(self.kind, &self.name))
    }

    /// Whether its column may not be null.
    pub fn is_never_null(&self) -> bool {
        self.not_null.unwrap_or_else(|| self.kind.is_never_null())
    }
}

/// Attributes of an element that the grammar knows and that are kept as they are.
pub(crate) const SCHEMA_MORE: &[&str] = &[
    "labelSingular",
    "desc",
    "img",
    "mappingType",
    "entitySchema",
    "xtkschema",
    "library",
    "useRecycleBin",
];
pub(crate) const ELEMENT_MORE: &[&str] = &[
    "label",
    "labelSingular",
    "desc",
    "img",
    "dataSource",
    "folderLink",
    "feature",
    "tableSpace",
    "advanced",
    "applicableIf",
    "visibleIf",
];
pub(crate) const ENUMERATION_MORE: &[&str] = &["label", "default", "template", "desc"];
pub(crate) const VALUE_MORE: &[&str] = &["label", "desc", "img", "enabledIf", "applicableIf"];
pub(crate) const KEY_MORE: &[&str] = &["internal", "allowEmptyPart", "applicableIf", "label"];
pub(crate) const INDEX_MORE: &[&str] = &["applicableIf", "label"];
pub(crate) const ATTRIBUTE_MORE: &[&str] = &[
    "desc",
    "img",
    "userEnum",
    "dbEnum",
    "default",
    "sqlDefault",
    "required",
    "dataPolicy",
    "advanced",
    "expr",
    "xml",
    "sql",
    "feature",
    "applicableIf",
    "visibleIf",
    "translatedDefault",
    "translatedExpr",
];
pub(crate) const LINK_MORE: &[&str] = &[
    "label",
    "desc",
    "integrity",
    "revIntegrity",
    "revLink",
    "revLabel",
    "revCardinality",
    "externalJoin",
    "revExternalJoin",
    "unbound",
    "advanced",
    "applicableIf",
    "visibleIf",
];

#[cfg(test)]
mod tests;
