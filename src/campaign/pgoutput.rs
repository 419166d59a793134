//! What PostgreSQL says happened: the messages of its `pgoutput` plugin, protocol version 1.
//!
//! [`decode`] is a total function over bytes: whatever it is given, it answers, without a panic and
//! without keeping anything. A message borrows the bytes it came in; a row is looked over once, so
//! that walking its columns cannot fail, and nothing is allocated for it. Names are text; values
//! are left as the server wrote them, because only the mapping knows what they should be.
//!
//! Protocol 1 has whole transactions in commit order: `Begin`, changes, `Commit`. A `Relation`
//! comes before the first change of its table in a connection and again whenever it changed; an
//! `Origin` comes right after its `Begin`; a `Message` may also stand outside of any transaction.

use jiff::Timestamp;

use crate::reconcile::Lsn;

mod bytes;
pub(super) use bytes::{Bytes, microseconds_since_2000};

mod tuple;
pub use tuple::{Datum, Datums, Tuple};

/// The id of a table or a type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(pub u32);

/// The id of a transaction as the log carries it: 32 bits wide, so it wraps around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Xid(pub u32);

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A transaction begins.
    Begin(Begin),
    /// Something was written by `pg_logical_emit_message`.
    Emitted(Emitted<'a>),
    /// The transaction is whole.
    Commit(Commit),
    /// The transaction was replicated from elsewhere, or says so.
    Origin(Origin<'a>),
    /// What a table looks like from here on.
    Relation(Relation<'a>),
    /// The name of a type that is not built in, before a relation that uses it.
    Type(TypeName<'a>),
    /// A row came to be.
    Insert(Insert<'a>),
    /// A row changed.
    Update(Update<'a>),
    /// A row went.
    Delete(Delete<'a>),
    /// Tables were emptied.
    Truncate(Truncate<'a>),
}

/// A transaction begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begin {
    /// Where its commit record is: the transaction's place in the order of commits.
    pub final_lsn: Lsn,
    /// When it was committed. It is 2000-01-01 for one that was given an origin carelessly.
    pub committed_at: Timestamp,
    /// Its id.
    pub xid: Xid,
}

/// A transaction is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Where its commit record is; the `final_lsn` of its `Begin`.
    pub commit_lsn: Lsn,
    /// Where its commit record ends: what is confirmed once its effects are durable.
    pub end_lsn: Lsn,
    /// When it was committed.
    pub committed_at: Timestamp,
}

/// Something was written by `pg_logical_emit_message`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emitted<'a> {
    /// Whether it is part of the transaction around it; if not, it stands for itself.
    pub is_transactional: bool,
    /// Where it was written.
    pub lsn: Lsn,
    /// Whose it is.
    pub prefix: &'a str,
    /// What it says.
    pub content: &'a [u8],
}

/// The transaction was replicated from elsewhere, or says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// Its commit on the server it came from.
    pub lsn: Lsn,
    /// That server's name.
    pub name: &'a str,
}

/// What a table looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relation<'a> {
    /// The table, as the changes name it.
    pub id: Oid,
    /// Its schema; empty for `pg_catalog`.
    pub schema: &'a str,
    /// Its name.
    pub name: &'a str,
    /// What old rows carry.
    pub identity: Identity,
    columns: Bytes<'a>,
    columns_len: u16,
}

/// What an old row carries, which a table's `replica identity` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The primary key.
    Default,
    /// Nothing.
    Nothing,
    /// All columns.
    Full,
    /// The columns of a chosen index.
    Index,
}

/// A column of a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column<'a> {
    /// Whether it belongs to the identity.
    pub is_key: bool,
    /// Its name.
    pub name: &'a str,
    /// Its type.
    pub type_id: Oid,
    /// What the type was given: a length, a precision; -1 for nothing.
    pub type_modifier: i32,
}

/// The name of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeName<'a> {
    /// The type.
    pub id: Oid,
    /// Its schema; empty for `pg_catalog`.
    pub schema: &'a str,
    /// Its name.
    pub name: &'a str,
}

/// A row came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insert<'a> {
    /// Of which table.
    pub relation: Oid,
    /// The row.
    pub new: Tuple<'a>,
}

