//! One request and its answer, tried once.

use std::error::Error;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use tokio::time::Instant;

use crate::crm::delays::Delays;
use crate::crm::http::{
    Answer, Call, Client, Request, Token, TokenRefusal, Verdict, only_https, tls,
};
use crate::peer::PeerError;

/// Why a request that was tried once has no whole answer.
pub(super) enum Broken {
    /// No connection was made: it was certainly not carried out.
    Unreached(Box<dyn Error + Send + Sync>),
    /// It was sent, or may have been.
    Lost(Box<dyn Error + Send + Sync>),
}

impl Client {
    /// Sends a request once.
    pub(super) async fn exchange(
        &self,
        request: &Request,
        token: &Token,
    ) -> Result<Answer, Broken> {
        let url = format!("{}{}", token.base, request.path);
        let mut builder = self.http.request(request.method.clone(), url).bearer_auth(&token.bearer);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if let Some(body) = &request.body {
            if request.headers.iter().all(|(name, _)| *name != CONTENT_TYPE) {
                let json = HeaderValue::from_static("application/json; charset=UTF-8");
                builder = builder.header(CONTENT_TYPE, json);
            }
            builder = builder.body(body.clone());
        }
        self.answer(builder).await
    }

    /// Asks for a token, again where that may help.
    pub(super) async fn ask_for_token(&self) -> Result<Token, PeerError> {
        let mut delays = Delays::new(self.connection.pace);
        let mut ours = self.server_now().is_none();
        loop {
            let now = self.server_now().unwrap_or_else(our_clock);
            let form = (self.token_request.form)(now)?;
            self.calls.count(Call::Token);
            let request = self.http.post(&self.token_request.url).form(&form);
            let (source, denied): (Box<dyn Error + Send + Sync>, Option<PeerError>) =
                match self.answer(request).await {
                    Ok(answer) => match (self.dialect.token)(&answer) {
                        Ok(token) => {
                            only_https(&token.base)?;
                            return Ok(token);
                        }
                        Err(TokenRefusal::Again(why)) => (why.into(), None),
                        Err(TokenRefusal::Later(after, why)) => {
                            ("too early".into(), Some(PeerError::Throttled { after, why }))
                        }
                        // What was signed by a clock that is wrong is signed once more by theirs.
                        Err(TokenRefusal::Denied(_)) if ours && is_off(now, answer.date) => {
                            ours = false;
                            continue;
                        }
                        Err(TokenRefusal::Denied(why)) => {
                            ("denied".into(), Some(PeerError::Denied { why }))
                        }
                    },
                    Err(Broken::Unreached(error) | Broken::Lost(error)) => {
                        let denied = tls::distrust(&*error).map(|why| self.distrusted(&why));
                        (error, denied)
                    }
                };
            if let Some(denied) = denied {
                return Err(denied);
            }
            match delays.next() {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(PeerError::Transient { doing: "asking for a token", source }),
            }
        }
    }

    async fn answer(&self, builder: reqwest::RequestBuilder) -> Result<Answer, Broken> {
        let sent = Instant::now();
        let mut response = builder.send().await.map_err(|error| {
            // A connection that timed out while it was made carried nothing either.
            if error.is_connect() || error.is_builder() {
                Broken::Unreached(Box::new(error.without_url()))
            } else {
                Broken::Lost(Box::new(error.without_url()))
            }
        })?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let lost = |error: reqwest::Error| Broken::Lost(Box::new(error.without_url()));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > self.connection.body_bytes_max {
                let most = self.connection.body_bytes_max;
                return Err(Broken::Lost(format!("an answer of more than {most} bytes").into()));
            }
            body.extend_from_slice(&chunk);
        }
        let date = server_date(&headers);
        if let Some(date) = date {
            let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
            *clock = Some((date, Instant::now()));
        }
        Ok(Answer { status, headers, body, date, took: sent.elapsed() })
    }
}

/// Our clock, for what is signed before the server has told its own.
#[expect(clippy::disallowed_methods, reason = "the client reads a clock where it calls")]
fn our_clock() -> Timestamp {
    Timestamp::now()
}

/// Whether a clock that was used is further from the server's than its whole seconds explain.
fn is_off(used: Timestamp, server: Option<Timestamp>) -> bool {
    server.is_some_and(|server| server.duration_since(used).abs() > CLOCK_OFF)
}

/// What is signed is good for minutes; a clock that is off by less was not the reason.
const CLOCK_OFF: SignedDuration = SignedDuration::from_secs(30);

/// The server's clock.
fn server_date(headers: &HeaderMap) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(headers.get(DATE)?.to_str().ok()?).ok()
}

/// How long the server asks to be left alone: seconds, or a date by its own clock.
pub(super) fn retry_after(answer: &Answer) -> Option<Duration> {
    let text = answer.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = text.parse::<u64>().ok().or_else(|| {
        let until = DateTimeParser::new().parse_timestamp(text).ok()?;
        u64::try_from(until.as_second() - answer.date?.as_second()).ok()
    })?;
    Some(Duration::from_secs(seconds.min(LONGEST_ASKED)))
}

/// A server that asks for more than an hour is asked again after one.
const LONGEST_ASKED: u64 = 3600;

impl Verdict {
    /// The verdict that the status alone gives, where no CRM's own code says more.
    pub fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Expired,
            429 => Self::Busy,
            408 | 420 | 500..=599 => Self::Broken(format!("HTTP status {status}")),
            _ => Self::Answered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(headers: &[(&'static str, &'static str)]) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        let date = server_date(&map);
        Answer { status: 503, headers: map, body: Vec::new(), date, took: Duration::ZERO }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_by_the_servers_clock() {
        assert_eq!(retry_after(&answer(&[])), None);
        assert_eq!(retry_after(&answer(&[("retry-after", "7")])), Some(Duration::from_secs(7)));
        let dated = answer(&[
            ("date", "Sat, 31 Oct 2026 12:00:00 GMT"),
            ("retry-after", "Sat, 31 Oct 2026 12:00:30 GMT"),
        ]);
        assert_eq!(retry_after(&dated), Some(Duration::from_secs(30)));
        assert_eq!(retry_after(&answer(&[("retry-after", "soon")])), None);
    }
}
