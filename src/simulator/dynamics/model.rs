//! Tables and columns: one model for definitions, the checks of a write, and queries.

use std::collections::BTreeMap;

use super::guid::Guid;

/// The columns that every table has, by their place.
pub(super) const ID: usize = 0;
pub(super) const CREATED_ON: usize = 1;
pub(super) const CREATED_BY: usize = 2;
pub(super) const MODIFIED_ON: usize = 3;
pub(super) const MODIFIED_BY: usize = 4;
pub(super) const VERSION: usize = 5;

/// A choice of a column.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) value: i64,
    pub(super) label: String,
    /// Of a status: the state that it belongs to.
    pub(super) state: i64,
}

/// The choices of a column.
#[derive(Clone, Debug)]
pub(super) struct Choices {
    /// The name of the set.
    pub(super) name: String,
    /// Whether other columns share it.
    pub(super) global: bool,
    pub(super) options: Vec<Choice>,
    pub(super) default: Option<i64>,
}

impl Choices {
    pub(super) fn find(&self, value: i64) -> Option<&Choice> {
        self.options.iter().find(|choice| choice.value == value)
    }
}

/// A table that a lookup may point at.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) table: String,
    /// The name by which it is bound and expanded; its case counts.
    pub(super) navigation: String,
    /// The relationship, which is the collection's name on the other side.
    pub(super) relationship: String,
}

/// How a date behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zone {
    UserLocal,
    Independent,
}

/// What kind of lookup it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavour {
    Lookup,
    Customer,
    Owner,
}

/// The type of a column.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Id,
    Text {
        max: usize,
        format: &'static str,
    },
    Memo {
        max: usize,
    },
    Int {
        min: i64,
        max: i64,
    },
    BigInt,
    Decimal {
        precision: u32,
    },
    Double {
        precision: u32,
    },
    /// `base` is the same amount in the organisation's currency, which the service keeps.
    Money {
        precision: u32,
        base: bool,
    },
    Bool {
        labels: [&'static str; 2],
        default: bool,
    },
    Choice(Choices),
    State(Choices),
    Status(Choices),
    MultiChoice(Choices),
    Date,
    Instant {
        zone: Zone,
        date_format: bool,
    },
    Lookup {
        flavour: Flavour,
        targets: Vec<Target>,
    },
}

impl Kind {
    pub(super) fn choices(&self) -> Option<&Choices> {
        match self {
            Kind::Choice(choices)
            | Kind::State(choices)
            | Kind::Status(choices)
            | Kind::MultiChoice(choices) => Some(choices),
            Kind::Id
            | Kind::Text { .. }
            | Kind::Memo { .. }
            | Kind::Int { .. }
            | Kind::BigInt
            | Kind::Decimal { .. }
            | Kind::Double { .. }
            | Kind::Money { .. }
            | Kind::Bool { .. }
            | Kind::Date
            | Kind::Instant { .. }
            | Kind::Lookup { .. } => None,
        }
    }

    pub(super) fn choices_mut(&mut self) -> Option<&mut Choices> {
        match self {
            Kind::Choice(choices)
            | Kind::State(choices)
            | Kind::Status(choices)
            | Kind::MultiChoice(choices) => Some(choices),
            Kind::Id
            | Kind::Text { .. }
            | Kind::Memo { .. }
            | Kind::Int { .. }
            | Kind::BigInt
            | Kind::Decimal { .. }
            | Kind::Double { .. }
            | Kind::Money { .. }
            | Kind::Bool { .. }
            | Kind::Date
            | Kind::Instant { .. }
            | Kind::Lookup { .. } => None,
        }
    }

    pub(super) fn targets(&self) -> &[Target] {
        if let Kind::Lookup { targets, .. } = self { targets } else { &[] }
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self, Kind::Text { .. } | Kind::Memo { .. })
    }
}

/// Whether a value must be given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Required {
    #[default]
    No,
    /// By forms; the API does not ask for it.
    ByForms,
    /// The service keeps it.
    BySystem,
}

/// Who may write a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Writable {
    #[default]
    Always,
    OnCreate,
    Never,
}

/// A column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) schema: String,
    pub(super) label: String,
    pub(super) kind: Kind,
    pub(super) required: Required,
    pub(super) writable: Writable,
    /// Column security is on.
    pub(super) secured: bool,
    /// The caller has no permission on a secured column.
    pub(super) denied: bool,
    /// It was removed; its place is kept.
    pub(super) removed: bool,
}

impl Column {
    pub(super) fn new(name: &str, label: &str, kind: Kind) -> Column {
        let custom = name.starts_with("new_");
        let schema = if custom { name.to_owned() } else { schema_name(name) };
        Column {
            name: name.to_lowercase(),
            schema,
            label: label.to_owned(),
            kind,
            required: Required::No,
            writable: Writable::Always,
            secured: false,
            denied: false,
            removed: false,
        }
    }

    /// Its name in rows and queries: lookups are known by their value.
    pub(super) fn property(&self) -> String {
        match self.kind {
            Kind::Lookup { .. } => format!("_{}_value", self.name),
            Kind::Id
            | Kind::Text { .. }
            | Kind::Memo { .. }
            | Kind::Int { .. }
            | Kind::BigInt
            | Kind::Decimal { .. }
            | Kind::Double { .. }
            | Kind::Money { .. }
            | Kind::Bool { .. }
            | Kind::Choice(_)
            | Kind::State(_)
            | Kind::Status(_)
            | Kind::MultiChoice(_)
            | Kind::Date
            | Kind::Instant { .. } => self.name.clone(),
        }
    }

    /// Whether somebody asked the administrator for it.
    pub(super) fn is_custom(&self) -> bool {
        self.name.starts_with("new_")
    }

