//! The shape of a query as it was written, names not looked up yet.

/// A field or a path to one, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Path {
    pub(in super::super) text: String,
    pub(in super::super) at: usize,
}

/// Which fields `FIELDS(…)` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Group {
    All,
    Standard,
    Custom,
}

/// A function over all rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Fold {
    Count,
    CountDistinct,
    Min,
    Max,
    Sum,
    Average,
}

/// A column of the answer.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Column {
    Path(Path),
    /// `COUNT()`: the answer has a size and no rows.
    Count,
    Fold(Fold, Path, Option<String>),
    Fields(Group),
    /// The children of a row; the query's object is the name of the relationship.
    Children(Box<Query>),
}

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Op {
    Equal,
    NotEqual,
    Less,
    AtMost,
    More,
    AtLeast,
    Like,
}

/// A literal; texts with their escapes.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Literal {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    Date(String),
    DateTime(String),
}

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Expr {
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    Compare(Path, Op, Literal),
    /// IN, and whether NOT stands before it.
    In(Path, bool, Vec<Literal>),
    /// INCLUDES; EXCLUDES where the flag is set.
    Includes(Path, bool, Vec<Literal>),
}

/// A key of ORDER BY.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Order {
    pub(in super::super) path: Path,
    pub(in super::super) descending: bool,
    pub(in super::super) nulls_last: bool,
}

/// A whole query.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Query {
    pub(in super::super) columns: Vec<Column>,
    pub(in super::super) object: Path,
    pub(in super::super) alias: Option<String>,
    pub(in super::super) filter: Option<Expr>,
    pub(in super::super) order: Vec<Order>,
    pub(in super::super) limit: Option<usize>,
    pub(in super::super) offset: usize,
}
