//! A mapping made ready: what to select of an object, and what its records mean.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::crm::http::{Answer, Call, Urgency};
use crate::crm::salesforce::api::{Query, READS_MAX, Record, Retrieve, Rows, Selected};
use crate::crm::salesforce::bulk::Cells;
use crate::crm::salesforce::describe::Object;
use crate::crm::salesforce::progress::Deep;
use crate::crm::salesforce::seen::Print;
use crate::crm::salesforce::values::{self, Told, Unsaid};
use crate::crm::salesforce::{Account, Settings, ids, soql};
use crate::crm::sightings::{Asked, around_key, missing, second_of};
use crate::crm::standing::Shared;
use crate::peer::{Ask, PeerError};
use crate::reconcile::mapping::SideMapping;
use crate::reconcile::{
    Field, Gone, Observation, Presence, Read, RecordId, Refusal, RefusalKind, Row, Value, Write,
};

/// So many ids fit a query's address.
const IDS_IN_QUERY: usize = 400;

/// The field whose constant is a record type, by its developer name.
pub const RECORD_TYPE: &str = "RecordTypeId";

/// The field of leads that says that they became something else.
const CONVERTED: &str = "IsConverted";
/// Who changed a record last.
const MODIFIED_BY: &str = "LastModifiedById";

/// A mapping, ready to read and write with.
pub(super) struct Plan {
    pub(super) mapping: SideMapping,
    /// Everything that is read of a record.
    pub(super) columns: Vec<Arc<str>>,
    /// The constants of new records.
    pub(super) constants: Record,
    /// How its fields stand.
    pub(super) standing: Shared,
    /// How cells of CSV are read.
    pub(super) cells: Cells,
    /// Whether the object's records can be converted, after which nobody can write them.
    converts: bool,
    /// How late commits are found in the end.
    pub(super) deep: Deep,
    /// What stands before and behind Campaign's key in an external id.
    around_key: (String, String),
}