/// A row changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update<'a> {
    /// Of which table.
    pub relation: Oid,
    /// What it was, if its key changed or the identity is full.
    pub old: Option<Old<'a>>,
    /// What it is.
    pub new: Tuple<'a>,
}

/// A row went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delete<'a> {
    /// Of which table.
    pub relation: Oid,
    /// What it was.
    pub old: Old<'a>,
}

/// What a row was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Old<'a> {
    /// Its key; the other columns are null, which says nothing of them.
    Key(Tuple<'a>),
    /// All of it.
    Row(Tuple<'a>),
}

/// Tables were emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncate<'a> {
    /// `cascade` was said.
    pub cascades: bool,
    /// `restart identity` was said.
    pub restarts_identity: bool,
    relations: Bytes<'a>,
}

/// Why bytes are no message. Their content is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They end too early.
    #[error("the message ends within its {0}")]
    Truncated(&'static str),
    /// They do not end where they should.
    #[error("{0} bytes follow the end of the message")]
    Trailing(usize),
    /// A number has a value that it cannot have.
    #[error("{value} is not a possible {what}")]
    Value {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: i64,
    },
    /// A name is not UTF-8, which we asked for when we connected.
    #[error("the {0} is not UTF-8")]
    NotText(&'static str),
}

/// Understands one message, all of it.
pub fn decode(message: &[u8]) -> Result<Message<'_>, DecodeError> {
    let mut bytes = Bytes::new(message);
    let decoded = match bytes.u8("kind")? {
        b'B' => Message::Begin(begin(&mut bytes)?),
        b'M' => Message::Emitted(emitted(&mut bytes)?),
        b'C' => Message::Commit(commit(&mut bytes)?),
        b'O' => Message::Origin(origin(&mut bytes)?),
        b'R' => Message::Relation(relation(&mut bytes)?),
        b'Y' => Message::Type(type_name(&mut bytes)?),
        b'I' => Message::Insert(insert(&mut bytes)?),
        b'U' => Message::Update(update(&mut bytes)?),
        b'D' => Message::Delete(delete(&mut bytes)?),
        b'T' => Message::Truncate(truncate(&mut bytes)?),
        kind => return Err(DecodeError::Value { what: "kind", value: i64::from(kind) }),
    };
    match bytes.len() {
        0 => Ok(decoded),
        left => Err(DecodeError::Trailing(left)),
    }
}

fn begin(bytes: &mut Bytes<'_>) -> Result<Begin, DecodeError> {
    let final_lsn = bytes.lsn("final position")?;
    let committed_at = bytes.timestamp("commit time")?;
    Ok(Begin { final_lsn, committed_at, xid: Xid(bytes.u32("transaction")?) })
}

fn emitted<'a>(bytes: &mut Bytes<'a>) -> Result<Emitted<'a>, DecodeError> {
    let is_transactional = bytes.flag("flags")?;
    let lsn = bytes.lsn("position")?;
    let prefix = bytes.text("prefix")?;
    let len = bytes.u32("content")?;
    let content = bytes.take(len, "content")?;
    Ok(Emitted { is_transactional, lsn, prefix, content })
}

fn commit(bytes: &mut Bytes<'_>) -> Result<Commit, DecodeError> {
    let flags = bytes.u8("flags")?;
    if flags != 0 {
        return Err(DecodeError::Value { what: "flags of a commit", value: i64::from(flags) });
    }
    let commit_lsn = bytes.lsn("commit position")?;
    let end_lsn = bytes.lsn("end position")?;
    Ok(Commit { commit_lsn, end_lsn, committed_at: bytes.timestamp("commit time")? })
}

fn origin<'a>(bytes: &mut Bytes<'a>) -> Result<Origin<'a>, DecodeError> {
    let lsn = bytes.lsn("origin's position")?;
    Ok(Origin { lsn, name: bytes.text("origin")? })
}

