//! Versions, limits and describe.

use serde_json::{Value as Json, json};

use super::super::clock::second;
use super::super::describe;
use super::super::model::Right;
use super::super::org::Org;
use super::super::refusal::Refusal;
use super::condition::{self, Version};
use super::extract::QUERIES_A_DAY;
use super::ingest::BATCHES_A_DAY;
use super::{Answer, Answered, Call, Failure, object_of};

/// The oldest version that works, and the newest: Winter '27.
const VERSIONS: std::ops::RangeInclusive<u32> = 31..=68;
/// The oldest version that ever was; those before the first that works are gone (410).
const VERSION_FIRST: u32 = 7;

/// The list of versions; it needs no token.
pub(super) fn versions() -> Answer {
    let list: Vec<Json> = VERSIONS
        .map(|version| {
            json!({
                "label": release(version),
                "url": format!("/services/data/v{version}.0"),
                "version": format!("{version}.0"),
            })
        })
        .collect();
    Answer::new(200, Json::Array(list))
}

/// Three releases a year; 68.0 is Winter '27.
fn release(version: u32) -> String {
    let since = version + 1;
    let (season, year) = match since % 3 {
        0 => ("Winter", since / 3 + 4),
        1 => ("Spring", since / 3 + 4),
        _ => ("Summer", since / 3 + 4),
    };
    format!("{season} '{year:02}")
}

/// Refuses versions that are gone or never were.
pub(super) fn check_version(version: &str) -> Result<(), Failure> {
    match number(version) {
        Some(number) if VERSIONS.contains(&number) => Ok(()),
        Some(number) if VERSION_FIRST <= number && number < *VERSIONS.start() => {
            let refusal = Refusal::new("UNSUPPORTED_API_VERSION", "The API version is retired");
            Err(Answer::error(410, &refusal).into())
        }
        Some(_) | None => Err(super::not_found()),
    }
}

/// The number in `v68.0`.
pub(super) fn number(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.strip_suffix(".0")?.parse().ok()
}

/// The resources of a version.
pub(super) fn root(org: &Org, call: &Call<'_>) -> Answer {
    let mut map = serde_json::Map::new();
    for name in [
        "composite",
        "jobs",
        "limits",
        "parameterizedSearch",
        "query",
        "queryAll",
        "search",
        "sobjects",
    ] {
        map.insert(name.to_owned(), json!(format!("/services/data/{}/{name}", call.version)));
    }
    let names = &org.names;
    let identity = format!("{}/id/{}/{}", names.base_url, names.org, names.api_user);
    map.insert("identity".to_owned(), json!(identity));
    Answer::new(200, Json::Object(map))
}

/// The resources below `composite`.
pub(super) fn composites(call: &Call<'_>) -> Answer {
    let base = format!("/services/data/{}/composite", call.version);
    let list = ["tree", "batch", "sobjects", "graph"].into_iter();
    let map = list.map(|name| (name.to_owned(), json!(format!("{base}/{name}"))));
    Answer::new(200, Json::Object(map.collect()))
}

/// What is left of each limit.
pub(super) fn limits(org: &mut Org, call: &Call<'_>) -> Answer {
    let used = org.quota.used(second(call.now));
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let (batches, queries) = (count(org.bulk.batches.len()), count(org.bulk.queries.len()));
    let limit = |max: u64, used: u64| json!({ "Max": max, "Remaining": max.saturating_sub(used) });
    Answer::new(
        200,
        json!({
            "DailyApiRequests": limit(org.quota.max, used),
            "DailyBulkApiBatches": limit(count(BATCHES_A_DAY), batches),
            "DailyBulkV2QueryJobs": limit(count(QUERIES_A_DAY), queries),
            "DailyBulkV2QueryFileStorageMB": limit(976_562, 0),
            "DataStorageMB": limit(1_024, 0),
            "FileStorageMB": limit(1_024, 0),
        }),
    )
}

/// How many records objects have; all of them, where none are named. What is no object is left out.
pub(super) fn record_count(org: &Org, call: &Call<'_>) -> Answer {
    let mut query = call.request.query.iter();
    let named = query.find(|(name, _)| name == "sObjects").map(|(_, value)| value);
    let wanted = |name: &str| {
        named.is_none_or(|named| named.split(',').any(|one| one.trim().eq_ignore_ascii_case(name)))
    };
    let objects = org.data.model.objects().iter().enumerate();
    let counts = objects
        .filter(|(_, object)| object.allows(Right::Read) && wanted(&object.name))
        .map(|(at, object)| {
            let table = org.data.table(at);
            let live =
                table.ids().filter_map(|id| table.visible(id)).filter(|row| !row.is_deleted());
            json!({ "count": live.count(), "name": object.name })
        });
    Answer::new(200, json!({ "sObjects": counts.collect::<Vec<_>>() }))
}

/// All objects.
pub(super) fn global(org: &Org, call: &Call<'_>) -> Answered {
    unless_unchanged(org, call, || {
        let objects = org.data.model.objects().iter().filter(|one| one.allows(Right::Read));
        let list: Vec<Json> = objects.map(|object| describe::brief(object, call.version)).collect();
        json!({ "encoding": "UTF-8", "maxBatchSize": 200, "sobjects": list })
    })
}

/// An object in short, with the records used last.
pub(super) fn basic(org: &Org, call: &Call<'_>, object: &str) -> Answered {
    let object = org.data.model.object(object_of(org, object)?);
    let brief = describe::brief(object, call.version);
    Ok(Answer::new(200, json!({ "objectDescribe": brief, "recentItems": [] })))
}

/// An object in full.
pub(super) fn describe(org: &Org, call: &Call<'_>, object: &str) -> Answered {
    let model = &org.data.model;
    let object = model.object(object_of(org, object)?);
    unless_unchanged(org, call, || describe::full(model, object, call.version))
}

/// 304 where the model is as old as the client's copy.
fn unless_unchanged(org: &Org, call: &Call<'_>, body: impl FnOnce() -> Json) -> Answered {
    let version = Version { changed: org.model_changed, tag: None };
    condition::check(call, &version)?;
    condition::read(call, &version, || Ok(Answer::new(200, body())))
}

#[cfg(test)]
mod tests {
    use super::release;

    #[test]
    fn releases_are_named_by_season_and_year() {
        assert_eq!(release(68), "Winter '27");
        assert_eq!(release(67), "Summer '26");
        assert_eq!(release(66), "Spring '26");
        assert_eq!(release(65), "Winter '26");
        assert_eq!(release(31), "Summer '14");
    }
}
