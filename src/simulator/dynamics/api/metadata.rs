//! What the service says of itself: its sets, its description, the definitions of tables.

use serde_json::{Map, Value as Json, json};

use super::super::address::segment;
use super::super::csdl;
use super::super::definitions;
use super::super::exchange::{Answer, Answered};
use super::super::guid::Guid;
use super::super::model::{Column, Table};
use super::super::number::Number;
use super::super::odata::filter::{self, Comparison, Filter, Operand};
use super::super::odata::lex::Literal;
use super::super::org::Org;
use super::super::refusal::Refusal;
use super::Call;
use super::render::split;

const CASTS: &str = "Microsoft.Dynamics.CRM.";

/// `GET /`.
pub(super) fn service_document(org: &Org, call: &Call<'_>) -> Answer {
    let sets = org
        .data
        .model
        .tables
        .iter()
        .map(|table| json!({ "name": table.set, "kind": "EntitySet", "url": table.set }));
    let context = format!("{}/$metadata", call.root);
    Answer::new(200, json!({ "@odata.context": context, "value": sets.collect::<Vec<_>>() }))
}

/// `GET $metadata`.
pub(super) fn csdl(org: &Org, call: &Call<'_>) -> Answer {
    let annotated = call.request.option("annotations") == Some("true")
        || call.request.preference("odata.include-annotations").is_some();
    Answer::text("application/xml", csdl::document(&org.data.model, annotated))
}

/// Whether a segment is of the definitions.
pub(super) fn is_definition(text: &str) -> bool {
    matches!(
        segment(text).0,
        "EntityDefinitions" | "GlobalOptionSetDefinitions" | "RelationshipDefinitions"
    )
}

/// `GET EntityDefinitions…` and the other definitions.
pub(super) fn definitions(org: &Org, call: &Call<'_>, (first, rest): (&str, &[&str])) -> Answered {
    super::inquiry::check_options(call.request)?;
    let (name, key) = segment(first);
    match (name, key, rest) {
        ("EntityDefinitions", None, []) => {
            let all = org.data.model.tables.iter().map(|table| expanded(org, call, table));
            list(call, "EntityDefinitions", all.collect::<Result<_, _>>()?)
        }
        ("EntityDefinitions", Some(key), rest) => {
            let found = org
                .data
                .model
                .tables
                .iter()
                .find(|table| is_meant(key, "LogicalName", &table.name, table.metadata_id()));
            let missing =
                || Refusal::new(404, "0x80060888", format!("Could not find an entity with {key}"));
            let table = found.ok_or_else(missing)?;
            of_table(org, call, (table, key), rest)
        }
        ("GlobalOptionSetDefinitions", None, []) => {
            list(call, "GlobalOptionSetDefinitions", definitions::global_sets(&org.data.model))
        }
        ("GlobalOptionSetDefinitions", Some(key), _) => {
            let all = definitions::global_sets(&org.data.model);
            let found = all.into_iter().find(|set| {
                is_meant(key, "Name", set["Name"].as_str().unwrap_or_default(), Guid::MIN)
            });
            Ok(one(call, "GlobalOptionSetDefinitions", found.ok_or_else(|| Refusal::segment(key))?))
        }
        ("RelationshipDefinitions", None, _) => {
            let tables = org.data.model.tables.iter();
            let all = tables.flat_map(|table| definitions::many_to_one(&org.data.model, table));
            list(call, "RelationshipDefinitions", all.collect())
        }
        _ => Err(Refusal::segment(rest.last().unwrap_or(&first))),
    }
}

/// Whether a key in parentheses means something of that name or id.
fn is_meant(key: &str, by: &str, name: &str, id: Guid) -> bool {
    match key.split_once('=') {
        Some((property, value)) if property.trim() == by => value.trim().trim_matches('\'') == name,
        Some((property, value)) if property.trim() == "MetadataId" => {
            Guid::parse(value) == Some(id)
        }
        Some(_) => false,
        None => Guid::parse(key) == Some(id),
    }
}