    pub(super) fn is_hidden(&self) -> bool {
        self.secured && self.denied
    }
}

/// A schema name in the usual casing, as far as it can be told from a logical name.
fn schema_name(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// An alternate key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) schema: String,
    pub(super) columns: Vec<usize>,
    /// `Active`, `Pending`, `InProgress` or `Failed`.
    pub(super) status: String,
}

impl Key {
    pub(super) fn is_active(&self) -> bool {
        self.status == "Active"
    }
}

/// A table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) schema: String,
    pub(super) set: String,
    pub(super) label: String,
    pub(super) code: i32,
    pub(super) tracking: bool,
    pub(super) concurrency: bool,
    pub(super) mergeable: bool,
    pub(super) primary_name: String,
    pub(super) columns: Vec<Column>,
    pub(super) keys: Vec<Key>,
    pub(super) names: Names,
}

/// Where the names of a table lead: properties to columns, navigations to lookups and tables.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    properties: BTreeMap<String, usize>,
    navigations: BTreeMap<String, (usize, String)>,
}

impl Table {
    pub(super) fn new(
        (name, set): (&str, &str),
        label: &str,
        code: i32,
        columns: Vec<Column>,
    ) -> Table {
        let mut table = Table {
            name: name.to_owned(),
            schema: if name.starts_with("new_") { name.to_owned() } else { schema_name(name) },
            set: set.to_owned(),
            label: label.to_owned(),
            code,
            tracking: true,
            concurrency: true,
            mergeable: false,
            primary_name: "name".to_owned(),
            columns,
            keys: Vec::new(),
            names: Names::default(),
        };
        table.index();
        table
    }

    /// Whether somebody asked the administrator for it.
    pub(super) fn is_custom(&self) -> bool {
        self.name.starts_with("new_")
    }

    /// Whether records have owners.
    pub(super) fn is_owned(&self) -> bool {
        self.find("ownerid").is_some()
    }

    /// Adds an active key over columns that exist.
    pub(super) fn with_key(mut self, schema: &str, columns: &[&str]) -> Table {
        let columns = columns.iter().filter_map(|name| self.find(name)).collect();
        self.keys.push(Key {
            name: schema.to_lowercase(),
            schema: schema.to_owned(),
            columns,
            status: "Active".to_owned(),
        });
        self
    }

    /// Finds names anew, after a change of columns.
    pub(super) fn index(&mut self) {
        self.names.properties.clear();
        self.names.navigations.clear();
        let live = self.columns.iter().enumerate().filter(|(_, column)| !column.removed);
        for (at, column) in live {
            self.names.properties.insert(column.property(), at);
            for target in column.kind.targets() {
                let to = (at, target.table.clone());
                // An owner is a user or a team by one name: the first stands for it.
                self.names.navigations.entry(target.navigation.clone()).or_insert(to);
            }
        }
    }

    pub(super) fn add(&mut self, column: Column) {
        self.columns.push(column);
        self.index();
    }

    pub(super) fn column(&self, at: usize) -> &Column {
        &self.columns[at]
    }

    /// The columns that are there, with their places.
    pub(super) fn live(&self) -> impl Iterator<Item = (usize, &Column)> {
        self.columns.iter().enumerate().filter(|(_, column)| !column.removed)
    }

    /// By the name of a row's property: `lastname`, `_parentcustomerid_value`.
    pub(super) fn property(&self, name: &str) -> Option<usize> {
        self.names.properties.get(name).copied()
    }

    /// By logical name, lookups too.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.property(name).or_else(|| self.property(&format!("_{name}_value")))
    }

    /// By the name of a single-valued navigation: its column, and the table at its other end.
    pub(super) fn navigation(&self, name: &str) -> Option<(usize, &str)> {
        self.names.navigations.get(name).map(|(at, table)| (*at, table.as_str()))
    }

    /// By the names of a key's columns, in any order.
    pub(super) fn key_over(&self, names: &[&str]) -> Option<&Key> {
        self.keys.iter().find(|key| {
            let is_of_key = |name: &&str| {
                let at = self.property(name).or_else(|| self.find(name));
                at.is_some_and(|at| key.columns.contains(&at))
            };
            key.columns.len() == names.len() && names.iter().all(is_of_key)
        })
    }

    pub(super) fn metadata_id(&self) -> Guid {
        Guid::named(&self.name)
    }

    pub(super) fn column_id(&self, column: &Column) -> Guid {
        Guid::named(&format!("{}.{}", self.name, column.name))
    }
}

/// All tables.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) tables: Vec<Table>,
}

/// A collection of children: their table, and the column that points at the parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Children {
    pub(super) table: usize,
    pub(super) column: usize,
}

impl Model {
    pub(super) fn table(&self, at: usize) -> &Table {
        &self.tables[at]
    }

    pub(super) fn by_set(&self, set: &str) -> Option<usize> {
        self.tables.iter().position(|table| table.set == set)
    }

    pub(super) fn by_name(&self, name: &str) -> Option<usize> {
        self.tables.iter().position(|table| table.name == name)
    }

    /// The children of a table by the name of a collection.
    pub(super) fn children(&self, parent: usize, collection: &str) -> Option<Children> {
        let found = self.references_to(parent);
        let mut named = found.filter(|(_, target)| target.relationship == collection);
        named.next().map(|(children, _)| children)
    }

    /// Every column that may point at records of a table.
    pub(super) fn references_to(&self, to: usize) -> impl Iterator<Item = (Children, &Target)> {
        let name = self.table(to).name.as_str();
        self.tables.iter().enumerate().flat_map(move |(table, of)| {
            of.live().flat_map(move |(column, spec)| {
                let targets = spec.kind.targets().iter().filter(move |t| t.table == name);
                targets.map(move |target| (Children { table, column }, target))
            })
        })
    }
}
