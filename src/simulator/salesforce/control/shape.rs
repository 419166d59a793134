//! Orders of an administrator: new objects, new fields, hidden fields.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::json;

use super::super::clock::second;
use super::super::model::{
    Choice, Field, Kind, Object, RecordType, Reference, Uniqueness, Writable,
};
use super::super::org::Org;
use super::super::server::Shared;
use super::super::value::Value;
use super::{Done, Unfit, object};

/// A field as a test describes it, in describe's own words.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "describe's flags, one key each")]
struct FieldOrder {
    name: String,
    label: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    length: Option<u32>,
    #[serde(default)]
    precision: u32,
    #[serde(default)]
    scale: u32,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    unique: bool,
    #[serde(default)]
    external_id: bool,
    #[serde(default)]
    case_sensitive: bool,
    #[serde(default)]
    values: Vec<String>,
    /// Values that were taken out of use.
    #[serde(default)]
    inactive: Vec<String>,
    #[serde(default)]
    restricted: bool,
    /// The controlling picklist, and with which of its values each of these may be chosen.
    controller_name: Option<String>,
    #[serde(default)]
    valid_for: BTreeMap<String, Vec<String>>,
    /// A formula.
    #[serde(default)]
    calculated: bool,
    default: Option<String>,
    reference_to: Option<String>,
    relationship_name: Option<String>,
}

impl FieldOrder {
    fn field(self) -> Result<Field, Unfit> {
        let kind = Kind::named(&self.kind)
            .ok_or_else(|| Unfit(format!("field `{}`: no type `{}`", self.name, self.kind)))?;
        let label = self.label.unwrap_or_else(|| self.name.replace("__c", "").replace('_', " "));
        let mut field = Field::new(&self.name, &label, kind);
        field.length = self.length.unwrap_or(field.length);
        (field.precision, field.scale) = (self.precision, self.scale);
        field.required |= self.required;
        field.unique = match (self.unique, self.case_sensitive) {
            (true, true) => Uniqueness::Exact,
            (true, false) => Uniqueness::FoldingCase,
            (false, _) => Uniqueness::None,
        };
        field.external_id = self.external_id;
        field.id_lookup = self.external_id || self.unique;
        field.restricted = self.restricted;
        field.default = self.default.or(field.default);
        field.controller = self.controller_name;
        field.calculated = self.calculated;
        if self.calculated {
            field.writable = Writable::Never;
        }
        let all = self.values.into_iter().map(|value| (value, true));
        let all = all.chain(self.inactive.into_iter().map(|value| (value, false)));
        field.choices = all
            .map(|(value, active)| {
                let valid_for = self.valid_for.get(&value).cloned().unwrap_or_default();
                Choice { value, active, default: false, valid_for }
            })
            .collect();
        if kind == Kind::Reference {
            let to = self.reference_to.ok_or_else(|| {
                Unfit(format!("field `{}`: a reference needs `referenceTo`", self.name))
            })?;
            let parent = self.relationship_name.or_else(|| Some(self.name.replace("__c", "__r")));
            field.reference = Some(Reference { to, parent, children: None, cascade: false });
            field.length = 18;
        }
        Ok(field)
    }
}

/// An object to add.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ObjectOrder {
    name: String,
    plural: Option<String>,
    prefix: String,
    #[serde(default)]
    fields: Vec<FieldOrder>,
}

/// `POST /objects`.
pub(super) async fn objects(State(shared): State<Shared>, Json(order): Json<ObjectOrder>) -> Done {
    let mut org = shared.org();
    let model = &org.data.model;
    let taken = model.objects().iter().any(|object| object.prefix == order.prefix);
    let fits = order.prefix.len() == 3 && order.prefix.is_ascii();
    if model.find_any(&order.name).is_some() || taken || !fits {
        return Err(Unfit(format!(
            "object `{}`: the name and the prefix of three letters must be new",
            order.name
        )));
    }
    let fields = order.fields.into_iter().map(FieldOrder::field).collect::<Result<Vec<_>, _>>()?;
    let plural = order.plural.unwrap_or_else(|| format!("{}s", order.name));
    let at = org.data.model.add(Object::new(&order.name, &plural, &order.prefix, fields));
    org.data.reindex(at);
    changed(&mut org);
    Ok(Json(json!({ "objects": org.data.model.objects().len() })))
}

