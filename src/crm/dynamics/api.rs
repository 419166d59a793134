//! The calls that are made, typed: one function a kind of request.

use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json, json};
use tokio::sync::Notify;

use crate::crm::dynamics::batch::{self, Operation, Part};
use crate::crm::dynamics::codes::Action;
use crate::crm::dynamics::errors::{self, ApiError};
use crate::crm::dynamics::odata::{self, ROOT};
use crate::crm::dynamics::{Settings, auth};
use crate::crm::http::{
    Allowance, Call, Client, Connection, Dialect, Failure, Repeat, Request, Urgency,
};
use crate::peer::PeerError;

/// A row as it comes.
pub(super) type Record = Map<String, Json>;

/// Nothing that is asked for comes near: 5,000 rows of 12 kilobytes.
const BODY_BYTES_MAX: usize = 64 << 20;

/// The most rows that a page may hold.
pub(super) const PAGE_MAX: usize = 5000;

const DIALECT: Dialect = Dialect {
    token: auth::token,
    introduction: Some(auth::WHO_AM_I),
    // All calls are of one allowance.
    verdict: |answer, _| errors::verdict(answer),
    // The headers of service protection are those of one server of many: nothing to steer by.
    usage: |_| None,
    probed: |_| None,
    advised,
};

/// What a read of rows brings.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) records: Vec<Record>,
    /// Where it goes on, as the service wrote it.
    pub(super) next: Option<String>,
    /// Where changes go on, behind the last page of a tracked read.
    pub(super) delta: Option<String>,
    /// The server's clock when it answered.
    pub(super) date: Option<Timestamp>,
    pub(super) took: std::time::Duration,
}

#[derive(Deserialize)]
struct Answered {
    value: Vec<Record>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
    #[serde(rename = "@odata.deltaLink")]
    delta: Option<String>,
}

/// A read of rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read<'a> {
    pub(super) path: &'a str,
    pub(super) prefer: &'a str,
    pub(super) call: Call,
    pub(super) urgency: Urgency,
}

/// What came of a request that writes.
#[derive(Debug)]
pub(super) enum Done {
    /// It was carried out.
    Yes,
    /// It was refused as a whole.
    Refused(ApiError),
}

/// An environment's API.
pub(super) struct Api {
    pub(super) client: Client,
    duplicate_detection: bool,
    doubts: Notify,
}

impl Api {
    pub(super) fn new(settings: &Settings) -> Result<Self, PeerError> {
        let connection = Connection {
            probe: auth::WHO_AM_I.path.to_owned(),
            url: settings.url.clone(),
            ca_pem: settings.ca_pem.clone(),
            connect_timeout: settings.connect_timeout,
            answer_timeout: settings.answer_timeout,
            body_bytes_max: BODY_BYTES_MAX,
            pace: settings.pace,
            limits: settings.limits,
        };
        let client = Client::new(connection, DIALECT, auth::token_request(settings))?;
        let duplicate_detection = settings.duplicate_detection;
        Ok(Self { client, duplicate_detection, doubts: Notify::new() })
    }

    /// Something was refused as if a table were not what it was.
    pub(super) fn doubt(&self) {
        self.doubts.notify_one();
    }

    /// Waits until something is.
    pub(super) async fn doubted(&self) {
        self.doubts.notified().await;
    }

    /// A piece of metadata; `None` where there is none.
    pub(super) async fn metadata<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Option<T>, PeerError> {
        let doing = "describing a table";
        // What was published a moment ago counts, not what a server still remembers.
        let mut request = get(path.to_owned(), Call::Describe, Urgency::Ordinary);
        request.headers.push((HeaderName::from_static("consistency"), "Strong".to_owned()));
        let answer = self.client.send(&request, &mut || ()).await;
        let answer = answer.map_err(|failure| failure.into_error(doing))?;
        match answer.status {
            200 => answer.json(doing).map(Some),
            404 => Ok(None),
            _ => Err(errors::refused_read(&answer, doing)),
        }
    }

    /// Reads a page of rows.
    pub(super) async fn rows(
        &self,
        asked: Read<'_>,
        about: &mut (dyn FnMut() + Send),
    ) -> Result<Rows, PeerError> {
        let doing = "reading rows";
        let mut request = get(asked.path.to_owned(), asked.call, asked.urgency);
        if !asked.prefer.is_empty() {
            request.headers.push((PREFER, asked.prefer.to_owned()));
        }
        let answer = self.client.send(&request, about).await;
        let answer = answer.map_err(|failure| failure.into_error(doing))?;
        if answer.status != 200 {
            self.doubt_by(&ApiError::of(answer.status, &answer.body));
            return Err(errors::refused_read(&answer, doing));
        }
        let Answered { value, next, delta } = answer.json(doing)?;
        let (date, took) = (answer.date, answer.took);
        Ok(Rows { records: value, next, delta, date, took })
    }

