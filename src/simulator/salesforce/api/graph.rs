//! `composite/graph`: composites side by side, each kept whole or taken back whole.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::super::org::Org;
use super::super::refusal::{Refusal, TOO_MANY};
use super::composite::{Inner, carry_out, unique};
use super::{Answer, Answered, Call, Failure};

/// Requests of all graphs, graphs, and requests that follow from each other.
const NODES_MAX: usize = 500;
const GRAPHS_MAX: usize = 75;
const DEPTH_MAX: usize = 15;

/// `POST /composite/graph`.
pub(super) fn graph(org: &mut Org, call: &Call<'_>) -> Answered {
    let body = call.request.object()?;
    let Some(Json::Array(list)) = body.get("graphs") else {
        return Err(Refusal::new("MISSING_ARGUMENT", "graphs must be given").into());
    };
    let mut graphs = Vec::new();
    for one in list {
        let id = one["graphId"].as_str().map(str::to_owned);
        let (Some(id), Json::Array(inner)) = (id, &one["compositeRequest"]) else {
            let message = "each graph needs graphId and compositeRequest";
            return Err(Refusal::new("MISSING_ARGUMENT", message).into());
        };
        let inner: Vec<Inner> = inner.iter().map(Inner::read).collect::<Result<_, _>>()?;
        graphs.push((id, inner));
    }
    check(&graphs)?;
    let mut answers = Vec::new();
    for (id, inner) in graphs {
        let (answered, successful) = carry_out(org, call, &inner, true);
        answers.push(json!({
            "graphId": id,
            "graphResponse": { "compositeResponse": answered },
            "isSuccessful": successful,
        }));
    }
    Ok(Answer::new(200, json!({ "graphs": answers })))
}

fn check(graphs: &[(String, Vec<Inner>)]) -> Result<(), Failure> {
    let nodes: usize = graphs.iter().map(|(_, inner)| inner.len()).sum();
    if NODES_MAX < nodes || GRAPHS_MAX < graphs.len() {
        let message = format!(
            "{} graphs with {nodes} nodes are more than {GRAPHS_MAX} with {NODES_MAX}",
            graphs.len()
        );
        return Err(Refusal::new(TOO_MANY, message).into());
    }
    for (id, inner) in graphs {
        unique(inner)?;
        let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
        for one in inner {
            let above = one.references();
            let above = above.iter().filter_map(|name| depths.get(name.as_str())).max();
            let depth = 1 + above.copied().unwrap_or(0);
            if DEPTH_MAX < depth {
                let message = format!("graph {id} is deeper than {DEPTH_MAX}");
                return Err(Refusal::new(TOO_MANY, message).into());
            }
            depths.insert(&one.reference, depth);
        }
    }
    Ok(())
}
