//! The control address: how a test acts on the organisation and looks into it.
//!
//! Plain http and JSON on loopback. Orders are POSTs with a JSON object; an order that cannot be
//! carried out answers 400 with `{"error": "…"}`. Keys that are not known are refused.
//!
//! | route | body or parameters, by example | does |
//! | --- | --- | --- |
//! | `GET /` | | the announcement: URLs and credentials |
//! | `POST /seed` | `{"object":"Contact","records":[{"LastName":"Roe","SystemModstamp":"2026-10-01T00:00:00Z"}]}` | creates records, with their own dates where given; answers `{"ids":[…]}` |
//! | `POST /create` | `{"object":"Contact","records":[{"LastName":"Roe"}],"user":"005…"}` | creates records as a person |
//! | `POST /edit` | `{"object":"Contact","id":"003…","fields":{"Title":"Dr"}}` or `{"object":"Contact","edits":[{"id":"003…","fields":{…}}]}` | edits as a person |
//! | `POST /recompute` | `{"object":"Contact","id":"003…","fields":{"Total__c":3}}` | changes fields without a write, as formulas do: no stamp moves |
//! | `POST /delete` | `{"object":"Contact","ids":["003…"],"purge":false}` | deletes as a person; `purge` empties the recycle bin of them too |
//! | `POST /undelete` | `{"object":"Contact","ids":["003…"]}` | takes records out of the recycle bin |
//! | `POST /empty-bin` | `{"object":"Contact"}` | empties the recycle bin, of one object or of all |
//! | `POST /delete-log` | `{}` | `deleted` no longer tells what was deleted so far |
//! | `POST /convert` | `{"lead":"00Q…","account":"001…","contact":"003…","opportunity":"Deal"}` | converts a lead; what is not named is made, the opportunity only where it is named |
//! | `POST /share` | `{"object":"Contact","ids":["003…"],"visible":false}` | records that the integration user may not see, or may again; no stamp moves |
//! | `POST /permissions` | `{"object":"Contact","read":true,"create":true,"edit":false,"delete":false,"hide":["Fax"],"read_only":["Title"],"open":["Phone"]}` | what the integration user may do with an object, see of it, write of it |
//! | `POST /record-types` | `{"object":"Contact","types":[{"name":"Donor","developer_name":"Donor","default":true,"active":true}]}` | the record types of an object, with their field; answers `{"ids":[…]}` |
//! | `POST /merge` | `{"object":"Contact","winner":"003…","losers":["003…"],"fields":{"Title":"Dr"}}` | merges; children of the losers move to the winner |
//! | `POST /fail` | `{"count":2,"kind":"answer","status":503,"code":"SERVER_UNAVAILABLE","effect":"before","method":"PATCH","path_contains":"composite"}` | the next answers fail; `kind` is `answer`, `reset`, `html` or `late`, `effect` is `before` or `after` (it happens, the answer is lost); requests for tokens only with `"path_contains":"oauth2"` |
//! | `POST /delay` | `{"ms":500,"count":3,"path_contains":"query"}` | the next answers take longer |
//! | `POST /release` | `{}` | carries out the writes that `late` kept, now; answers `{"released":1,"statuses":[200]}` |
//! | `POST /fail-record` | `{"key":"003…","statusCode":"UNABLE_TO_LOCK_ROW","message":"…","fields":[],"count":1}` | a record, named by id or by a key that its write bears, is refused |
//! | `GET /faults`, `DELETE /faults` | | what is still ordered to fail; takes it back |
//! | `POST /hold` | `{"seconds":5,"object":"Contact","via":"user"}` | commits stay invisible to readers so long, by the organisation's clock; 0 seconds ends it |
//! | `POST /publish` | `{}` | shows every held commit now |
//! | `POST /connections` | `{"accept":false}` | closes every connection, open ones and new ones, until `true` |
//! | `POST /tokens` | `{"expire":true,"lifetime_s":7200,"rotate":true,"logins_an_hour":3600,"refresh":true}` | tokens expire, now or after so long without use; refresh tokens are replaced at each use; logins of an hour; hands out a refresh token |
//! | `POST /app` | `{"certificate":"-----BEGIN CERTIFICATE…","sandbox":false,"soap_login":true,"password_flow":true}` | the app's certificate for the JWT bearer flow, the kind of the organisation, and which old logins it allows |
//! | `POST /clock` | `{"offset_s":-30,"scale":1}` or `{"at":"2026-10-31T12:00:00Z","scale":0}` | moves the organisation's clock; `scale` 0 stops it |
//! | `GET /clock` | | `{"now":"…","now_ms":…,"offset_ms":…,"scale":…}` |
//! | `POST /quota` | `{"max":1000,"used":990,"per_app":true,"bulk_batches":15000,"bulk_queries":10000}` | calls a day, and how many are used; the longer form of `Sforce-Limit-Info`; batches and query jobs of the day |
//! | `POST /concurrency` | `{"max":5,"long_ms":20000,"busy":4}` | long calls that may run at one time, from when on a call is long, how many others run |
//! | `POST /trigger` | `{"object":"Contact","field":"Title","rewrite":{"append":"!"}}` | a before-save trigger on API writes: `"upper"`, `"lower"`, `{"set":"x"}`, `{"append":"x"}`, `{"count":"x"}`; without `rewrite` the field's triggers end |
//! | `POST /cursors` | `{"frozen":true,"expire":true}` | later pages of a query show rows as they were when it was asked; `expire` loses every cursor and locator |
//! | `POST /bulk` | `{"seconds":30,"batch":100,"fail_after":1,"message":"…","hard_delete":true}` | jobs take so long by the organisation's clock, in batches of so many rows; `fail_after` so many batches they fail (until an order without it); whether `hardDelete` is allowed |
//! | `POST /objects` | `{"name":"Pet__c","plural":"Pets","prefix":"a00","fields":[…]}` | adds an object |
//! | `POST /fields` | `{"object":"Contact","fields":[{"name":"Pet__c","type":"picklist","values":["Cat"],"restricted":true}],"remove":["Title"],"length":{"Phone":20},"hide":["Fax"],"show":[]}` | adds or changes fields, removes them, narrows texts; hides fields as field-level security does |
//! | `GET /records/{object}` | `?deleted=false&fields=Id,Email` | all records, latest versions, deleted ones too |
//! | `GET /history` | `?since=0&object=Contact&id=003…&seeds=true&limit=1000` | every change: who, when, which request, each field's old and new value |
//! | `GET /requests` | `?since=0&limit=1000` | the requests of clients |
//! | `GET /counters` | | requests by kind, records written and read, quota used |
//! | `POST /reset` | `{}` | a fresh organisation; tokens and the clock stay |

