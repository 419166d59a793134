//! `composite/tree`: records created with their children, all of them or none.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::super::convert::{self, Purpose};
use super::super::id::Id;
use super::super::org::Org;
use super::super::refusal::{Refusal, TOO_MANY, UNREADABLE};
use super::super::value::Value;
use super::super::wish::{Wish, carry_out};
use super::{Answer, Answered, Call, Failure, object_of};

/// Records of one call, and how deep they may be nested.
const RECORDS_MAX: usize = 200;
const DEPTH_MAX: usize = 5;

/// A record of the tree, before it is created.
struct Node<'a> {
    object: usize,
    reference: String,
    record: &'a Map<String, Json>,
    /// Which node is its parent, and by which field.
    parent: Option<(usize, usize)>,
    /// Its members that are children, not fields.
    children: Vec<&'a str>,
}

/// `POST /composite/tree/{Object}`.
pub(super) fn tree(org: &mut Org, call: &Call<'_>, object: &str) -> Answered {
    let object = object_of(org, object)?;
    let body = call.request.object()?;
    let mut nodes = Vec::new();
    plant(org, (object, None), body.get("records"), (&mut nodes, 1))?;
    if RECORDS_MAX < nodes.len() {
        let message = format!("a tree takes {RECORDS_MAX} records; these are {}", nodes.len());
        return Err(Refusal::new(TOO_MANY, message).into());
    }
    let mark = org.data.begin();
    let grown = grow(org, call, &nodes);
    if grown.is_err() {
        org.data.roll_back(&mark);
    }
    org.data.commit();
    Ok(match grown {
        Ok(ids) => {
            let pairs = nodes.iter().zip(ids);
            let results: Vec<Json> = pairs
                .map(|(node, id)| json!({ "referenceId": node.reference, "id": id.as_str() }))
                .collect();
            Answer::new(201, json!({ "hasErrors": false, "results": results }))
        }
        Err(results) => Answer::new(400, json!({ "hasErrors": true, "results": results })),
    })
}

/// Lists the records below `records`, parents first.
fn plant<'a>(
    org: &Org,
    (object, parent): (usize, Option<(usize, usize)>),
    records: Option<&'a Json>,
    (nodes, depth): (&mut Vec<Node<'a>>, usize),
) -> Result<(), Failure> {
    let Some(Json::Array(records)) = records else {
        return Err(Refusal::new("MISSING_ARGUMENT", "records must be given").into());
    };
    if DEPTH_MAX < depth {
        let message = format!("a tree is at most {DEPTH_MAX} records deep");
        return Err(Refusal::new(TOO_MANY, message).into());
    }
    for record in records {
        let Json::Object(record) = record else {
            return Err(Refusal::new(UNREADABLE, "each record must be a JSON object").into());
        };
        let attributes = record.get("attributes").unwrap_or(&Json::Null);
        let name = &org.data.model.object(object).name;
        let kind = attributes["type"].as_str();
        let is_of = kind.is_some_and(|kind| kind.eq_ignore_ascii_case(name));
        let (Some(reference), true) = (attributes["referenceId"].as_str(), is_of) else {
            let message = format!("each record needs attributes.type {name} and referenceId");
            return Err(Refusal::new("INVALID_INPUT", message).into());
        };
        if nodes.iter().any(|node| node.reference == reference) {
            let message = format!("Duplicate ReferenceId provided in the request: {reference}");
            return Err(Refusal::new("INVALID_INPUT", message).into());
        }
        let below: Vec<_> = record
            .iter()
            .filter_map(|(name, value)| {
                Some((name.as_str(), org.data.model.children(object, name)?, value.get("records")?))
            })
            .collect();
        let place = nodes.len();
        let children = below.iter().map(|(name, ..)| *name).collect();
        nodes.push(Node { object, reference: reference.to_owned(), record, parent, children });
        for (_, (child, field), records) in below {
            plant(org, (child, Some((place, field))), Some(records), (nodes, depth + 1))?;
        }
    }
    Ok(())
}

/// Creates the records; else the errors of those that are to blame.
fn grow(org: &mut Org, call: &Call<'_>, nodes: &[Node<'_>]) -> Result<Vec<Id>, Vec<Json>> {
    let actor = org.api_actor(call.request, call.now);
    let mut ids: Vec<Option<Id>> = Vec::new();
    let mut errors = Vec::new();
    for node in nodes {
        let above = node.parent.map(|(place, field)| (field, ids[place]));
        // A parent that failed is to blame, not its children.
        if let Some((_, None)) = above {
            ids.push(None);
            continue;
        }
        let parent = above.and_then(|(field, id)| Some((field, Value::Id(id?))));
        let read =
            convert::changes(&org.data, node.object, node.record, Purpose::Create, &node.children);
        let wish = read.map(|mut changes| {
            changes.extend(parent);
            Wish::Create(changes)
        });
        let outcome = carry_out(org, (node.object, wish), actor, &mut BTreeSet::new());
        if let Some(refusal) = outcome.refusal {
            let list = [refusal.in_collection()];
            errors.push(json!({ "referenceId": node.reference, "errors": list }));
        }
        ids.push(outcome.id);
    }
    ids.into_iter().collect::<Option<Vec<Id>>>().ok_or(errors)
}