fn of_table(org: &Org, call: &Call<'_>, (table, key): (&Table, &str), rest: &[&str]) -> Answered {
    let base = format!("EntityDefinitions({key})");
    let Some((first, more)) = rest.split_first() else {
        let whole = expanded(org, call, table)?;
        return Ok(one(call, "EntityDefinitions", whole));
    };
    let (name, inside) = segment(first);
    match (name, inside) {
        ("Attributes", inside) => attributes(call, (table, &base), inside, more),
        (name, None) if more.is_empty() => match collection(org, table, name) {
            Some(all) => list(call, &format!("{base}/{name}"), all),
            None => property(&definitions::table(table), name, more),
        },
        (name, None) => property(&definitions::table(table), name, more),
        (name, Some(key)) => {
            let all = collection(org, table, name).ok_or_else(|| Refusal::segment(name))?;
            let found = all.into_iter().find(|each| {
                let is = |by: &str| {
                    let name = each[by].as_str().unwrap_or_default();
                    let id = each["MetadataId"].as_str().and_then(Guid::parse);
                    is_meant(key, by, name, id.unwrap_or_default())
                };
                is("LogicalName") || is("SchemaName")
            });
            Ok(one(call, &format!("{base}/{name}"), found.ok_or_else(|| Refusal::segment(key))?))
        }
    }
}

/// A table's definition with the parts that are to be expanded.
fn expanded(org: &Org, call: &Call<'_>, table: &Table) -> Result<Json, Refusal> {
    let mut whole = definitions::table(table);
    for part in split(call.request.option("$expand").unwrap_or_default(), ',') {
        let name = part.split('(').next().unwrap_or_default().trim();
        let inner = option_of(part, "$select");
        let all = collection(org, table, name).ok_or_else(|| unknown(name))?;
        whole[name] = all.into_iter().map(|each| selected(each, inner.as_deref())).collect();
    }
    Ok(whole)
}

fn collection(org: &Org, table: &Table, name: &str) -> Option<Vec<Json>> {
    let model = &org.data.model;
    Some(match name {
        "Attributes" => table.live().map(|(_, column)| whole(table, column)).collect(),
        "Keys" => table.keys.iter().map(|key| definitions::key(table, key)).collect(),
        "ManyToOneRelationships" => definitions::many_to_one(model, table),
        "OneToManyRelationships" => definitions::one_to_many(model, table),
        "ManyToManyRelationships" => Vec::new(),
        _ => return None,
    })
}

fn whole(table: &Table, column: &Column) -> Json {
    definitions::column(table, column)
}

/// `…/Attributes`, one or all, cast to a type or not.
fn attributes(
    call: &Call<'_>,
    (table, base): (&Table, &str),
    inside: Option<&str>,
    rest: &[&str],
) -> Answered {
    let cast = rest.first().and_then(|text| text.strip_prefix(CASTS));
    if cast == Some("EnumAttributeMetadata") {
        let message = "The type 'EnumAttributeMetadata' is abstract and cannot be cast to.";
        return Err(Refusal::undefined(message));
    }
    let is_of_cast = |column: &Column| cast.is_none_or(|cast| cast == definitions::cast_of(column));
    let expand = call.request.option("$expand");
    if let Some(expand) = expand.filter(|_| cast.is_none()) {
        return Err(unknown(expand));
    }
    let full = |column: &Column| {
        let mut json = whole(table, column);
        for part in split(expand.unwrap_or_default(), ',') {
            let name = part.split('(').next().unwrap_or_default().trim();
            json[name] = definitions::option_set(table, column, name);
            if let Some(inner) = option_of(part, "$select") {
                json[name] = selected(json[name].take(), Some(&inner));
            }
        }
        json
    };
    let address = match cast {
        Some(cast) => format!("{base}/Attributes/{CASTS}{cast}"),
        None => format!("{base}/Attributes"),
    };
    let Some(key) = inside else {
        let all = table.live().filter(|(_, column)| is_of_cast(column));
        return list(call, &address, all.map(|(_, column)| full(column)).collect());
    };
    let mut live = table.live().map(|(_, column)| column);
    let found = live.find(|column| {
        is_meant(key, "LogicalName", &column.name, table.column_id(column)) && is_of_cast(column)
    });
    let missing =
        || Refusal::new(404, "0x80060888", format!("Could not find an attribute with {key}"));
    let column = found.ok_or_else(missing)?;
    let behind = if cast.is_some() { rest.get(1..).unwrap_or_default() } else { rest };
    match behind.split_first() {
        None => Ok(one(call, &address, full(column))),
        Some((&("OptionSet" | "GlobalOptionSet"), _)) if cast.is_some() => {
            let name = behind[0];
            Ok(one(
                call,
                &format!("{address}/{name}"),
                definitions::option_set(table, column, name),
            ))
        }
        Some((name, more)) => property(&full(column), name, more),
    }
}

fn unknown(name: &str) -> Refusal {
    Refusal::undefined(format!("Could not find a property named '{name}' on this definition."))
}

