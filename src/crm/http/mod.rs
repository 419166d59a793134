//! One HTTP client for each CRM account: tokens, limits, repeats and classes of errors in one place.
//!
//! What may be repeated is decided here, once: reads; requests that never reached the server;
//! requests that the server says it did not carry out (a dead token, too many at once). A write
//! whose fate is unknown is never repeated: it is told as [`Failure::Lost`], and resolved by reading.
//!
//! Nothing here knows a CRM: what one says about tokens, usage and errors is its [`Dialect`].

mod budget;
mod calls;
mod exchange;
mod limits;
mod renewal;
mod stop;
mod tls;
mod token;
mod workers;

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::crm::delays::{Delays, Pace};
use crate::peer::PeerError;
use exchange::Broken;
use limits::{Admission, Gate};
use token::{Generation, Tokens};

pub use budget::{Paused, Reported, Urgency, Usage};
pub use calls::{Call, Calls};
pub(in crate::crm) use exchange::encode;
pub use exchange::skew;
pub use limits::Limits;
pub use token::{Granted, Identity, Token};

/// How an account is reached.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The account's address, `https://…`.
    pub url: String,
    /// A PEM file's content, trusted beside what the system trusts.
    pub ca_pem: Option<Vec<u8>>,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long an answer may take, body included.
    pub answer_timeout: Duration,
    /// The longest body of an answer that is read.
    pub body_bytes_max: usize,
    /// How repeats follow each other.
    pub pace: Pace,
    /// How fast the account may be called.
    pub limits: Limits,
    /// The path that tells whether the day's calls are back.
    pub probe: String,
}

/// What one CRM says about tokens, usage and errors.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// Reads the answer to a request for a token.
    pub token: fn(&Answer) -> Result<Granted, TokenRefusal>,
    /// How to ask who answers, where the answer to a request for a token does not say.
    pub introduction: Option<Introduction>,
    /// What an answer means for the request as a whole.
    pub verdict: fn(&Answer, Allowance) -> Verdict,
    /// What an answer says of the day's calls.
    pub usage: fn(&HeaderMap) -> Option<Reported>,
    /// What the answer to a probe says of them.
    pub probed: fn(&Answer) -> Option<Reported>,
    /// How many calls at once an answer advises, where it does.
    pub advised: fn(&HeaderMap) -> Option<u32>,
}

/// A question that tells who answers, and as whom we act.
#[derive(Clone, Copy, Debug)]
pub struct Introduction {
    /// Its path below the account's address.
    pub path: &'static str,
    /// Reads the answer; `None` where it does not say.
    pub read: fn(&Answer) -> Option<Identity>,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenRefusal {
    /// Asking again may help.
    Again(String),
    /// Asking again may help after so long.
    Later(Duration, String),
    /// Asking again would hammer: somebody must mend something first.
    Denied(String),
}

/// What an answer means for the request as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is an answer: the caller reads it.
    Answered,
    /// The token has died; nothing was carried out.
    Expired,
    /// The account may not do this; nothing was carried out.
    Denied(String),
    /// The account may do nothing at all until somebody mends it; nothing was carried out.
    Stopped(String),
    /// Too much at once; nothing was carried out.
    Busy,
    /// The day's calls are used up; nothing was carried out.
    Exhausted,
    /// Something broke over there; what was carried out is unknown.
    Broken(String),
}

/// Asks for a token.
#[derive(Clone)]
pub struct TokenRequest {
    /// Where.
    pub url: String,
    /// The form, credentials included, as it is made at this time: what is signed for a token is
    /// good for minutes only.
    pub form: Arc<dyn Fn(Timestamp) -> TokenForm + Send + Sync>,
}

/// The form of a request for a token, by name and value.
pub type TokenForm = Result<Vec<(&'static str, String)>, PeerError>;

/// A request to the account.
#[derive(Clone, Debug)]
pub struct Request {
    /// What it is for.
    pub call: Call,
    /// Its method.
    pub method: Method,
    /// Its path and query, from the slash.
    pub path: String,
    /// Headers beside the usual ones.
    pub headers: Vec<(HeaderName, String)>,
    /// Its body; JSON, unless a header says otherwise.
    pub body: Option<Vec<u8>>,
    /// What may be sent again.
    pub repeat: Repeat,
    /// Whether it may use the reserve.
    pub urgency: Urgency,
    /// What it is counted against beside the day's calls.
    pub allowance: Allowance,
}

/// Of what a refusal for want of an allowance or a right speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// Of the account: other calls would be refused too.
    Account,
    /// Of jobs, which have allowances and rights of their own.
    Jobs,
}

/// What may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// A read: whatever became of it.
    Freely,
    /// A write: only what certainly was not carried out.
    IfUndone,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, decompressed.
    pub body: Vec<u8>,
    /// The server's clock, in whole seconds.
    pub date: Option<Timestamp>,
    /// From sending to the last byte.
    pub took: Duration,
}

