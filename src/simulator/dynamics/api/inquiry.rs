//! What a query of a collection asks for, checked and read.

use super::super::data::Data;
use super::super::exchange::Request;
use super::super::odata::bind::{Condition, bind};
use super::super::odata::filter;
use super::super::odata::run::{Order, orders};
use super::super::refusal::Refusal;
use super::render::Shape;

/// Records of a page, where the client does not want fewer.
pub(super) const PAGE_MAX: usize = 5_000;

/// Options that the service knows.
const KNOWN: [&str; 9] = [
    "$select",
    "$filter",
    "$orderby",
    "$top",
    "$expand",
    "$count",
    "$apply",
    "$skiptoken",
    "$deltatoken",
];

/// A query of a collection.
pub(super) struct Inquiry {
    pub(super) shape: Shape,
    pub(super) condition: Option<Condition>,
    pub(super) order: Vec<Order>,
    pub(super) top: Option<usize>,
    pub(super) page: usize,
    pub(super) pages_are_wanted: bool,
    pub(super) count: bool,
}

/// Refuses options that the service does not know.
pub(super) fn check_options(request: &Request) -> Result<(), Refusal> {
    for (name, _) in &request.query {
        match name.as_str() {
            "fetchXml" | "savedQuery" | "userQuery" => return Err(Refusal::not_simulated(name)),
            _ if name.starts_with('$') && !KNOWN.contains(&name.as_str()) => {
                let message = format!("The query parameter {name} is not supported");
                return Err(Refusal::new(501, "0x80060888", message));
            }
            _ => {}
        }
    }
    Ok(())
}

impl Inquiry {
    pub(super) fn of(data: &Data, table: usize, request: &Request) -> Result<Inquiry, Refusal> {
        check_options(request)?;
        let filter = request.option("$filter").map(|text| condition(data, table, text, request));
        let order = request.option("$orderby").map(|text| orders(data, table, text));
        let wanted = request.preference("odata.maxpagesize").and_then(|size| size.parse().ok());
        let number = |name: &str| match request.option(name) {
            None => Ok(None),
            Some(text) => text.parse::<usize>().map(Some).map_err(|_| {
                Refusal::undefined(format!("Invalid value '{text}' for {name} query option found."))
            }),
        };
        let top = number("$top")?.filter(|_| wanted.is_none());
        Ok(Inquiry {
            shape: Shape::of(data, table, request)?,
            condition: filter.transpose()?,
            order: order.transpose()?.unwrap_or_default(),
            top,
            page: wanted.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX),
            pages_are_wanted: wanted.is_some(),
            count: request.option("$count") == Some("true"),
        })
    }
}

/// A filter with its parameters put in.
pub(super) fn condition(
    data: &Data,
    table: usize,
    text: &str,
    request: &Request,
) -> Result<Condition, Refusal> {
    let mut text = text.to_owned();
    let mut parameters: Vec<_> =
        request.query.iter().filter(|(name, _)| name.starts_with('@')).collect();
    // Longer names first: `@p1` is a part of `@p10`.
    parameters.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    for (name, value) in parameters {
        text = text.replace(name.as_str(), value);
    }
    bind(&data.model, table, &filter::parse(&text)?)
}