fn relation<'a>(bytes: &mut Bytes<'a>) -> Result<Relation<'a>, DecodeError> {
    let id = Oid(bytes.u32("relation")?);
    let schema = bytes.text("schema")?;
    let name = bytes.text("name")?;
    let identity = match bytes.u8("replica identity")? {
        b'd' => Identity::Default,
        b'n' => Identity::Nothing,
        b'f' => Identity::Full,
        b'i' => Identity::Index,
        other => {
            let value = i64::from(other);
            return Err(DecodeError::Value { what: "replica identity", value });
        }
    };
    let columns_len = bytes.count("number of columns")?;
    let before = *bytes;
    for _ in 0..columns_len {
        column(bytes)?;
    }
    let columns = before.up_to(bytes);
    Ok(Relation { id, schema, name, identity, columns, columns_len })
}

fn column<'a>(bytes: &mut Bytes<'a>) -> Result<Column<'a>, DecodeError> {
    let is_key = bytes.flag("flags of a column")?;
    let name = bytes.text("column")?;
    let type_id = Oid(bytes.u32("type")?);
    Ok(Column { is_key, name, type_id, type_modifier: bytes.i32("type modifier")? })
}

fn type_name<'a>(bytes: &mut Bytes<'a>) -> Result<TypeName<'a>, DecodeError> {
    let id = Oid(bytes.u32("type")?);
    let schema = bytes.text("schema")?;
    Ok(TypeName { id, schema, name: bytes.text("name")? })
}

fn insert<'a>(bytes: &mut Bytes<'a>) -> Result<Insert<'a>, DecodeError> {
    let relation = Oid(bytes.u32("relation")?);
    match bytes.u8("new row")? {
        b'N' => Ok(Insert { relation, new: bytes.tuple()? }),
        other => Err(DecodeError::Value { what: "mark of a new row", value: i64::from(other) }),
    }
}

fn update<'a>(bytes: &mut Bytes<'a>) -> Result<Update<'a>, DecodeError> {
    let relation = Oid(bytes.u32("relation")?);
    let mut mark = bytes.u8("rows")?;
    let mut old = None;
    if mark == b'K' || mark == b'O' {
        old = Some(old_row(mark, bytes)?);
        mark = bytes.u8("new row")?;
    }
    match mark {
        b'N' => Ok(Update { relation, old, new: bytes.tuple()? }),
        other => Err(DecodeError::Value { what: "mark of a new row", value: i64::from(other) }),
    }
}

fn delete<'a>(bytes: &mut Bytes<'a>) -> Result<Delete<'a>, DecodeError> {
    let relation = Oid(bytes.u32("relation")?);
    let mark = bytes.u8("old row")?;
    Ok(Delete { relation, old: old_row(mark, bytes)? })
}

fn old_row<'a>(mark: u8, bytes: &mut Bytes<'a>) -> Result<Old<'a>, DecodeError> {
    match mark {
        b'K' => Ok(Old::Key(bytes.tuple()?)),
        b'O' => Ok(Old::Row(bytes.tuple()?)),
        other => Err(DecodeError::Value { what: "mark of an old row", value: i64::from(other) }),
    }
}

fn truncate<'a>(bytes: &mut Bytes<'a>) -> Result<Truncate<'a>, DecodeError> {
    let len = bytes.u32("number of relations")?;
    let options = bytes.u8("options")?;
    if 3 < options {
        return Err(DecodeError::Value { what: "option of a truncate", value: options.into() });
    }
    let what = "list of relations";
    let relations = len.checked_mul(4).ok_or(DecodeError::Truncated(what))?;
    let relations = Bytes::new(bytes.take(relations, what)?);
    Ok(Truncate { cascades: options & 1 != 0, restarts_identity: options & 2 != 0, relations })
}

impl<'a> Relation<'a> {
    /// Its columns, in the order of the values of a row.
    pub fn columns(&self) -> impl Iterator<Item = Column<'a>> + use<'a> {
        let mut columns = self.columns;
        // They were looked over in `relation`, so none is missing.
        (0..self.columns_len).map_while(move |_| column(&mut columns).ok())
    }
}

impl<'a> Truncate<'a> {
    /// The tables.
    pub fn relations(&self) -> impl Iterator<Item = Oid> + use<'a> {
        let mut relations = self.relations;
        std::iter::from_fn(move || relations.u32("relation").ok().map(Oid))
    }
}

impl<'a> Old<'a> {
    /// The row, however much of it there is.
    pub fn tuple(&self) -> Tuple<'a> {
        match self {
            Self::Key(tuple) | Self::Row(tuple) => *tuple,
        }
    }
}
