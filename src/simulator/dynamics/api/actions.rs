//! Functions and actions that belong to no table.

use serde_json::{Map, Value as Json, json};

use super::super::convert::{self, Purpose};
use super::super::definitions::{VERBS, privilege_of};
use super::super::exchange::{Answer, Answered};
use super::super::guid::Guid;
use super::super::org::Org;
use super::super::refusal::Refusal;
use super::super::write;
use super::{Call, check_privilege, rows};

/// Functions and actions that the service has and the simulator has not.
pub(super) fn is_known_elsewhere(segment: &str) -> bool {
    let name = segment.split('(').next().unwrap_or_default();
    matches!(
        name,
        "RetrieveMetadataChanges"
            | "BulkDelete"
            | "WinOpportunity"
            | "LoseOpportunity"
            | "QualifyLead"
            | "RetrieveVersion"
            | "RetrieveCurrentOrganization"
    )
}

/// `WhoAmI`.
pub(super) fn who_am_i(org: &Org, call: &Call<'_>) -> Answer {
    let names = &org.names;
    Answer::new(
        200,
        json!({
            "@odata.context": call.context("Microsoft.Dynamics.CRM.WhoAmIResponse"),
            "BusinessUnitId": names.unit.to_string(),
            "UserId": names.api_user.to_string(),
            "OrganizationId": names.org.to_string(),
        }),
    )
}

/// `RetrieveUserPrivileges` of a user: what its roles let it do, for the whole organisation.
pub(super) fn user_privileges(org: &Org, call: &Call<'_>, user: Guid) -> Answer {
    let is_app = user == org.names.api_user;
    let mut held = Vec::new();
    for (at, table) in org.data.model.tables.iter().enumerate() {
        for verb in VERBS {
            if is_app && org.app.lacks.contains(&(at, verb)) {
                continue;
            }
            let (name, id) = privilege_of(table, verb);
            held.push(json!({
                "Depth": "Global", "PrivilegeId": id.to_string(), "PrivilegeName": name,
                "BusinessUnitId": org.names.unit.to_string(),
            }));
        }
    }
    Answer::new(
        200,
        json!({
            "@odata.context": call.context("Microsoft.Dynamics.CRM.RetrieveUserPrivilegesResponse"),
            "RolePrivileges": held,
        }),
    )
}

/// `Merge`.
pub(super) fn merge(org: &mut Org, call: &Call<'_>) -> Answered {
    let body = call.request.object()?;
    let (table, master) = subject(org, &body, "Target")?;
    let (other, loser) = subject(org, &body, "Subordinate")?;
    if table != other {
        return Err(Refusal::argument("'Target' and 'Subordinate' are of different tables"));
    }
    check_privilege(org, table, "Write")?;
    let content = body.get("UpdateContent").and_then(Json::as_object);
    let mut content = content.cloned().unwrap_or_default();
    content.remove(&org.data.model.table(table).column(super::super::model::ID).name.clone());
    let changes = convert::changes(&org.data, table, &content, Purpose::Update)?;
    let actor = org.api_actor(call.request);
    let mark = org.data.mark();
    write::merge(&mut org.data, table, (master, loser), changes, actor)
        .inspect_err(|_| org.data.roll_back(mark))?;
    rows::settle(org, call);
    Ok(Answer::empty(204))
}

/// A record that an action is about.
fn subject(org: &Org, body: &Map<String, Json>, name: &str) -> Result<(usize, Guid), Refusal> {
    let given = body.get(name).and_then(Json::as_object);
    let given = given.ok_or_else(|| Refusal::argument(format!("'{name}' is missing")))?;
    let kind = given.get("@odata.type").and_then(Json::as_str).unwrap_or_default();
    let kind = kind.trim_start_matches('#').trim_start_matches("Microsoft.Dynamics.CRM.");
    let found =
        org.data.model.by_name(kind).and_then(|table| {
            Some((table, convert::chosen_id(org.data.model.table(table), given)?))
        });
    found.ok_or_else(|| Refusal::argument(format!("'{name}' names no record by type and id")))
}

/// `RetrieveTotalRecordCount(EntityNames=['contact'])`.
pub(super) fn total_record_count(org: &Org, call: &Call<'_>, function: &str) -> Answered {
    let inside = super::super::address::segment(function).1.unwrap_or_default();
    let mut text = inside.to_owned();
    for (name, value) in call.request.query.iter().filter(|(name, _)| name.starts_with('@')) {
        text = text.replace(name.as_str(), value);
    }
    let quotes = ['\'', '"'];
    let names: Vec<&str> = text.split(quotes).skip(1).step_by(2).collect();
    let mut counts = Vec::new();
    for name in &names {
        let table = org.data.model.by_name(name).ok_or_else(|| Refusal::segment(name))?;
        counts.push(json!(org.data.records(table).len()));
    }
    Ok(Answer::new(
        200,
        json!({
            "@odata.context": call.context("Microsoft.Dynamics.CRM.RetrieveTotalRecordCountResponse"),
            "EntityRecordCountCollection": {
                "Count": counts.len(), "IsReadOnly": false, "Keys": names, "Values": counts,
            },
        }),
    ))
}
