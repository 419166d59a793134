//! One request and its answer, tried once.

use std::error::Error;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use tokio::time::Instant;

use crate::crm::http::{Answer, Client, Request, Token, Verdict};
use crate::reconcile::Skew;

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

    pub(super) async fn answer(&self, builder: reqwest::RequestBuilder) -> Result<Answer, Broken> {
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

/// A text as it stands in a query string or a path.
pub(in crate::crm) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 3 / 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let digit = |half: u8| char::from(b"0123456789ABCDEF"[usize::from(half)]);
            encoded.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    encoded
}

/// The server's clock.
fn server_date(headers: &HeaderMap) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(headers.get(DATE)?.to_str().ok()?).ok()
}

/// How long the server asks to be left alone: seconds, or a date by its own clock.
pub(super) fn retry_after(answer: &Answer) -> Option<Duration> {
    let text = answer.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    // A proxy may say a part of a second; a whole one more is never too soon.
    let whole = text.split_once('.').map(|(whole, _)| whole);
    let plain = text.parse::<u64>().ok();
    let rounded = || whole?.parse::<u64>().ok()?.checked_add(1);
    let seconds = plain.or_else(rounded).or_else(|| {
        let until = DateTimeParser::new().parse_timestamp(text).ok()?;
        u64::try_from(until.as_second() - answer.date?.as_second()).ok()
    })?;
    Some(Duration::from_secs(seconds.min(LONGEST_ASKED)))
}

/// A server that asks for more than an hour is asked again after one.
const LONGEST_ASKED: u64 = 3600;

/// The server's clock against ours: its date has whole seconds, and was taken somewhere between
/// the request and the answer.
pub fn skew(date: Option<Timestamp>, took: Duration, sent: Timestamp) -> Option<Skew> {
    let took = SignedDuration::try_from(took).ok()?;
    let middle = sent.checked_add(took / 2).ok()?;
    let half_a_second = SignedDuration::from_millis(500);
    Some(Skew {
        offset: date?.duration_since(middle) + half_a_second,
        uncertainty: SignedDuration::from_secs(1) + took / 2,
    })
}

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
        assert_eq!(retry_after(&answer(&[("retry-after", "7.2")])), Some(Duration::from_secs(8)));
        let dated = answer(&[
            ("date", "Sat, 31 Oct 2026 12:00:00 GMT"),
            ("retry-after", "Sat, 31 Oct 2026 12:00:30 GMT"),
        ]);
        assert_eq!(retry_after(&dated), Some(Duration::from_secs(30)));
        assert_eq!(retry_after(&answer(&[("retry-after", "soon")])), None);
    }

    #[test]
    fn an_address_holds_nothing_that_means_something_else() {
        assert_eq!(encode("a+b '€'"), "a%2Bb%20%27%E2%82%AC%27");
    }
}
