//! `search` and `parameterizedSearch`: records by the words that stand in them.

use serde_json::{Map, Value as Json, json};

use super::super::org::Org;
use super::super::refusal::Refusal;
use super::super::soql::bind::Answer as Wanted;
use super::super::soql::run::print;
use super::super::sosl::{self, Returning, Scope, Search};
use super::{Answer, Answered, Call, Failure};

/// `GET /search?q=FIND …`.
pub(super) fn search(org: &Org, call: &Call<'_>) -> Answered {
    let text = call.request.parameter("q").unwrap_or_default();
    answer(org, call, &sosl::statement(text)?)
}

/// `GET` or `POST /parameterizedSearch`.
pub(super) fn parameterized(org: &Org, call: &Call<'_>) -> Answered {
    let search = if call.request.method == "POST" {
        of_body(&call.request.object()?)?
    } else {
        of_query(call)?
    };
    answer(org, call, &search)
}

fn answer(org: &Org, call: &Call<'_>, search: &Search) -> Answered {
    let mut records = Vec::new();
    for found in sosl::run(&org.data, search)? {
        let Wanted::Rows(picks) = &found.bound.answer else {
            return Err(sosl::malformed("a search returns fields, not aggregates").into());
        };
        for row in &found.rows {
            records.push(print(&org.data, found.bound.object, (row, picks), call.version));
        }
    }
    let rows = records.len();
    Ok(Answer::new(200, json!({ "searchRecords": records })).rows(rows))
}

fn scope(name: Option<&str>) -> Result<Scope, Failure> {
    let name = name.unwrap_or("ALL");
    Scope::named(name).ok_or_else(|| {
        let message = format!("in is ALL, NAME, EMAIL, PHONE or SIDEBAR, not {name}");
        Refusal::new("INVALID_SEARCH", message).into()
    })
}

fn of_query(call: &Call<'_>) -> Result<Search, Failure> {
    let given = |name: &str| call.request.parameter(name);
    let number = |name: &str| given(name).map(|text| number(name, text)).transpose();
    let list = |text: &str| -> Vec<String> {
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let mut returning = Vec::new();
    for object in list(given("sobject").unwrap_or_default()) {
        let own = |what: &str| given(&format!("{object}.{what}")).map(str::to_owned);
        let fields = own("fields").or_else(|| given("fields").map(str::to_owned));
        let condition = own("where").map(|text| format!("WHERE {text}"));
        let order = own("orderBy").map(|text| format!("ORDER BY {text}"));
        let limit = own("limit").map(|text| self::number("limit", &text)).transpose()?;
        returning.push(Returning {
            fields: list(&fields.unwrap_or_default()),
            rest: [condition, order].into_iter().flatten().collect::<Vec<_>>().join(" "),
            limit: limit.or(number("defaultLimit")?),
            object,
        });
    }
    Ok(Search {
        words: given("q").unwrap_or_default().to_owned(),
        scope: scope(given("in"))?,
        returning,
        limit: number("overallLimit")?,
    })
}

fn number(name: &str, text: &str) -> Result<usize, Failure> {
    text.parse().map_err(|_| {
        Refusal::new("INVALID_SEARCH", format!("{name} is not a number: {text}")).into()
    })
}

fn of_body(body: &Map<String, Json>) -> Result<Search, Failure> {
    let list = |value: Option<&Json>| -> Vec<String> {
        let items = value.and_then(Json::as_array).into_iter().flatten();
        items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let count =
        |value: Option<&Json>| value.and_then(Json::as_u64).and_then(|n| usize::try_from(n).ok());
    let mut returning = Vec::new();
    for one in body.get("sobjects").and_then(Json::as_array).into_iter().flatten() {
        let text = |name: &str| one[name].as_str();
        let Some(object) = text("name") else {
            return Err(Refusal::new("INVALID_SEARCH", "each of sobjects needs a name").into());
        };
        let own = list(one.get("fields"));
        let condition = text("where").map(|text| format!("WHERE {text}"));
        let order = text("orderBy").map(|text| format!("ORDER BY {text}"));
        returning.push(Returning {
            object: object.to_owned(),
            fields: if own.is_empty() { list(body.get("fields")) } else { own },
            rest: [condition, order].into_iter().flatten().collect::<Vec<_>>().join(" "),
            limit: count(one.get("limit")).or_else(|| count(body.get("defaultLimit"))),
        });
    }
    Ok(Search {
        words: body.get("q").and_then(Json::as_str).unwrap_or_default().to_owned(),
        scope: scope(body.get("in").and_then(Json::as_str))?,
        returning,
        limit: count(body.get("overallLimit")),
    })
}