mod life;
mod look;
mod records;
mod rights;
mod shape;
mod trouble;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use super::super::control::{BODY_MAX, Done, Unfit};
use super::data::{Actor, Via};
use super::id::Id;
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
        .route("/recompute", post(records::recompute))
        .route("/delete", post(records::delete))
        .route("/undelete", post(records::undelete))
        .route("/empty-bin", post(life::empty_bin))
        .route("/delete-log", post(life::delete_log))
        .route("/convert", post(life::convert))
        .route("/share", post(rights::share))
        .route("/permissions", post(rights::permissions))
        .route("/record-types", post(shape::record_types))
        .route("/merge", post(records::merge))
        .route("/fail", post(trouble::fail))
        .route("/delay", post(trouble::delay))
        .route("/release", post(trouble::release))
        .route("/fail-record", post(trouble::fail_record))
        .route("/faults", get(trouble::faults).delete(trouble::clear_faults))
        .route("/hold", post(trouble::hold))
        .route("/publish", post(trouble::publish))
        .route("/connections", post(trouble::connections))
        .route("/tokens", post(trouble::tokens))
        .route("/app", post(trouble::app))
        .route("/clock", get(trouble::clock).post(trouble::set_clock))
        .route("/concurrency", post(trouble::concurrency))
        .route("/quota", post(trouble::quota))
        .route("/trigger", post(trouble::trigger))
        .route("/cursors", post(trouble::cursors))
        .route("/bulk", post(trouble::bulk))
        .route("/objects", post(shape::objects))
        .route("/fields", post(shape::fields))
        .route("/records/{object}", get(look::records))
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

/// The object of that name.
fn object(org: &Org, name: &str) -> Result<usize, Unfit> {
    let found = org.data.model.find_any(name);
    found.ok_or_else(|| Unfit(format!("there is no object `{name}`; POST /objects adds one")))
}

fn id(text: &str) -> Result<Id, Unfit> {
    Id::parse(text).ok_or_else(|| Unfit(format!("`{text}` is not a record id of 15 or 18 letters")))
}

/// The person who acts: the one named, or the one that every organisation has.
fn person(org: &Org, user: Option<&str>) -> Result<Actor, Unfit> {
    let user = user.map(id).transpose()?.unwrap_or(org.names.person);
    Ok(Actor { via: Via::User, user, now: org.clock.now(), request: None })
}
