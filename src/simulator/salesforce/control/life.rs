//! Orders about the life of records: the recycle bin, and leads that become contacts.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::json;

use super::super::clock::second;
use super::super::convert_lead::{Conversion, convert_lead};
use super::super::server::Shared;
use super::{Done, id, object, person};

/// Whose recycle bin is emptied.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bin {
    /// All objects if it is not said.
    object: Option<String>,
    user: Option<String>,
}

/// `POST /empty-bin`.
pub(super) async fn empty_bin(State(shared): State<Shared>, Json(bin): Json<Bin>) -> Done {
    let mut org = shared.org();
    let actor = person(&org, bin.user.as_deref())?;
    let objects = match bin.object.as_deref() {
        Some(name) => vec![object(&org, name)?],
        None => (0..org.data.model.objects().len()).collect(),
    };
    let mut purged = 0;
    for at in objects {
        let table = org.data.table(at);
        let is_deleted = |id: &_| table.latest(*id).is_some_and(|row| row.is_deleted());
        let ids: Vec<_> = table.ids().filter(is_deleted).collect();
        for id in ids {
            org.data.purge(at, id, actor)?;
            purged += 1;
        }
    }
    Ok(Json(json!({ "purged": purged })))
}

/// `POST /delete-log`: what was deleted so far is no longer told by `deleted`.
pub(super) async fn delete_log(State(shared): State<Shared>) -> Done {
    let mut org = shared.org();
    org.deleted_since = second(org.clock.now());
    Ok(Json(json!({})))
}

/// A lead that becomes a contact of an account.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConvertOrder {
    lead: String,
    account: Option<String>,
    contact: Option<String>,
    /// The name of an opportunity that is made; none if it is not said.
    opportunity: Option<String>,
    user: Option<String>,
}

/// `POST /convert`.
pub(super) async fn convert(State(shared): State<Shared>, Json(order): Json<ConvertOrder>) -> Done {
    let mut org = shared.org();
    let actor = person(&org, order.user.as_deref())?;
    let conversion = Conversion {
        lead: id(&order.lead)?,
        account: order.account.as_deref().map(id).transpose()?,
        contact: order.contact.as_deref().map(id).transpose()?,
        opportunity: order.opportunity,
    };
    let made = convert_lead(&mut org.data, &conversion, actor)?;
    Ok(Json(json!({
        "account": made.account.as_str(),
        "contact": made.contact.as_str(),
        "opportunity": made.opportunity.map(|id| id.to_string()),
    })))
}
