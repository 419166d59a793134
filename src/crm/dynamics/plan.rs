//! A mapping made ready: what to select of a table, what its rows mean, and what is written to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::crm::dynamics::api::Record;
use crate::crm::dynamics::describe::{Navigation, States, Table, Wire};
use crate::crm::dynamics::values::{self, Source, Told, Unsaid};
use crate::crm::dynamics::{Settings, odata};
use crate::crm::sightings::{Asked, around_key, missing, second_of};
use crate::crm::standing::Shared;
use crate::peer::PeerError;
use crate::reconcile::mapping::{SideField, SideMapping};
use crate::reconcile::{
    Entity, Field, Gone, Observation, Presence, Read, RecordId, Refusal, RefusalKind, Row, Shape,
    Value, Write,
};

/// When a row was last written, by the server's clock.
pub(super) const MODIFIED_ON: &str = "modifiedon";
/// Who changed a row last, where the table tells.
const MODIFIED_BY: &str = "modifiedby";
/// A lookup is read by this name.
const MODIFIED_BY_VALUE: &str = "_modifiedby_value";

/// Which rows were merged into another, and into which.
const MERGED: &str = "merged";
const MASTER: &str = "_masterid_value";

const STATE: &str = "statecode";
const STATUS: &str = "statuscode";

/// The tables that the mappings of an account are of, by entity: each one's name and its set's.
pub(super) type Targets = BTreeMap<Entity, (Arc<str>, Arc<str>)>;

/// A mapping, ready to read and write with.
pub(super) struct Plan {
    pub(super) mapping: SideMapping,
    /// The table's set, as addresses name it.
    pub(super) set: Arc<str>,
    /// Its primary key.
    pub(super) id: Arc<str>,
    /// How its fields stand.
    pub(super) standing: Shared,
    /// Whether a lookup may refer to several tables, which only an annotation tells apart.
    pub(super) polymorphic: bool,
    /// By column.
    sources: BTreeMap<Arc<str>, Source>,
    options: BTreeMap<Arc<str>, Arc<[Arc<str>]>>,
    states: States,
    mergeable: bool,
    tells_who: bool,
    targets: Arc<Targets>,
    /// The constants of new rows.
    constants: Record,
    /// What stands before and behind Campaign's key in an external id.
    around_key: (String, String),
}

/// An observation, with the row's version.
#[derive(Clone, Debug)]
pub(super) struct Sighting {
    pub(super) observation: Observation,
    pub(super) modified: Option<Timestamp>,
    pub(super) etag: Option<String>,
}

impl Plan {
    pub(super) fn new(
        mut mapping: SideMapping,
        table: &Table,
        targets: Arc<Targets>,
        settings: &Settings,
    ) -> Result<Self, PeerError> {
        mapping.table = Arc::clone(&table.name);
        for name in [&mut mapping.external_id, &mut mapping.stamp].into_iter().flatten() {
            let column = table.column(name);
            let column = column.ok_or_else(|| PeerError::Unfit { why: table.missing(name) })?;
            *name = Arc::clone(&column.name);
        }
        let mut sources = BTreeMap::new();
        for field in &mapping.fields {
            for column in &field.columns {
                if table.column(&column.name).is_none() {
                    return Err(PeerError::Unfit { why: table.missing(&column.name) });
                }
                let source = source(field, &column.name, table, (&targets, settings));
                sources.insert(Arc::clone(&column.name), source);
            }
        }
        let mut constants = Record::new();
        for (name, text) in &mapping.defaults {
            let column = table.column(name);
            let column = column.ok_or_else(|| PeerError::Unfit { why: table.missing(name) })?;
            let wire = table.wires.get(&column.name).unwrap_or(&Wire::Plain);
            constants.insert(column.name.to_string(), values::constant(column, wire, text));
        }
        let around_key =
            around_key(&settings.external_id_format, &settings.instance, &mapping.name)?;
        Ok(Self {
            set: Arc::clone(&table.set),
            id: Arc::clone(&table.id),
            standing: Shared::default(),
            polymorphic: sources.values().any(|source| source.target.is_some()),
            sources,
            options: table.options.clone(),
            states: table.states.clone(),
            mergeable: table.mergeable,
            tells_who: table.column(MODIFIED_BY).is_some(),
            targets,
            constants,
            around_key,
            mapping,
        })
    }

