//! The calls that are made, typed: one function a resource.

use std::sync::Arc;

use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json, json};
use tokio::sync::Notify;

use crate::crm::http::{
    Allowance, Answer, Call, Client, Connection, Dialect, Failure, Repeat, Reported, Request,
    Urgency,
};
use crate::crm::salesforce::bulk::Rests;
use crate::crm::salesforce::codes::Action;
use crate::crm::salesforce::describe::Described;
use crate::crm::salesforce::errors::{self, ApiError};
use crate::crm::salesforce::{Settings, auth, soql};
use crate::peer::PeerError;
use crate::reconcile::RecordId;

/// A record as it comes: fields in the order in which they were asked for.
pub(super) type Record = Map<String, Json>;

/// The most records in a write.
pub(super) const WRITES_MAX: usize = 200;
/// The most records in a read by id.
pub(super) const READS_MAX: usize = 2000;
/// Nothing that is asked for comes near: 2,000 records of 30 kilobytes.
const BODY_BYTES_MAX: usize = 64 << 20;

const DIALECT: Dialect = Dialect {
    token: auth::token,
    introduction: None,
    verdict: errors::verdict,
    usage,
    probed,
    advised: |_| None,
};

/// Whether deleted rows are asked for too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    Live,
    All,
}

/// A query: which rows, and who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a> {
    pub(super) rows: Rows,
    pub(super) statement: &'a str,
    pub(super) call: Call,
    pub(super) urgency: Urgency,
}

/// A read by id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retrieve<'a> {
    pub(super) object: &'a str,
    pub(super) fields: &'a [Arc<str>],
    pub(super) ids: &'a [&'a RecordId],
    pub(super) urgency: Urgency,
}

/// The rows of a query, as far as they fit a page.
#[derive(Debug)]
pub(super) struct Selected {
    pub(super) records: Vec<Record>,
    /// Whether these were all.
    pub(super) done: bool,
    /// How many there are; all that a count tells.
    pub(super) total: usize,
    /// The server's clock when it answered.
    pub(super) date: Option<Timestamp>,
    pub(super) took: std::time::Duration,
}

/// What came of a write of several records.
#[derive(Debug)]
pub(super) enum Saved {
    /// Each has its own result.
    Each(Vec<SaveResult>),
    /// The request was refused as a whole.
    Refused(Vec<ApiError>),
}

/// The result of one record.
#[derive(Debug, Deserialize)]
pub(super) struct SaveResult {
    pub(super) id: Option<String>,
    pub(super) success: bool,
    #[serde(default)]
    pub(super) errors: Vec<ApiError>,
}