impl Answer {
    /// What its body says, as JSON.
    pub(in crate::crm) fn json<T: DeserializeOwned>(
        &self,
        doing: &'static str,
    ) -> Result<T, PeerError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| PeerError::Transient { doing, source: Box::new(error) })
    }
}

/// Why there is no answer to work with.
#[derive(Debug)]
pub enum Failure {
    /// It was certainly not carried out.
    Undone(PeerError),
    /// It may have been carried out, and no whole answer came.
    Lost(Box<dyn Error + Send + Sync>),
}

impl Failure {
    /// The failure of a read, for which the two are the same.
    pub fn into_error(self, doing: &'static str) -> PeerError {
        match self {
            Self::Undone(error) => error,
            Self::Lost(source) => PeerError::Transient { doing, source },
        }
    }
}

/// A client of one account.
pub struct Client {
    http: reqwest::Client,
    connection: Connection,
    dialect: Dialect,
    token_request: TokenRequest,
    tokens: Tokens,
    gate: Gate,
    calls: Calls,
    clock: Mutex<Option<(Timestamp, Instant)>>,
}

impl Client {
    /// A client that has not called anyone yet.
    pub fn new(
        connection: Connection,
        dialect: Dialect,
        token_request: TokenRequest,
    ) -> Result<Self, PeerError> {
        only_https(&connection.url)?;
        only_https(&token_request.url)?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config(connection.ca_pem.as_deref())?)
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .gzip(true)
            .connect_timeout(connection.connect_timeout)
            .timeout(connection.answer_timeout)
            .tcp_keepalive(Duration::from_secs(30))
            .user_agent(concat!("truce/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| PeerError::Unfit {
                why: format!("the HTTP client cannot be set up: {error}"),
            })?;
        let gate = Gate::new(connection.limits);
        Ok(Self {
            http,
            connection,
            dialect,
            token_request,
            tokens: Tokens::default(),
            gate,
            calls: Calls::default(),
            clock: Mutex::new(None),
        })
    }

    /// The server's clock, as of its last answer and the time since; `None` before the first.
    pub fn server_now(&self) -> Option<Timestamp> {
        let (date, at) = (*self.clock.lock().unwrap_or_else(PoisonError::into_inner))?;
        date.checked_add(SignedDuration::try_from(at.elapsed()).ok()?).ok()
    }

    /// What was called how often.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// The day's calls as they stand.
    pub fn usage(&self) -> Usage {
        self.gate.usage()
    }

    /// How many of the day's calls are left to what is so urgent, where there is a limit.
    pub fn left_for(&self, urgency: Urgency) -> Option<u64> {
        self.gate.left_for(urgency)
    }

    /// One record of an answer says that no call is left; tells how long the account is left alone.
    pub fn exhausted(&self) -> PeerError {
        self.gate.exhausted()
    }

    /// Nothing is to be asked of the account any more, while this process runs.
    pub fn bar(&self, why: String) {
        self.gate.bar(why);
    }

    /// A sign that calls are too many at once, which only who reads the answer sees.
    pub fn crowded(&self) {
        self.gate.crowded();
    }

    /// The token in use, asked for where there is none yet.
    pub async fn token(&self) -> Result<Arc<Token>, PeerError> {
        Ok(self.current(None).await?.0)
    }

    /// The token to use, and which it is; `dead` is one that the other side no longer takes.
    async fn current(
        &self,
        dead: Option<Generation>,
    ) -> Result<(Arc<Token>, Generation), PeerError> {
        let renew = || async {
            // Asked under the lock: of many workers the first alone is refused.
            self.gate.stands()?;
            self.ask_for_token().await.inspect_err(|error| self.gate.refused(error))
        };
        self.tokens.current(dead, Instant::now(), renew).await
    }

    /// Names the only organisation that may answer from now on; `None` takes the one that does.
    pub async fn expect(&self, organisation: Option<String>) {
        self.tokens.expect(organisation).await;
    }

    /// Sends a request until it is answered, or may not be sent again.
    ///
    /// `about` is called just before each time that it is sent.
    pub async fn send(
        &self,
        request: &Request,
        about: &mut (dyn FnMut() + Send),
    ) -> Result<Answer, Failure> {
        let mut delays = Delays::new(self.connection.pace);
        let mut dead: Option<Generation> = None;
        loop {
            let (token, generation) = self.current(dead).await.map_err(Failure::Undone)?;
            let permit = match self.gate.admit(request.urgency).await.map_err(Failure::Undone)? {
                Admission::Go(permit) => permit,
                Admission::Probe => {
                    Box::pin(self.probe()).await?;
                    continue;
                }
            };
            about();
            self.calls.count(request.call);
            let attempt = self.exchange(request, &token).await;
            drop(permit);
            if let Ok(answer) = &attempt {
                self.listen(answer);
            }
            match self.judge(attempt, request) {
                Judged::Answered(answer) => {
                    self.gate.answered();
                    return Ok(answer);
                }
                Judged::Expired if dead.is_none() => dead = Some(generation),
                Judged::Expired => return Err(Failure::Undone(self.stop(twice_expired()))),
                Judged::Failed(failure) => return Err(failure),
                Judged::Again { asked, failure } => {
                    let Some(delay) = delays.next() else { return Err(failure) };
                    self.wait(asked.unwrap_or(delay).max(delay), asked.is_some()).await;
                }
            }
            self.calls.count_repeated();
        }
    }

    /// Takes in what the headers of an answer say of our calls.
    fn listen(&self, answer: &Answer) {
        if let Some(reported) = (self.dialect.usage)(&answer.headers) {
            self.gate.report(reported);
        }
        if let Some(most) = (self.dialect.advised)(&answer.headers) {
            self.gate.advise(most);
        }
    }

    /// Asks whether the day's calls are back.
    async fn probe(&self) -> Result<(), Failure> {
        let request = Request {
            call: Call::Limits,
            method: Method::GET,
            path: self.connection.probe.clone(),
            headers: Vec::new(),
            body: None,
            repeat: Repeat::IfUndone,
            urgency: Urgency::Probe,
            allowance: Allowance::Account,
        };
        let answer = self.send(&request, &mut || ()).await?;
        if let Some(reported) = (self.dialect.probed)(&answer) {
            self.gate.report(reported);
        }
        Ok(())
    }

    /// What follows from an attempt: the pure part of [`Client::send`], but for what it counts.
    fn judge(&self, attempt: Result<Answer, Broken>, request: &Request) -> Judged {
        let repeatable = request.repeat == Repeat::Freely;
        match attempt {
            Err(Broken::Unreached(error)) => match tls::distrust(&*error) {
                Some(why) => Judged::Failed(Failure::Undone(self.distrusted(&why))),
                None => Judged::Again { asked: None, failure: self.unreached(error) },
            },
            Err(Broken::Lost(error)) => self.lost(error, None, repeatable),
            Ok(answer) => {
                let asked = exchange::retry_after(&answer);
                match (self.dialect.verdict)(&answer, request.allowance) {
                    Verdict::Answered => Judged::Answered(answer),
                    Verdict::Expired => Judged::Expired,
                    Verdict::Denied(why) => {
                        Judged::Failed(Failure::Undone(PeerError::Denied { why }))
                    }
                    Verdict::Stopped(why) => Judged::Failed(Failure::Undone(self.stop(why))),
                    Verdict::Exhausted => Judged::Failed(Failure::Undone(self.gate.exhausted())),
                    Verdict::Busy => {
                        self.gate.crowded();
                        let after = asked.unwrap_or(self.connection.pace.longest);
                        let why = "the organisation takes no more calls at once".to_owned();
                        Judged::Again {
                            asked: Some(asked.unwrap_or(Duration::ZERO)),
                            failure: Failure::Undone(PeerError::Throttled { after, why }),
                        }
                    }
                    Verdict::Broken(why) => self.lost(why.into(), asked, repeatable),
                }
            }
        }
    }

    fn lost(
        &self,
        error: Box<dyn Error + Send + Sync>,
        asked: Option<Duration>,
        repeatable: bool,
    ) -> Judged {
        self.calls.count_lost();
        if let Some(asked) = asked {
            self.gate.close(asked, "told to come back later");
        }
        let failure = Failure::Lost(error);
        if repeatable { Judged::Again { asked, failure } } else { Judged::Failed(failure) }
    }

    /// Stops the whole account until somebody mends it.
    fn stop(&self, why: String) -> PeerError {
        let error = PeerError::Denied { why };
        self.gate.refused(&error);
        error
    }

    /// Waits before the next try; where the other side asked for it, the whole account waits.
    async fn wait(&self, delay: Duration, all: bool) {
        if all {
            self.gate.close(delay, "told to come back later");
        } else {
            tokio::time::sleep(delay).await;
        }
    }

    fn unreached(&self, source: Box<dyn Error + Send + Sync>) -> Failure {
        tracing::debug!(url = self.connection.url, error = %source, "not reached");
        Failure::Undone(PeerError::Transient { doing: "reaching the CRM", source })
    }

    fn distrusted(&self, why: &str) -> PeerError {
        let url = &self.connection.url;
        PeerError::Denied { why: format!("the certificate of `{url}` {why}") }
    }
}

fn twice_expired() -> String {
    "a token was refused as soon as it had been given; check the session policies of the app that \
     client_id names"
        .to_owned()
}

/// What follows from an attempt.
enum Judged {
    Answered(Answer),
    Expired,
    Failed(Failure),
    /// May be sent again; after this long, where the other side asked for it.
    Again {
        asked: Option<Duration>,
        failure: Failure,
    },
}

/// Refuses an address without TLS: it would carry the token for everyone to read.
fn only_https(url: &str) -> Result<(), PeerError> {
    let secure = url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
    if secure {
        return Ok(());
    }
    Err(PeerError::Unfit {
        why: format!("url `{url}` is not https; a token would travel in the open: write https://…"),
    })
}
