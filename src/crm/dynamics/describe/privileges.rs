//! What the application user's roles let it do with a table.
//!
//! A table names its privileges itself, in a case of its own (`prvWriteContact`,
//! `prvWritenew_Pet`), so they are read and compared by their ids. Some environments do not tell: then
//! nothing is known to be lacking, and a write that is not allowed is refused when it is tried.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::crm::dynamics::api::Api;
use crate::crm::dynamics::odata::{self, ROOT};
use crate::peer::PeerError;

/// A privilege that none of the application user's roles has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::crm::dynamics) struct Lacking {
    /// `Create`, `Write`, `Delete` and so on.
    pub(super) verb: String,
    /// `prvWriteContact`.
    pub(super) name: String,
}

#[derive(Deserialize)]
struct OfTable {
    #[serde(rename = "Privileges", default)]
    privileges: Vec<Privilege>,
}

#[derive(Deserialize)]
struct Privilege {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "PrivilegeId")]
    id: String,
    /// What it is for, by name or by number.
    #[serde(rename = "PrivilegeType")]
    verb: Json,
}

#[derive(Deserialize)]
struct OfUser {
    #[serde(rename = "RolePrivileges", default)]
    held: Vec<Held>,
}

#[derive(Deserialize)]
struct Held {
    #[serde(rename = "PrivilegeId")]
    id: String,
}

/// What may be done with rows, in the order of the service's numbers from 1 on.
const VERBS: [&str; 8] =
    ["Create", "Read", "Write", "Delete", "Assign", "Share", "Append", "AppendTo"];

/// The privileges on a table that the application user lacks, by its own roles and its teams'.
pub(in crate::crm::dynamics) async fn lacking(
    api: &Api,
    table: &str,
) -> Result<Vec<Lacking>, PeerError> {
    let path =
        format!("{ROOT}/EntityDefinitions(LogicalName={})?$select=Privileges", odata::text(table));
    let Some(OfTable { privileges }) = told(api, &path).await? else { return Ok(Vec::new()) };
    let user = api.client.token().await?.user.clone();
    let path = format!("{ROOT}/systemusers({user})/Microsoft.Dynamics.CRM.RetrieveUserPrivileges");
    let Some(OfUser { held }) = told(api, &path).await? else { return Ok(Vec::new()) };
    let held: BTreeSet<String> = held.into_iter().map(|one| one.id.to_ascii_lowercase()).collect();
    let lacks = |one: &Privilege| !held.contains(&one.id.to_ascii_lowercase());
    Ok(privileges.into_iter().filter(lacks).filter_map(Privilege::lacking).collect())
}

/// What is told; `None` where it is not.
async fn told<T: DeserializeOwned>(api: &Api, path: &str) -> Result<Option<T>, PeerError> {
    match api.metadata(path).await {
        Err(PeerError::Unfit { why } | PeerError::Denied { why }) => {
            tracing::debug!(why, "privileges are not told");
            Ok(None)
        }
        told => told,
    }
}

impl Privilege {
    fn lacking(self) -> Option<Lacking> {
        let verb = match self.verb.as_str() {
            Some(verb) => verb,
            None => VERBS.get(usize::try_from(self.verb.as_u64()?).ok()?.checked_sub(1)?)?,
        };
        Some(Lacking { verb: verb.to_owned(), name: self.name })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_privilege_is_for_a_verb_that_comes_by_name_or_by_number() {
        let verb = |told: Json| {
            let privilege = json!({ "Name": "prvX", "PrivilegeId": "1", "PrivilegeType": told });
            let privilege: Privilege = serde_json::from_value(privilege).unwrap();
            privilege.lacking().map(|lacking| lacking.verb)
        };
        assert_eq!(verb(json!("Write")).as_deref(), Some("Write"));
        assert_eq!(verb(json!(3)).as_deref(), Some("Write"));
        assert_eq!(verb(json!(8)).as_deref(), Some("AppendTo"));
        assert_eq!(verb(json!(0)), None);
        assert_eq!(verb(json!(9)), None);
    }
}