    /// Everything that can be read of a row now, as `$select` names it; a table that loses or gains a
    /// column has its changes asked for anew.
    pub(super) fn select(&self) -> String {
        let standing = self.standing.now();
        let mut columns: Vec<&str> = vec![MODIFIED_ON];
        columns.extend(self.tells_who.then_some(MODIFIED_BY_VALUE));
        if self.mergeable {
            columns.extend([MERGED, MASTER]);
        }
        columns.extend(self.mapping.external_id.iter().chain(&self.mapping.stamp).map(|c| &**c));
        let fields = self.mapping.fields.iter().flat_map(|field| &field.columns);
        for column in fields.filter(|column| standing.reads(&column.name)) {
            let name = self.sources.get(&column.name).map_or(&*column.name, |source| &*source.name);
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
        columns.join(",")
    }

    /// Whether anything can be read of the table; the error says why not.
    pub(super) fn stands(&self) -> Result<(), PeerError> {
        match &self.standing.now().blocked {
            Some(why) => Err(PeerError::Unfit { why: why.to_string() }),
            None => Ok(()),
        }
    }

    /// Why a write cannot be made now, where fields that it is about are paused.
    pub(super) fn refuses(&self, write: &Write) -> Option<Refusal> {
        self.standing.now().refuses(&self.mapping, write)
    }

    /// The external id of the record across.
    pub(super) fn external_id(&self, across: &RecordId) -> String {
        let (before, behind) = &self.around_key;
        format!("{before}{across}{behind}")
    }

    /// What a row that was read says.
    pub(super) fn observe(&self, record: &Record, asked: Asked) -> Result<Sighting, PeerError> {
        let text = |name: &str| record.get(name).and_then(Json::as_str);
        let id = text(&self.id).and_then(odata::record_id);
        let id = id.ok_or_else(|| PeerError::Transient {
            doing: "reading rows",
            source: "a row without its key".into(),
        })?;
        let modified = text(MODIFIED_ON).and_then(values::instant);
        let named = |column: &Option<Arc<str>>| column.as_ref().and_then(|name| text(name));
        let claims = named(&self.mapping.external_id)
            .and_then(|id| id.strip_prefix(&self.around_key.0)?.strip_suffix(&self.around_key.1))
            .filter(|key| !key.is_empty());
        let stamp = named(&self.mapping.stamp).and_then(|stamp| stamp.parse().ok());
        let observation = Observation {
            entity: self.mapping.entity,
            record: id,
            was: None,
            at: asked.0,
            read: Read::Asked(asked.1),
            presence: self.presence(record),
            modified: modified.map(second_of),
            by: text(MODIFIED_BY_VALUE).map(Arc::from),
            stamp,
            claims: claims.map(RecordId::from),
        };
        let etag = text("@odata.etag").map(str::to_owned);
        Ok(Sighting { observation, modified, etag })
    }

    fn presence(&self, record: &Record) -> Presence {
        let merged = record.get(MERGED).and_then(Json::as_bool) == Some(true);
        let master = record.get(MASTER).and_then(Json::as_str).and_then(odata::record_id);
        if let (true, Some(survivor)) = (merged, master) {
            return Presence::Gone(Gone::Merged(survivor));
        }
        let (mut row, mut raw, mut unfit) = (Row::new(), BTreeMap::new(), BTreeMap::new());
        for field in &self.mapping.fields {
            let sources: Vec<Source> =
                field.columns.iter().map(|column| self.source(&column.name)).collect();
            match values::decode(field, &sources, record) {
                Told::Value(value) => {
                    row.insert(field.field, value);
                }
                Told::Unfit(why, texts) => {
                    unfit.insert(field.field, why);
                    raw.insert(field.field, texts);
                }
                Told::Unknown => {}
            }
        }
        Presence::Here { row, raw, unfit }
    }

    fn source(&self, column: &str) -> Source {
        self.sources.get(column).cloned().unwrap_or_else(|| Source::plain(column))
    }

    /// A row that is not there.
    pub(super) fn absent(&self, id: &RecordId, how: Gone, asked: Asked) -> Observation {
        missing(self.mapping.entity, id, how, asked)
    }

    /// The columns of a change, and what goes with it; or why Dataverse would not take a value, which
    /// is told as its own refusal would be, and costs no call.
    pub(super) fn columns(&self, row: &Row, new: bool, stamp: &str) -> Result<Record, Refusal> {
        let mut record = if new { self.constants.clone() } else { Record::new() };
        for (field, value) in row {
            let mapped = self.mapping.field(*field);
            let column = mapped.and_then(|mapped| mapped.columns.first());
            let (mapped, column) =
                mapped.zip(column).ok_or_else(|| refusal(*field, &Unsaid::NoForm))?;
            // What may only be set later is set by the update that follows.
            if new && !column.creatable {
                continue;
            }
            let source = self.source(&column.name);
            if let (Shape::Reference(entity), Wire::Lookup(navigations)) =
                (&mapped.shape, &source.wire)
            {
                let bound = self.bind(*entity, navigations, value);
                let (name, value) = bound.ok_or_else(|| refusal(*field, &Unsaid::NoForm))?;
                if !(new && value.is_null()) {
                    record.insert(name, value);
                }
                continue;
            }
            let offered = self.options.get(&column.name).map(|options| &**options);
            if !values::is_offered(offered, value) {
                return Err(refusal(*field, &Unsaid::NotListed));
            }
            let said =
                values::encode(column, &source, value).map_err(|why| refusal(*field, &why))?;
            record.insert(column.name.to_string(), said);
        }
        self.complete_state(&mut record);
        if let Some(name) = &self.mapping.stamp {
            record.insert(name.to_string(), json!(stamp));
        }
        Ok(record)
    }

    /// How a lookup is set or cleared: by the name of its relationship with the table that the field
    /// refers to.
    fn bind(
        &self,
        entity: Entity,
        navigations: &[Navigation],
        value: &Value,
    ) -> Option<(String, Json)> {
        let (table, set) = self.targets.get(&entity)?;
        let navigation = navigations.iter().find(|one| *one.target == **table)?;
        let name = format!("{}@odata.bind", navigation.name);
        match value {
            Value::Null => Some((name, Json::Null)),
            Value::Record(id) => Some((name, json!(format!("/{set}({id})")))),
            Value::Bool(_)
            | Value::Int(_)
            | Value::Decimal(_)
            | Value::Text(_)
            | Value::Date(_)
            | Value::Time(_)
            | Value::Instant(_)
            | Value::Uuid(_)
            | Value::Set(_)
            | Value::Link(_)
            | Value::Consent(_) => None,
        }
    }

    /// A state and a status are written together: the one that is missing follows from the other.
    fn complete_state(&self, record: &mut Record) {
        let number = |name: &str| record.get(name).and_then(Json::as_i64);
        let (missing, found) = match (number(STATE), number(STATUS)) {
            (Some(state), None) => (STATUS, self.states.default_status.get(&state)),
            (None, Some(status)) => (STATE, self.states.state_of.get(&status)),
            (Some(_), Some(_)) | (None, None) => return,
        };
        if let Some(value) = found {
            record.insert(missing.to_owned(), json!(value));
        }
    }

    /// The column to look a field's value up by, with the literal.
    pub(super) fn condition(&self, field: Field, value: &Value) -> Option<(Arc<str>, String)> {
        let column = self.mapping.field(field)?.columns.first()?;
        let source = self.source(&column.name);
        let literal = odata::literal(value)?;
        // A choice is asked for by its number, and a number has no quotes.
        let literal = match source.wire {
            Wire::Choice => literal.trim_matches('\'').parse::<i64>().ok()?.to_string(),
            Wire::Plain | Wire::Choices | Wire::DateAsInstant | Wire::Lookup(_) => literal,
        };
        Some((source.name, literal))
    }
}

/// How a column of a field is read.
fn source(
    field: &SideField,
    column: &Arc<str>,
    table: &Table,
    (targets, settings): (&Targets, &Settings),
) -> Source {
    let wire = table.wires.get(column).cloned().unwrap_or(Wire::Plain);
    let (mut name, mut target) = (Arc::clone(column), None);
    if let Wire::Lookup(navigations) = &wire {
        name = format!("_{column}_value").into();
        if let (true, Shape::Reference(entity)) = (1 < navigations.len(), &field.shape) {
            target = targets.get(entity).map(|(table, _)| Arc::clone(table));
        }
    }
    let allows = settings.allows.contains(column);
    Source { name, wire, allows, target }
}

/// Why a field's value is not sent.
fn refusal(field: Field, why: &Unsaid) -> Refusal {
    let (code, message) = match why {
        Unsaid::NoForm => (
            "TRUCE_UNTRANSLATED",
            "a value has no form in Dataverse: a reference without a row there, or to a table that \
             the lookup does not take",
        ),
        Unsaid::NotListed => ("0x8004431A", "the value is not among the options of the choice"),
    };
    Refusal {
        kind: RefusalKind::Record,
        code: code.into(),
        message: message.into(),
        fields: vec![field],
    }
}
