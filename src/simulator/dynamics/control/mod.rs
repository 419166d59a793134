//! The control address: how a test acts on the environment and looks into it.
//!
//! Plain http and JSON on loopback. Orders are POSTs with a JSON object; an order that cannot be
//! carried out answers 400 with `{"error": "…"}`. Keys that are not known are refused. Records are
//! written as in a body of the API (lookups by `…@odata.bind`).
//!
//! | route | body or parameters, by example | does |
//! | --- | --- | --- |
//! | `GET /` | | the announcement: URLs and credentials |
//! | `POST /seed` | `{"table":"contact","records":[{"lastname":"Roe","modifiedon":"2026-10-01T00:00:00Z"}]}` | creates records, with their own dates where given; lookups also as `"_parentcustomerid_value":"…"`; answers `{"ids":[…]}` |
//! | `POST /create` | `{"table":"contact","records":[{"lastname":"Roe"}],"user":"…"}` | creates records as a person |
//! | `POST /edit` | `{"table":"contact","id":"…","fields":{"jobtitle":"Dr"}}` or `{"table":"contact","edits":[{"id":"…","fields":{…}}]}` | edits as a person; `"user"` names another, such as the app's own |
//! | `POST /delete` | `{"table":"contact","ids":["…"]}` | deletes as a person |
//! | `POST /restore` | `{"table":"contact","id":"…"}` | brings a deleted record back under its id, as the recycle bin does |
//! | `POST /merge` | `{"table":"contact","master":"…","subordinate":"…","fields":{"jobtitle":"Dr"}}` | merges as a person |
//! | `POST /fail` | `{"count":2,"kind":"answer","status":503,"code":"0x8004A001","effect":"before","method":"PATCH","path_contains":"contacts"}` | the next answers fail; `kind` is `answer`, `reset`, `html` or `late`, `effect` is `before` or `after` (it happens, the answer is lost); requests for tokens only with `"path_contains":"oauth2"` |
//! | `POST /delay` | `{"ms":500,"count":3,"path_contains":"contacts"}` | the next answers take longer, which counts as execution time |
//! | `POST /release` | `{}` | carries out the writes that `late` kept, now; answers `{"released":1,"statuses":[204]}` |
//! | `POST /fail-record` | `{"key":"…","code":"0x80040265","status":400,"message":"…","count":1}` | a record, named by id or by a text that its write bears, is refused |
//! | `GET /faults`, `DELETE /faults` | | what is still ordered to fail; takes it back |
//! | `POST /connections` | `{"accept":false}` | closes every connection, open ones and new ones, until `true` |
//! | `POST /tokens` | `{"expire":true,"lifetime_s":3599}` | access tokens expire, now or after so long |
//! | `POST /app` | `{"certificate":"-----BEGIN CERTIFICATE…","standing":"not_a_member","secret_expired":false}` | the certificate of the app; its standing: `good`, `not_a_member`, `blocked`, `disabled`, `unlicensed`, `no_role`, `organisation_disabled` |
//! | `POST /permissions` | `{"table":"contact","read":true,"create":true,"write":false,"delete":true}` | what the app's role may do with a table |
//! | `POST /clock` | `{"offset_s":-30,"scale":1}` or `{"at":"2026-10-31T12:00:00Z","scale":0}` | moves the environment's clock; `scale` 0 stops it |
//! | `GET /clock` | | `{"now":"…","now_ms":…,"offset_ms":…,"scale":…}` |
//! | `POST /limits` | `{"requests":6000,"execution_ms":1200000,"concurrent":52,"window_s":300,"cost_ms":0,"busy":0,"used":5990,"parallelism":4,"clear":true}` | service protection: its limits, what a request costs at least, how many others run, how many requests of the window are used |
//! | `POST /tracking` | `{"expire":true,"expired_status":400,"retention_days":7,"first_page":false,"repeats":false}` | delta tokens handed out so far expire; the status that says so; a load's token is that of its first page; pages repeat a record |
//! | `POST /plugin` | `{"table":"contact","column":"jobtitle","rewrite":{"append":"!"}}` | logic on API writes: `"upper"`, `"lower"`, `{"set":"x"}`, `{"append":"x"}`, `{"count":"x"}`, `{"refuse":"Not today."}` (0x80040265); without `rewrite` the column's plug-ins end |
//! | `POST /duplicates` | `{"table":"contact","columns":["emailaddress1"]}` | by which columns duplicate detection works |
//! | `POST /tables` | `{"name":"new_pet","set":"new_pets","columns":[…]}` or `{"name":"contact","tracking":false,"concurrency":true}` | adds a table; switches change tracking and optimistic concurrency of one |
//! | `POST /columns` | `{"table":"contact","add":[{"name":"new_pet","type":"choice","options":["Cat"]}],"remove":["fax"],"length":{"jobtitle":20},"secure":["fax"],"hide":["fax"],"show":[],"options":{"new_pet":["Cat","Dog"]}}` | adds, removes, narrows columns; `secure` puts column security on, `hide` takes the app's permission too, `show` gives both back |
//! | `POST /keys` | `{"table":"contact","name":"new_contacttruceid","columns":["new_truceid"],"status":"Pending"}` | adds an alternate key, or gives one another status |
//! | `GET /records/{table}` | `?fields=contactid,lastname` | all records |
//! | `GET /history` | `?since=0&table=contact&id=…&seeds=true&limit=1000` | every change: who, when, which request, each column's old and new value |
//! | `GET /requests` | `?since=0&limit=1000` | the requests of clients |
//! | `GET /counters` | | requests by kind, operations, records read, refusals of service protection |
//! | `POST /reset` | `{}` | a fresh environment; tokens, the clock and the app's certificate stay |