impl Plan {
    pub(super) fn new(
        mut mapping: SideMapping,
        object: &Object,
        settings: &Settings,
    ) -> Result<Self, PeerError> {
        // Salesforce takes names in any letters and answers in its own.
        mapping.table = Arc::clone(&object.name);
        for name in [&mut mapping.external_id, &mut mapping.stamp].into_iter().flatten() {
            let column = object.column(name);
            let column = column.ok_or_else(|| PeerError::Unfit { why: object.missing(name) })?;
            *name = Arc::clone(&column.name);
        }
        let mut columns: Vec<Arc<str>> = vec!["Id".into(), "SystemModstamp".into()];
        let optional = ["IsDeleted", MODIFIED_BY]
            .into_iter()
            .chain(object.mergeable.then_some("MasterRecordId"));
        columns.extend(optional.filter(|name| object.column(name).is_some()).map(Arc::from));
        let converts = object.column(CONVERTED).is_some();
        if converts {
            columns.push(CONVERTED.into());
            columns.extend(mapping.converts.iter().map(|(name, _)| Arc::clone(name)));
        }
        let mapped = mapping.fields.iter().flat_map(|field| &field.columns).map(|c| &c.name);
        let named = mapping.external_id.iter().chain(&mapping.stamp).chain(mapped);
        for name in named {
            if object.column(name).is_none() {
                return Err(PeerError::Unfit { why: object.missing(name) });
            }
            if !columns.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                columns.push(Arc::clone(name));
            }
        }
        let mut constants = Record::new();
        for (name, text) in &mapping.defaults {
            let column = object
                .column(name)
                .ok_or_else(|| PeerError::Unfit { why: object.missing(name) })?;
            let constant = if column.name.eq_ignore_ascii_case(RECORD_TYPE) {
                let id = object.record_type(text).map_err(|why| PeerError::Unfit { why })?;
                json!(id)
            } else {
                values::constant(column, text)
            };
            constants.insert(name.to_string(), constant);
        }
        let around_key =
            around_key(&settings.external_id_format, &settings.instance, &mapping.name)?;
        let deep = if object.replicateable { Deep::Log } else { Deep::Stamps };
        let (cells, standing) = (Cells::of(object), Shared::default());
        Ok(Self { mapping, columns, constants, standing, cells, converts, deep, around_key })
    }

    /// `SELECT … FROM …`, to be followed by a condition.
    pub(super) fn select(&self) -> String {
        format!("SELECT {} FROM {}", self.selected().join(", "), self.mapping.table)
    }

    /// Everything that can be read of a record now.
    fn selected(&self) -> Vec<Arc<str>> {
        let standing = self.standing.now();
        self.columns.iter().filter(|column| standing.reads(column)).map(Arc::clone).collect()
    }

    /// Whether anything can be read of the object; the error says why not.
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

    /// The condition of those that can be written and follow a record in the order of ids; empty where
    /// that is all.
    pub(super) fn standing(&self, after: Option<&RecordId>) -> String {
        let behind = after.map(|id| format!("Id > {}", soql::text(&id.0)));
        let standing = self.converts.then(|| format!("{CONVERTED} = false"));
        let conditions: Vec<String> = standing.into_iter().chain(behind).collect();
        if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        }
    }

    /// The external id of the record across.
    pub(super) fn external_id(&self, across: &RecordId) -> String {
        let (before, behind) = &self.around_key;
        format!("{before}{across}{behind}")
    }

    /// What a record that was read says.
    pub(super) fn observe(&self, record: &Record, asked: Asked) -> Result<Sighting, PeerError> {
        let (id, modified) = identity(record)?;
        let text = |column: &Option<Arc<str>>| {
            column.as_ref().and_then(|name| record.get(&**name)).and_then(Json::as_str)
        };
        let claims = text(&self.mapping.external_id)
            .and_then(|id| id.strip_prefix(&self.around_key.0)?.strip_suffix(&self.around_key.1))
            .filter(|key| !key.is_empty());
        let stamp = text(&self.mapping.stamp).and_then(|stamp| stamp.parse().ok());
        let observation = Observation {
            entity: self.mapping.entity,
            record: id,
            was: None,
            at: asked.0,
            read: Read::Asked(asked.1),
            presence: self.presence(record),
            modified: Some(second_of(modified)),
            by: record.get(MODIFIED_BY).and_then(Json::as_str).map(Arc::from),
            stamp,
            claims: claims.map(RecordId::from),
        };
        Ok(Sighting { observation, modified, print: Print::of(record, modified) })
    }

    fn presence(&self, record: &Record) -> Presence {
        if record.get("IsDeleted").and_then(Json::as_bool) == Some(true) {
            let master = record.get("MasterRecordId").and_then(Json::as_str);
            return Presence::Gone(match master.and_then(ids::record_id) {
                Some(survivor) => Gone::Merged(survivor),
                None => Gone::Deleted,
            });
        }
        if record.get(CONVERTED).and_then(Json::as_bool) == Some(true) {
            let into = self.mapping.converts.as_ref().and_then(|(name, entity)| {
                Some((*entity, ids::record_id(record.get(&**name)?.as_str()?)?))
            });
            return Presence::Gone(Gone::Converted(into));
        }
        let (mut row, mut raw, mut unfit) = (Row::new(), BTreeMap::new(), BTreeMap::new());
        for field in &self.mapping.fields {
            match values::decode(field, record) {
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

    pub(super) fn missing(&self, id: &RecordId, asked: Asked) -> Observation {
        missing(self.mapping.entity, id, Gone::Missing, asked)
    }

    /// The fields of a change, and what goes with it; or why Salesforce would not take a value, which
    /// is told as its own refusal would be, and costs no call.
    pub(super) fn fields(&self, row: &Row, new: bool, stamp: &str) -> Result<Record, Refusal> {
        let mut record = if new { self.constants.clone() } else { Record::new() };
        let standing = self.standing.now();
        for (field, value) in row {
            let mapped = self.mapping.field(*field).and_then(|mapped| mapped.columns.first());
            let column = mapped.ok_or_else(|| refusal(*field, &Unsaid::NoForm))?;
            // What may only be set later is set by the update that follows.
            if !new || column.creatable {
                let said = values::encode(standing.takes(column), value);
                let said = said.map_err(|why| refusal(*field, &why))?;
                record.insert(column.name.to_string(), said);
            }
        }
        if let Some(name) = &self.mapping.stamp {
            record.insert(name.to_string(), json!(stamp));
        }
        Ok(record)
    }

    /// The column to look a field's value up by, with the literal.
    pub(super) fn condition(&self, field: Field, value: &Value) -> Option<(&Arc<str>, String)> {
        let column = self.mapping.field(field)?.columns.first()?;
        Some((&column.name, soql::literal(value)?))
    }

    /// Reads records afresh, in the order asked: deleted ones say so, others that are not there
    /// are missing.
    pub(super) async fn read(
        &self,
        account: &Account,
        urgency: Urgency,
        records: &[&RecordId],
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Sighting>, PeerError> {
        let mut sightings = Vec::with_capacity(records.len());
        for chunk in records.chunks(READS_MAX) {
            let (live, _) = self.read_live(account, urgency, chunk, asked).await?;
            let absent: Vec<&RecordId> = chunk
                .iter()
                .zip(&live)
                .filter(|(_, live)| live.is_none())
                .map(|(id, _)| *id)
                .collect();
            let mut gone = self.read_gone(account, urgency, &absent, asked).await?.into_iter();
            let found = live.into_iter().map(|live| live.or_else(|| gone.next()));
            sightings.extend(found.flatten());
        }
        Ok(sightings)
    }

    /// Reads records by id; what is not live is `None`.
    pub(super) async fn read_live(
        &self,
        account: &Account,
        urgency: Urgency,
        records: &[&RecordId],
        asked: &mut (dyn Ask + Send),
    ) -> Result<(Vec<Option<Sighting>>, Answer), PeerError> {
        let mut tick = None;
        let mut about = || tick = Some(asked.tick());
        let (object, fields) = (&self.mapping.table, &self.selected());
        let retrieve = Retrieve { object, fields, ids: records, urgency };
        let (live, answer) = account.api.retrieve(retrieve, &mut about).await?;
        let tick = tick.expect("what was answered was sent");
        let sightings =
            live.iter().map(|record| record.as_ref().map(|r| self.observe(r, tick)).transpose());
        Ok((sightings.collect::<Result<_, _>>()?, answer))
    }

    /// Reads records that are not live, deleted rows included.
    pub(super) async fn read_gone(
        &self,
        account: &Account,
        urgency: Urgency,
        records: &[&RecordId],
        asked: &mut (dyn Ask + Send),
    ) -> Result<Vec<Sighting>, PeerError> {
        let mut sightings = Vec::with_capacity(records.len());
        for chunk in records.chunks(IDS_IN_QUERY) {
            let (mut found, mut open) = (BTreeMap::new(), chunk.to_vec());
            while !open.is_empty() {
                let (selected, tick) = self.select_gone(account, urgency, &open, asked).await?;
                for record in &selected.records {
                    let sighting = self.observe(record, tick)?;
                    found.insert(sighting.observation.record.clone(), sighting);
                }
                let asked_for = open.len();
                open.retain(|id| !found.contains_key(*id));
                if selected.done {
                    // Nobody has these.
                    for id in open.drain(..) {
                        let observation = self.missing(id, tick);
                        found.insert(id.clone(), {
                            let (modified, print) = (Timestamp::MIN, Print::default());
                            Sighting { observation, modified, print }
                        });
                    }
                } else if open.len() == asked_for {
                    // Long rows make an answer shorter than the question, but never empty.
                    let source = "an answer without any of the records, and not the last".into();
                    return Err(PeerError::Transient { doing: "reading deleted records", source });
                }
            }
            sightings.extend(chunk.iter().filter_map(|id| found.get(*id).cloned()));
        }
        Ok(sightings)
    }

    async fn select_gone(
        &self,
        account: &Account,
        urgency: Urgency,
        ids: &[&RecordId],
        asked: &mut (dyn Ask + Send),
    ) -> Result<(Selected, Asked), PeerError> {
        let literals: Vec<String> = ids.iter().map(|id| soql::text(&id.0)).collect();
        let statement = format!("{} WHERE {}", self.select(), soql::within("Id", &literals));
        let mut tick = None;
        let mut about = || tick = Some(asked.tick());
        let query = Query { rows: Rows::All, statement: &statement, call: Call::Read, urgency };
        let selected = account.api.query(query, &mut about).await?;
        Ok((selected, tick.expect("what was answered was sent")))
    }
}

/// Why a field's value is not sent.
fn refusal(field: Field, why: &Unsaid) -> Refusal {
    let (code, message) = match why {
        Unsaid::NoForm => (
            "TRUCE_UNTRANSLATED",
            "a value has no form in Salesforce: a reference without a record there",
        ),
        Unsaid::NotListed => (
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            "the value is not among the active ones of the restricted picklist",
        ),
    };
    Refusal {
        kind: RefusalKind::Record,
        code: code.into(),
        message: message.into(),
        fields: vec![field],
    }
}

/// An observation, with the second of its stamp, and what it is known again by.
#[derive(Clone, Debug)]
pub(super) struct Sighting {
    pub(super) observation: Observation,
    pub(super) modified: Timestamp,
    pub(super) print: Print,
}

/// A record's id and stamp, which every answer must have.
pub(super) fn identity(record: &Record) -> Result<(RecordId, Timestamp), PeerError> {
    let text = |name| record.get(name).and_then(Json::as_str);
    let id = text("Id").and_then(ids::record_id);
    let stamp = text("SystemModstamp").and_then(values::instant);
    id.zip(stamp).ok_or_else(|| PeerError::Transient {
        doing: "reading records",
        source: "a record without Id or SystemModstamp".into(),
    })
}