/// A single property of a definition, as JSON or as text.
fn property(json: &Json, name: &str, rest: &[&str]) -> Answered {
    let value = json.get(name).ok_or_else(|| unknown(name))?;
    if rest == ["$value"] {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        return Ok(Answer::text("text/plain", text));
    }
    Ok(Answer::new(200, json!({ "value": value })))
}

/// The value of an option within the parentheses of an expansion.
fn option_of(part: &str, name: &str) -> Option<String> {
    let inside = part.split_once('(')?.1.trim_end().strip_suffix(')')?;
    let pairs = inside.split(';').filter_map(|one| one.trim().split_once('='));
    let mut named = pairs.filter(|(key, _)| *key == name);
    named.next().map(|(_, value)| value.to_owned())
}

fn context_of(call: &Call<'_>, what: &str) -> String {
    let select = call.request.option("$select");
    let columns = select.map_or(String::new(), |select| format!("({select})"));
    call.context(&format!("{what}{columns}"))
}

fn one(call: &Call<'_>, what: &str, json: Json) -> Answer {
    let mut body = Map::new();
    let context = format!("{}/$entity", context_of(call, what));
    body.insert("@odata.context".to_owned(), json!(context));
    body.extend(super::json_object(selected(json, call.request.option("$select"))));
    Answer::new(200, Json::Object(body))
}

fn list(call: &Call<'_>, what: &str, all: Vec<Json>) -> Answered {
    let filter = call.request.option("$filter").map(filter::parse).transpose()?;
    let mut value = Vec::new();
    for json in all {
        if filter.as_ref().map_or(Ok(true), |filter| meets(&json, filter))? {
            value.push(selected(json, call.request.option("$select")));
        }
    }
    Ok(Answer::new(200, json!({ "@odata.context": context_of(call, what), "value": value })))
}

/// What was selected; the id of a definition always comes.
fn selected(json: Json, select: Option<&str>) -> Json {
    let (Some(select), Json::Object(object)) = (select, &json) else { return json };
    let names: Vec<&str> = select.split(',').map(str::trim).collect();
    let expanded = [
        "OptionSet",
        "GlobalOptionSet",
        "Attributes",
        "Keys",
        "ManyToOneRelationships",
        "OneToManyRelationships",
        "ManyToManyRelationships",
    ];
    let is_kept = |name: &str| {
        names.contains(&name)
            || name == "MetadataId"
            || name == "@odata.type"
            || expanded.contains(&name)
    };
    let kept = object.iter().filter(|(name, _)| is_kept(name));
    Json::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// Whether a definition meets a filter; the functions on texts are not there for definitions.
fn meets(json: &Json, filter: &Filter) -> Result<bool, Refusal> {
    Ok(match filter {
        Filter::All(parts) => parts
            .iter()
            .map(|part| meets(json, part))
            .collect::<Result<Vec<_>, _>>()?
            .iter()
            .all(|is| *is),
        Filter::Any(parts) => parts
            .iter()
            .map(|part| meets(json, part))
            .collect::<Result<Vec<_>, _>>()?
            .iter()
            .any(|is| *is),
        Filter::Not(inner) => !meets(json, inner)?,
        Filter::Text(name, ..) => {
            let message = format!("The \"{name}\" function isn't supported for Metadata Entities");
            return Err(Refusal::new(501, "0x8006088a", message));
        }
        Filter::Compare(Operand::Path(path), how, Operand::Literal(literal)) => {
            let found = path.iter().try_fold(json, |json, name| json.get(name));
            let found = found.ok_or_else(|| unknown(&path.join("/")))?;
            let is_equal = match literal {
                Literal::Null => found.is_null(),
                Literal::Bool(flag) => found == flag,
                Literal::Text(text) => found.as_str() == Some(text),
                Literal::Number(number) => found.as_i64().map(Number::whole) == Some(*number),
                Literal::Id(id) => found.as_str() == Some(&id.to_string()),
                Literal::Date(_) | Literal::Instant(_) => false,
            };
            match how {
                Comparison::Eq => is_equal,
                Comparison::Ne => !is_equal,
                Comparison::Gt | Comparison::Ge | Comparison::Lt | Comparison::Le => {
                    return Err(Refusal::not_simulated("this comparison of definitions"));
                }
            }
        }
        Filter::Compare(..) | Filter::Query(..) | Filter::Lambda { .. } => {
            return Err(Refusal::not_simulated("this filter of definitions"));
        }
    })
}