    /// Asks all pages of a read that is known to be short.
    pub(super) async fn all_rows(
        &self,
        asked: Read<'_>,
        most: usize,
        about: &mut (dyn FnMut() + Send),
    ) -> Result<Option<Vec<Record>>, PeerError> {
        let (mut records, mut path) = (Vec::new(), asked.path.to_owned());
        loop {
            let rows = self.rows(Read { path: &path, ..asked }, about).await?;
            records.extend(rows.records);
            if most < records.len() {
                return Ok(None);
            }
            match rows.next.as_deref() {
                None => return Ok(Some(records)),
                Some(link) => path = followed(link)?,
            }
        }
    }

    /// An error that looks as if a table were not what it was.
    pub(super) fn doubt_by(&self, error: &ApiError) {
        if error.action() == Action::DescribeAnew {
            self.doubt();
        }
    }

    /// Sends operations in one request; each has its own answer, in their order.
    pub(super) async fn batch(
        &self,
        operations: &[Operation],
        call: Call,
        urgency: Urgency,
        about: &mut (dyn FnMut() + Send),
    ) -> Result<Vec<Part>, Failure> {
        let boundary = "batch_truce";
        let writes = operations.iter().any(|operation| operation.method != Method::GET);
        let request = Request {
            call,
            method: Method::POST,
            path: format!("{ROOT}/$batch"),
            headers: [
                odata_headers(),
                vec![
                    (PREFER, "odata.continue-on-error".to_owned()),
                    (
                        reqwest::header::CONTENT_TYPE,
                        format!("multipart/mixed; boundary={boundary}"),
                    ),
                ],
            ]
            .concat(),
            body: Some(batch::encode(operations, boundary)),
            repeat: if writes { Repeat::IfUndone } else { Repeat::Freely },
            urgency,
            allowance: Allowance::Account,
        };
        let answer = self.client.send(&request, about).await?;
        if answer.status != 200 {
            let error = ApiError::of(answer.status, &answer.body);
            if writes && 500 <= answer.status {
                // Some of them may have been carried out before it broke.
                return Err(Failure::Lost(error.code_word().into()));
            }
            return Ok(operations.iter().map(|_| Part::refused(&error)).collect());
        }
        let kind = answer.headers.get(reqwest::header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        // An answer that cannot be read leaves open what was done.
        let parts = batch::decode(&answer.body, kind).map_err(|why| Failure::Lost(why.into()))?;
        if parts.len() == operations.len() {
            return Ok(parts);
        }
        let counts = format!("{} answers to {} operations", parts.len(), operations.len());
        Err(Failure::Lost(counts.into()))
    }

    /// Sends one operation by itself.
    pub(super) async fn single(
        &self,
        operation: &Operation,
        urgency: Urgency,
    ) -> Result<Done, Failure> {
        let request = Request {
            call: Call::Write,
            method: operation.method.clone(),
            path: operation.path.clone(),
            headers: [odata_headers(), operation.headers.clone()].concat(),
            body: operation.body.as_ref().map(|body| body.to_string().into_bytes()),
            repeat: Repeat::IfUndone,
            urgency,
            allowance: Allowance::Account,
        };
        let answer = self.client.send(&request, &mut || ()).await?;
        if answer.status < 300 {
            return Ok(Done::Yes);
        }
        Ok(Done::Refused(ApiError::of(answer.status, &answer.body)))
    }

    /// Writes many rows by one action, all or none of them.
    pub(super) async fn multiple(
        &self,
        set: &str,
        action: &str,
        targets: &[Record],
    ) -> Result<Done, Failure> {
        let operation = Operation {
            method: Method::POST,
            path: format!("{ROOT}/{set}/Microsoft.Dynamics.CRM.{action}"),
            headers: self.write_headers(),
            body: Some(json!({ "Targets": targets })),
        };
        self.single(&operation, Urgency::Ordinary).await
    }

    /// What every write says: whether duplicate detection rules count, which they do not by default.
    pub(super) fn write_headers(&self) -> Vec<(HeaderName, String)> {
        if !self.duplicate_detection {
            return Vec::new();
        }
        vec![(HeaderName::from_static("mscrm.suppressduplicatedetection"), "false".to_owned())]
    }
}

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// How many calls at once the service advises.
fn advised(headers: &HeaderMap) -> Option<u32> {
    headers.get("x-ms-dop-hint")?.to_str().ok()?.trim().parse().ok()
}

/// The path of a link that the service gave.
pub(super) fn followed(link: &str) -> Result<String, PeerError> {
    odata::followed(link).map(str::to_owned).ok_or_else(|| PeerError::Transient {
        doing: "reading rows",
        source: "a link that does not lead into the API".into(),
    })
}

fn odata_headers() -> Vec<(HeaderName, String)> {
    let header = |name, value: &str| (HeaderName::from_static(name), value.to_owned());
    vec![
        header("accept", "application/json"),
        header("odata-version", "4.0"),
        header("odata-maxversion", "4.0"),
    ]
}

fn get(path: String, call: Call, urgency: Urgency) -> Request {
    Request {
        call,
        method: Method::GET,
        path,
        headers: odata_headers(),
        body: None,
        repeat: Repeat::Freely,
        urgency,
        allowance: Allowance::Account,
    }
}