mod life;
mod look;
mod records;
mod shape;
mod trouble;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use super::super::control::{BODY_MAX, Done, Unfit};
use super::data::{Actor, Via};
use super::guid::Guid;
use super::org::Org;
use super::refusal::Refusal;
use super::server::Shared;

/// All routes.
pub(super) fn router(shared: Shared) -> Router {
    Router::new()
        .route("/", get(look::announcement))
        .route("/seed", post(records::seed))
        .route("/create", post(records::create))
        .route("/edit", post(records::edit))
        .route("/delete", post(records::delete))
        .route("/restore", post(life::restore))
        .route("/merge", post(life::merge))
        .route("/fail", post(trouble::fail))
        .route("/delay", post(trouble::delay))
        .route("/release", post(trouble::release))
        .route("/fail-record", post(trouble::fail_record))
        .route("/faults", get(trouble::faults).delete(trouble::clear_faults))
        .route("/connections", post(trouble::connections))
        .route("/tokens", post(trouble::tokens))
        .route("/app", post(life::app))
        .route("/permissions", post(life::permissions))
        .route("/clock", get(trouble::clock).post(trouble::set_clock))
        .route("/limits", post(trouble::limits))
        .route("/tracking", post(trouble::tracking))
        .route("/plugin", post(shape::plugin))
        .route("/duplicates", post(shape::duplicates))
        .route("/tables", post(shape::tables))
        .route("/columns", post(shape::columns))
        .route("/keys", post(shape::keys))
        .route("/records/{table}", get(look::records))
        .route("/history", get(look::history))
        .route("/requests", get(look::requests))
        .route("/counters", get(look::counters))
        .route("/reset", post(trouble::reset))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(shared)
}

impl From<Refusal> for Unfit {
    fn from(refusal: Refusal) -> Unfit {
        Unfit(format!("{}: {}", refusal.code, refusal.message))
    }
}

/// The table of that name.
fn table(org: &Org, name: &str) -> Result<usize, Unfit> {
    let found = org.data.model.by_name(name);
    found.ok_or_else(|| Unfit(format!("there is no table `{name}`; POST /tables adds one")))
}

/// A column of a table, by its name.
fn column(org: &Org, at: usize, name: &str) -> Result<usize, Unfit> {
    let spec = org.data.model.table(at);
    spec.find(name).ok_or_else(|| Unfit(format!("`{}` has no column `{name}`", spec.name)))
}

fn id(text: &str) -> Result<Guid, Unfit> {
    Guid::parse(text).ok_or_else(|| Unfit(format!("`{text}` is not an id of 36 characters")))
}

/// The person who acts: the one named, or the one that every environment has.
fn person(org: &Org, user: Option<&str>) -> Result<Actor, Unfit> {
    let user = user.map(id).transpose()?.unwrap_or(org.names.person);
    Ok(Actor { via: Via::User, user, now: org.clock.now(), request: None })
}