/// What came of a write of a single record.
#[derive(Debug)]
pub(super) enum Patched {
    Done,
    /// The precondition did not hold.
    Moved,
    Refused(Vec<ApiError>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueryAnswer {
    total_size: usize,
    done: bool,
    records: Vec<Record>,
}

/// An organisation's API, of one version.
pub(super) struct Api {
    pub(super) client: Client,
    pub(super) root: String,
    /// The kinds of jobs that are not to be had for a while.
    pub(super) rests: Rests,
    doubts: Notify,
}

/// What became of an object since it was described last.
pub(super) enum Looked {
    /// Nothing.
    Same,
    /// It is not there to be described.
    Gone,
    /// It looks like this, at this time of the server's.
    Is(Box<Described>, Option<Timestamp>),
}

impl Api {
    pub(super) fn new(settings: &Settings) -> Result<Self, PeerError> {
        let version = settings.api_version.trim_start_matches('v');
        if !version.bytes().all(|c| c.is_ascii_digit() || c == b'.') || !version.contains('.') {
            return Err(PeerError::Unfit {
                why: format!("api_version `{}` is no version such as 66.0", settings.api_version),
            });
        }
        let root = format!("/services/data/v{version}");
        let connection = Connection {
            probe: format!("{root}/limits"),
            url: settings.url.clone(),
            ca_pem: settings.ca_pem.clone(),
            connect_timeout: settings.connect_timeout,
            answer_timeout: settings.answer_timeout,
            body_bytes_max: BODY_BYTES_MAX,
            pace: settings.pace,
            limits: settings.limits,
        };
        let client = Client::new(connection, DIALECT, auth::token_request(settings))?;
        Ok(Self { client, root, rests: Rests::default(), doubts: Notify::new() })
    }

    /// The versions that the instance speaks.
    pub(super) async fn versions(&self) -> Result<Vec<String>, PeerError> {
        #[derive(Deserialize)]
        struct Version {
            version: String,
        }
        let doing = "asking for the API's versions";
        let versions: Vec<Version> =
            self.metadata("/services/data/".to_owned(), doing).await?.unwrap_or_default();
        Ok(versions.into_iter().map(|version| version.version).collect())
    }

    /// The description of an object; `None` where there is none.
    pub(super) async fn describe<T: DeserializeOwned>(
        &self,
        object: &str,
    ) -> Result<Option<T>, PeerError> {
        let path = format!("{}/sobjects/{}/describe", self.root, soql::encode(object));
        self.metadata(path, "describing an object").await
    }

    /// The description of an object, where it was changed since.
    pub(super) async fn describe_since(
        &self,
        object: &str,
        since: Option<Timestamp>,
    ) -> Result<Looked, PeerError> {
        let doing = "describing an object";
        let path = format!("{}/sobjects/{}/describe", self.root, soql::encode(object));
        let mut request = get(path, Call::Describe, Urgency::Ordinary);
        // What was changed in the second in which it was described may have been missed.
        let since = since.and_then(|since| since.checked_sub(SignedDuration::from_secs(2)).ok());
        let since = since.map(|since| DateTimePrinter::new().timestamp_to_rfc9110_string(&since));
        if let Some(Ok(since)) = since {
            request.headers.push((reqwest::header::IF_MODIFIED_SINCE, since));
        }
        let answer = self.client.send(&request, &mut || ()).await;
        let answer = answer.map_err(|failure| failure.into_error(doing))?;
        match answer.status {
            200 => Ok(Looked::Is(Box::new(answer.json(doing)?), answer.date)),
            304 => Ok(Looked::Same),
            404 => Ok(Looked::Gone),
            _ => Err(errors::refused_read(&answer, doing)),
        }
    }

    /// Something was refused as if an object were not what it was.
    pub(super) fn doubt(&self) {
        self.doubts.notify_one();
    }

    /// Waits until something is.
    pub(super) async fn doubted(&self) {
        self.doubts.notified().await;
    }

    /// The error of a read that was refused, which may be because an object is not what it was.
    fn refused(&self, answer: &Answer, doing: &'static str) -> PeerError {
        if errors::refusals(answer).iter().any(|error| error.action() == Action::DescribeAnew) {
            self.doubt();
        }
        errors::refused_read(answer, doing)
    }

    /// A piece of metadata; `None` where there is none.
    pub(super) async fn metadata<T: DeserializeOwned>(
        &self,
        path: String,
        doing: &'static str,
    ) -> Result<Option<T>, PeerError> {
        let request = get(path, Call::Describe, Urgency::Urgent);
        let answer = self.client.send(&request, &mut || ()).await;
        let answer = answer.map_err(|failure| failure.into_error(doing))?;
        match answer.status {
            200 => answer.json(doing).map(Some),
            404 => Ok(None),
            _ => Err(errors::refused_read(&answer, doing)),
        }
    }

    /// Asks a query; the rows that do not fit a page are asked for by another.
    pub(super) async fn query(
        &self,
        query: Query<'_>,
        about: &mut (dyn FnMut() + Send),
    ) -> Result<Selected, PeerError> {
        let doing = "reading records";
        let resource = match query.rows {
            Rows::Live => "query",
            Rows::All => "queryAll",
        };
        let path = format!("{}/{resource}?q={}", self.root, soql::encode(query.statement));
        let mut request = get(path, query.call, query.urgency);
        request.headers.push((QUERY_OPTIONS, format!("batchSize={READS_MAX}")));
        let answer = self.client.send(&request, about).await;
        let answer = answer.map_err(|failure| failure.into_error(doing))?;
        if answer.status != 200 {
            return Err(self.refused(&answer, doing));
        }
        let QueryAnswer { total_size: total, done, records } = answer.json(doing)?;
        Ok(Selected { records, done, total, date: answer.date, took: answer.took })
    }

    /// Reads records by id, in that order; what is deleted or was never there is `None`.
    pub(super) async fn retrieve(
        &self,
        Retrieve { object, fields, ids, urgency }: Retrieve<'_>,
        about: &mut (dyn FnMut() + Send),
    ) -> Result<(Vec<Option<Record>>, Answer), PeerError> {
        let doing = "reading records by id";
        assert!(ids.len() <= READS_MAX, "a read by id holds at most {READS_MAX} ids");
        let ids_json: Vec<&str> = ids.iter().map(|id| &*id.0).collect();
        let fields: Vec<&str> = fields.iter().map(|field| &**field).collect();
        let request = Request {
            call: Call::Read,
            method: Method::POST,
            path: format!("{}/composite/sobjects/{}", self.root, soql::encode(object)),
            headers: Vec::new(),
            body: Some(json!({ "ids": ids_json, "fields": fields }).to_string().into_bytes()),
            repeat: Repeat::Freely,
            urgency,
            allowance: Allowance::Account,
        };
        let answer = self.client.send(&request, about).await;
        let mut answer = answer.map_err(|failure| failure.into_error(doing))?;
        if answer.status != 200 {
            return Err(self.refused(&answer, doing));
        }
        let records: Vec<Option<Record>> = answer.json(doing)?;
        answer.body.clear();
        if records.len() == ids.len() {
            return Ok((records, answer));
        }
        let source = format!("{} records for {} ids", records.len(), ids.len()).into();
        Err(PeerError::Transient { doing, source })
    }

    /// Writes records of one object by their ids.
    pub(super) async fn update(
        &self,
        records: &[Record],
        urgency: Urgency,
    ) -> Result<Saved, Failure> {
        let path = format!("{}/composite/sobjects", self.root);
        self.save(write(Method::PATCH, path, Some(&collection(records)), urgency), records.len())
            .await
    }

    /// Makes records by the external id that each bears.
    pub(super) async fn upsert(
        &self,
        object: &str,
        external_id: &str,
        records: &[Record],
        urgency: Urgency,
    ) -> Result<Saved, Failure> {
        let (object, key) = (soql::encode(object), soql::encode(external_id));
        let path = format!("{}/composite/sobjects/{object}/{key}", self.root);
        let body = collection(records);
        self.save(write(Method::PATCH, path, Some(&body), urgency), records.len()).await
    }

    /// Deletes records by their ids.
    pub(super) async fn delete(&self, ids: &[&RecordId]) -> Result<Saved, Failure> {
        let list: Vec<&str> = ids.iter().map(|id| &*id.0).collect();
        let list = list.join(",");
        let path = format!("{}/composite/sobjects?ids={list}&allOrNone=false", self.root);
        self.save(write(Method::DELETE, path, None, Urgency::Ordinary), ids.len()).await
    }

    async fn save(&self, request: Request, count: usize) -> Result<Saved, Failure> {
        assert!(count <= WRITES_MAX, "a write holds at most {WRITES_MAX} records");
        let answer = self.client.send(&request, &mut || ()).await?;
        if !(200..300).contains(&answer.status) {
            return Ok(Saved::Refused(errors::refusals(&answer)));
        }
        // An answer that cannot be read leaves open what was done.
        let results: Vec<SaveResult> =
            serde_json::from_slice(&answer.body).map_err(|error| Failure::Lost(Box::new(error)))?;
        if results.len() == count {
            return Ok(Saved::Each(results));
        }
        Err(Failure::Lost(format!("{} results for {count} records", results.len()).into()))
    }

    /// Writes one record, unless it was modified after that time.
    pub(super) async fn patch(
        &self,
        object: &str,
        id: &RecordId,
        fields: &Record,
        unmodified_since: Timestamp,
    ) -> Result<Patched, Failure> {
        let date = DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&unmodified_since)
            .map_err(|error| Failure::Undone(PeerError::Unfit { why: error.to_string() }))?;
        let path = format!("{}/sobjects/{}/{id}", self.root, soql::encode(object));
        let body = Json::Object(fields.clone());
        let mut request = write(Method::PATCH, path, Some(&body), Urgency::Urgent);
        request.headers.push((reqwest::header::IF_UNMODIFIED_SINCE, date));
        let answer = self.client.send(&request, &mut || ()).await?;
        match answer.status {
            200..300 => Ok(Patched::Done),
            412 => Ok(Patched::Moved),
            _ => Ok(Patched::Refused(errors::refusals(&answer))),
        }
    }
}

const QUERY_OPTIONS: HeaderName = HeaderName::from_static("sforce-query-options");

/// What every write says: no assignment rules (they run by default), no list of recently used
/// records, alerts of duplicate rules pass, and who we are.
pub(super) fn write_headers() -> Vec<(HeaderName, String)> {
    let header = |name, value: &str| (HeaderName::from_static(name), value.to_owned());
    vec![
        header("sforce-auto-assign", "FALSE"),
        header("sforce-mru", "updateMru=false"),
        header(
            "sforce-duplicate-rule-header",
            "allowSave=true; includeRecordDetails=false; runAsCurrentUser=false",
        ),
        header("sforce-call-options", "client=truce"),
    ]
}

fn write(method: Method, path: String, body: Option<&Json>, urgency: Urgency) -> Request {
    Request {
        call: Call::Write,
        method,
        path,
        headers: write_headers(),
        body: body.map(|body| body.to_string().into_bytes()),
        repeat: Repeat::IfUndone,
        urgency,
        allowance: Allowance::Account,
    }
}

fn collection(records: &[Record]) -> Json {
    json!({ "allOrNone": false, "records": records })
}

pub(super) fn get(path: String, call: Call, urgency: Urgency) -> Request {
    Request {
        call,
        method: Method::GET,
        path,
        headers: Vec::new(),
        body: None,
        repeat: Repeat::Freely,
        urgency,
        allowance: Allowance::Account,
    }
}

/// `api-usage=25/5000`, perhaps with `; per-app-api-usage=17/250(appName=x)` behind it.
pub(super) fn usage(headers: &HeaderMap) -> Option<Reported> {
    let text = headers.get("sforce-limit-info")?.to_str().ok()?;
    let part = text.split(';').find_map(|part| part.trim().strip_prefix("api-usage="))?;
    let (used, allowed) = part.split_once('/')?;
    Some(Reported { used: used.trim().parse().ok()?, allowed: allowed.trim().parse().ok()? })
}

/// The day's calls in an answer of `/limits`.
fn probed(answer: &Answer) -> Option<Reported> {
    let limits: Json = serde_json::from_slice(&answer.body).ok()?;
    let day = limits.get("DailyApiRequests")?;
    let allowed = day.get("Max")?.as_u64()?;
    Some(Reported { used: allowed.saturating_sub(day.get("Remaining")?.as_u64()?), allowed })
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn usage_is_read_in_its_short_and_its_long_form() {
        let check = |text: &'static str, expected: Option<(u64, u64)>| {
            let mut headers = HeaderMap::new();
            headers.insert("sforce-limit-info", HeaderValue::from_static(text));
            let expected = expected.map(|(used, allowed)| Reported { used, allowed });
            assert_eq!(usage(&headers), expected, "{text}");
        };
        check("api-usage=25/5000", Some((25, 5000)));
        check("api-usage=18/5000; per-app-api-usage=17/250(appName=x)", Some((18, 5000)));
        check("per-app-api-usage=17/250(appName=x)", None);
        check("", None);
    }
}
