//! A request as it came, and an answer as it is sent.

use axum::http::HeaderMap;
use serde_json::{Map, Value as Json};

use super::super::wire::{decode_path, pairs};
use super::address::segments;
use super::refusal::Refusal;

/// A request, or one part of a batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    pub(super) number: u64,
    pub(super) method: String,
    /// Path and query as sent.
    pub(super) target: String,
    /// Scheme and host, by which the client knows us: links are built of it.
    pub(super) origin: String,
    /// The parts of the path, decoded.
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// It was let in before, and only its effect was put off.
    pub(super) admitted: bool,
}

impl Request {
    pub(super) fn new(method: &str, target: &str, headers: HeaderMap, body: Vec<u8>) -> Request {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        Request {
            number: 0,
            method: method.to_owned(),
            target: target.to_owned(),
            origin: format!("https://{host}"),
            path: segments(path).into_iter().map(decode_path).collect(),
            query: pairs(query),
            headers,
            body,
            admitted: false,
        }
    }

    /// A query option.
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// What the client prefers, by name: all `Prefer` headers, cut at commas outside of quotes.
    pub(super) fn preference(&self, name: &str) -> Option<String> {
        let all = self.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        all.flat_map(preferences).find_map(|one| {
            let (key, value) = one.split_once('=').unwrap_or((&one, ""));
            let is_it = key.trim().eq_ignore_ascii_case(name);
            is_it.then(|| value.trim().trim_matches('"').to_owned())
        })
    }

    /// The body as a JSON object.
    pub(super) fn object(&self) -> Result<Map<String, Json>, Refusal> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Map::new());
        }
        match serde_json::from_slice(&self.body) {
            Ok(Json::Object(object)) => Ok(object),
            Ok(_) => Err(Refusal::payload("the body is not a JSON object")),
            Err(error) => Err(Refusal::payload(format!("the body is not JSON: {error}"))),
        }
    }
}

fn preferences(header: &str) -> Vec<String> {
    let (mut parts, mut part, mut quoted) = (Vec::new(), String::new(), false);
    for letter in header.chars() {
        match letter {
            '"' => quoted = !quoted,
            ',' | ';' if !quoted => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        part.push(letter);
    }
    parts.push(part);
    parts.iter().map(|part| part.trim().to_owned()).collect()
}

/// What the body of an answer is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Body {
    Empty,
    Json(Json),
    /// A text of that content type.
    Text(String, String),
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Body,
    /// Records that it carries.
    pub(super) rows: usize,
}

impl Answer {
    pub(super) fn new(status: u16, body: Json) -> Answer {
        Answer { status, headers: Vec::new(), body: Body::Json(body), rows: 0 }
    }

    pub(super) fn empty(status: u16) -> Answer {
        Answer { status, headers: Vec::new(), body: Body::Empty, rows: 0 }
    }

    pub(super) fn text(kind: &str, text: impl Into<String>) -> Answer {
        let body = Body::Text(kind.to_owned(), text.into());
        Answer { status: 200, headers: Vec::new(), body, rows: 0 }
    }

    pub(super) fn html(status: u16, title: &str) -> Answer {
        let page = format!("<html><head><title>{title}</title></head><body>{title}</body></html>");
        Answer { status, ..Answer::text("text/html; charset=utf-8", page) }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn rows(self, rows: usize) -> Answer {
        Answer { rows, ..self }
    }

    pub(super) fn is_error(&self) -> bool {
        400 <= self.status
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Answer {
        Answer::new(refusal.status, refusal.json())
    }
}

/// An answer, or why there is none.
pub(super) type Answered = Result<Answer, Refusal>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_cut_outside_of_quotes() {
        let mut headers = HeaderMap::new();
        let both = "odata.include-annotations=\"A,B\",odata.maxpagesize=2";
        headers.append("prefer", both.parse().unwrap());
        headers.append("prefer", "return=representation".parse().unwrap());
        let request = Request::new("GET", "/x", headers, Vec::new());
        let found = |name| request.preference(name);
        assert_eq!(found("odata.include-annotations").as_deref(), Some("A,B"));
        assert_eq!(found("odata.maxpagesize").as_deref(), Some("2"));
        assert_eq!(found("return").as_deref(), Some("representation"));
        assert_eq!(found("odata.track-changes"), None);
    }
}
