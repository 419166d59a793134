//! Orders of an administrator about what the integration user may see and do.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::json;

use super::super::model::{Field, Right};
use super::super::server::Shared;
use super::shape::changed;
use super::{Done, Unfit, id, object};

/// What is allowed and denied; what is not named stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Permissions {
    object: String,
    read: Option<bool>,
    create: Option<bool>,
    edit: Option<bool>,
    delete: Option<bool>,
    /// Fields that are no longer seen.
    #[serde(default)]
    hide: Vec<String>,
    /// Fields that are seen, and not written.
    #[serde(default)]
    read_only: Vec<String>,
    /// Fields that are seen and written.
    #[serde(default)]
    open: Vec<String>,
}

/// `POST /permissions`.
pub(super) async fn permissions(
    State(shared): State<Shared>,
    Json(order): Json<Permissions>,
) -> Done {
    let mut org = shared.org();
    let at = object(&org, &order.object)?;
    let spec = org.data.model.object_mut(at);
    let rights = [
        (Right::Read, order.read),
        (Right::Create, order.create),
        (Right::Edit, order.edit),
        (Right::Delete, order.delete),
    ];
    for (right, allowed) in rights.into_iter().filter_map(|(right, said)| Some((right, said?))) {
        spec.denied.retain(|denied| *denied != right);
        if !allowed {
            spec.denied.push(right);
        }
    }
    let hide: fn(&mut Field) = |field| field.hidden = true;
    let close: fn(&mut Field) = |field| (field.hidden, field.read_only) = (false, true);
    let open: fn(&mut Field) = |field| (field.hidden, field.read_only) = (false, false);
    for (names, set) in [(&order.hide, hide), (&order.read_only, close), (&order.open, open)] {
        for name in names {
            let field = spec
                .find_any(name)
                .ok_or_else(|| Unfit(format!("`{}` has no field `{name}`", spec.name)))?;
            set(spec.field_mut(field));
        }
    }
    changed(&mut org);
    Ok(Json(json!({})))
}

/// Records to share with the integration user, or no longer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sharing {
    object: String,
    ids: Vec<String>,
    visible: bool,
}

/// `POST /share`.
pub(super) async fn share(State(shared): State<Shared>, Json(order): Json<Sharing>) -> Done {
    let mut org = shared.org();
    let at = object(&org, &order.object)?;
    let ids = order.ids.iter().map(|text| id(text)).collect::<Result<Vec<_>, _>>()?;
    for id in &ids {
        org.data.table_mut(at).share(*id, order.visible);
    }
    Ok(Json(json!({ "visible": order.visible, "records": ids.len() })))
}