/// Fields to add, change, hide or show.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FieldsOrder {
    object: String,
    #[serde(default)]
    fields: Vec<FieldOrder>,
    #[serde(default)]
    remove: Vec<String>,
    /// New lengths of texts; what is longer already stays.
    #[serde(default)]
    length: BTreeMap<String, u32>,
    #[serde(default)]
    hide: Vec<String>,
    #[serde(default)]
    show: Vec<String>,
}

/// `POST /fields`.
pub(super) async fn fields(State(shared): State<Shared>, Json(order): Json<FieldsOrder>) -> Done {
    let mut org = shared.org();
    let at = object(&org, &order.object)?;
    let fields = order.fields.into_iter().map(FieldOrder::field).collect::<Result<Vec<_>, _>>()?;
    let spec = org.data.model.object_mut(at);
    for field in fields {
        spec.add(field);
    }
    for name in &order.remove {
        if !spec.remove(name) {
            return Err(Unfit(format!("`{}` has no field `{name}`", spec.name)));
        }
    }
    for (name, length) in order.length {
        let field = spec.find_any(&name).filter(|at| spec.field(*at).kind.is_text());
        let field =
            field.ok_or_else(|| Unfit(format!("`{}` has no text field `{name}`", spec.name)))?;
        spec.field_mut(field).length = length;
    }
    for (names, hidden) in [(&order.hide, true), (&order.show, false)] {
        for name in names {
            let field = spec
                .find_any(name)
                .ok_or_else(|| Unfit(format!("`{}` has no field `{name}`", spec.name)))?;
            spec.field_mut(field).hidden = hidden;
        }
    }
    let count = spec.len();
    org.data.reindex(at);
    changed(&mut org);
    Ok(Json(json!({ "fields": count })))
}

/// A record type.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypeOrder {
    name: String,
    developer_name: String,
    #[serde(default)]
    default: bool,
    #[serde(default = "yes")]
    active: bool,
}

fn yes() -> bool {
    true
}

/// The record types of an object.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TypesOrder {
    object: String,
    types: Vec<TypeOrder>,
}

/// `POST /record-types`.
pub(super) async fn record_types(
    State(shared): State<Shared>,
    Json(order): Json<TypesOrder>,
) -> Done {
    let mut org = shared.org();
    let at = object(&org, &order.object)?;
    let name = org.data.model.object(at).name.clone();
    let mut kinds = Vec::new();
    for kind in order.types {
        let values = [
            ("Name", Value::text(&kind.name)),
            ("DeveloperName", Value::text(&kind.developer_name)),
            ("SobjectType", Value::text(&name)),
            ("IsActive", Value::Bool(kind.active)),
        ];
        let id = org.add_own("RecordType", &values)?;
        let TypeOrder { name, developer_name, default, active } = kind;
        kinds.push(RecordType { id, name, developer_name, active, default });
    }
    let ids: Vec<String> = kinds.iter().map(|kind| kind.id.to_string()).collect();
    let default = kinds.iter().find(|kind| kind.default).map(|kind| kind.id.to_string());
    let field = Field {
        length: 18,
        default,
        reference: Some(Reference {
            to: "RecordType".to_owned(),
            parent: Some("RecordType".to_owned()),
            children: None,
            cascade: false,
        }),
        ..Field::new("RecordTypeId", "Record Type ID", Kind::Reference)
    };
    let spec = org.data.model.object_mut(at);
    spec.record_types = kinds;
    spec.add(field);
    org.data.reindex(at);
    changed(&mut org);
    Ok(Json(json!({ "ids": ids })))
}

/// The model is newer than every copy that a client has.
pub(super) fn changed(org: &mut Org) {
    org.model_changed = second(org.clock.now()).max(org.model_changed + 1);
}
