//! The form of a batch: parts between boundaries, each a request or a response of its own.
//!
//! Real clients differ in what they write: line ends of one or two letters, boundaries in quotes,
//! spaces in the request line, no empty line behind the headers of a part without a body. What we
//! write is as strict as the clients' own parsers are.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::super::exchange::{Answer, Body};
use super::super::refusal::Refusal;

/// Operations of a batch at most.
pub(super) const OPERATIONS_MAX: usize = 1_000;

/// One request of a batch.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) content_id: Option<String>,
}

/// What stands between two boundaries of a batch.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Single(Box<Part>),
    ChangeSet(Vec<Part>),
}

/// Reads the body of a batch.
pub(super) fn read(content_type: &str, body: &[u8]) -> Result<Vec<Item>, Refusal> {
    let boundary = boundary(content_type)
        .ok_or_else(|| wrong("The boundary of the batch is missing from its content type."))?;
    let text = String::from_utf8_lossy(body);
    let mut items = Vec::new();
    for part in parts(&text, &boundary)? {
        let (headers, rest) = headers(part);
        let kind = value(&headers, "content-type").unwrap_or_default();
        if kind.to_ascii_lowercase().starts_with("multipart/mixed") {
            let inner = self::boundary(&kind)
                .ok_or_else(|| wrong("The boundary of a change set is missing."))?;
            let requests = parts(rest, &inner)?.into_iter().map(request);
            items.push(Item::ChangeSet(requests.collect::<Result<_, _>>()?));
        } else {
            items.push(Item::Single(Box::new(request(part)?)));
        }
    }
    let count = items.iter().map(|item| match item {
        Item::Single(_) => 1,
        Item::ChangeSet(parts) => parts.len(),
    });
    if OPERATIONS_MAX < count.sum() {
        let message = format!("Maximum number of operations in a batch is {OPERATIONS_MAX}.");
        return Err(Refusal::argument(message));
    }
    Ok(items)
}

fn wrong(message: &str) -> Refusal {
    Refusal::new(400, "0x80048d19", message)
}

/// The boundary of a content type, in quotes or not.
fn boundary(content_type: &str) -> Option<String> {
    content_type.split(';').find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let is_boundary = name.trim().eq_ignore_ascii_case("boundary");
        is_boundary.then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// The texts between the boundaries.
fn parts<'a>(text: &'a str, boundary: &str) -> Result<Vec<&'a str>, Refusal> {
    let delimiter = format!("--{boundary}");
    let mut found = Vec::new();
    let (mut at, mut start) = (0, None);
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end();
        if bare == delimiter || bare == format!("{delimiter}--") {
            if let Some(start) = start {
                found.push(&text[start..at]);
            }
            start = (bare == delimiter).then_some(at + line.len());
        }
        at += line.len();
    }
    // A last part without an end is taken as it is.
    found.extend(start.map(|start| &text[start..]).filter(|part| !part.trim().is_empty()));
    if found.is_empty() && !text.contains(&delimiter) {
        return Err(wrong("The batch has no part: its boundary is nowhere in the body."));
    }
    Ok(found)
}

/// Header lines up to the first empty one, and what follows.
fn headers(text: &str) -> (Vec<(String, String)>, &str) {
    let (mut list, mut at) = (Vec::new(), 0);
    for line in text.split_inclusive('\n') {
        at += line.len();
        let bare = line.trim_end_matches(['\r', '\n']);
        match bare.split_once(':') {
            Some((name, value)) => {
                list.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
            None if bare.trim().is_empty() && list.is_empty() => {}
            None => break,
        }
    }
    (list, &text[at.min(text.len())..])
}

fn value(headers: &[(String, String)], name: &str) -> Option<String> {
    headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
}

/// One part as a request.
fn request(part: &str) -> Result<Part, Refusal> {
    let (own, rest) = headers(part);
    let rest = rest.trim_start_matches(['\r', '\n']);
    let (line, rest) = rest.split_once('\n').unwrap_or((rest, ""));
    // The address may have spaces: it stands between the first one and the version.
    let line = line.trim_end();
    let unreadable = || wrong("A part of the batch has no request line.");
    let (method, target) = line.split_once(' ').ok_or_else(unreadable)?;
    let target = target.rsplit_once(" HTTP/").map_or(target, |(target, _)| target);
    // Without headers the empty line comes at once.
    let is_bare = rest.trim_start_matches('\r').starts_with('\n');
    let (sent, body) = if is_bare { (Vec::new(), rest) } else { headers(rest) };
    let mut headers = HeaderMap::new();
    for (name, value) in sent {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unreadable())?;
        let value = HeaderValue::from_str(&value).map_err(|_| unreadable())?;
        headers.append(name, value);
    }
    Ok(Part {
        method: method.to_ascii_uppercase(),
        target: target.trim().to_owned(),
        headers,
        body: body.trim().as_bytes().to_vec(),
        content_id: value(&own, "content-id"),
    })
}

/// How many operations a body of a batch holds: its request lines.
pub(in super::super) fn operations(body: &[u8]) -> usize {
    let text = String::from_utf8_lossy(body);
    text.lines().filter(|line| line.trim_end().ends_with(" HTTP/1.1")).count()
}

/// One answer as a part: no line before its first header, at most one object.
pub(super) fn written(answer: &Answer, content_id: Option<&str>, boundary: &str) -> String {
    let id = content_id.map_or(String::new(), |id| format!("Content-ID: {id}\r\n"));
    let reason = axum::http::StatusCode::from_u16(answer.status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Unknown");
    let mut text = format!(
        "--{boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\
         {id}\r\nHTTP/1.1 {} {reason}\r\n",
        answer.status
    );
    let body = match &answer.body {
        Body::Empty => String::new(),
        Body::Json(json) => {
            text.push_str("Content-Type: application/json; odata.metadata=minimal\r\n");
            json.to_string()
        }
        Body::Text(kind, body) => {
            text.extend(["Content-Type: ", kind, "\r\n"]);
            body.clone()
        }
    };
    text.push_str("OData-Version: 4.0\r\n");
    for (name, value) in &answer.headers {
        text.extend([spelled(name), ": ", value, "\r\n"]);
    }
    format!("{text}\r\n{body}\r\n")
}

/// Header names as the service spells them within a batch.
fn spelled(name: &str) -> &str {
    match name {
        "odata-entityid" => "OData-EntityId",
        "location" => "Location",
        "etag" => "ETag",
        "preference-applied" => "Preference-Applied",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOSE: &str = "\n--b\nContent-Type: application/http\nContent-Transfer-Encoding: binary\n\n\
        GET /api/data/v9.2/contacts?$filter=lastname eq 'x y' HTTP/1.1\nAccept: application/json\n\n\
        --b\nCONTENT-TYPE: multipart/mixed;boundary=\"c\"\n\n--c\ncontent-type: application/http\n\
        content-id: 1\n\nDELETE contacts(1) HTTP/1.1\n--c\nContent-Type: application/http\n\
        Content-ID: 2\n\nPOST contacts HTTP/1.1\nContent-Type: application/json\n\n{\"a\":1}\n\
        --c--\n--b--\n";

    #[test]
    fn batches_are_read_as_clients_write_them() {
        for text in [LOOSE.to_owned(), LOOSE.replace('\n', "\r\n")] {
            let items = read("multipart/mixed; boundary=\"b\"", text.as_bytes()).unwrap();
            let [Item::Single(get), Item::ChangeSet(set)] = items.as_slice() else {
                panic!("{items:?}");
            };
            assert_eq!(get.target, "/api/data/v9.2/contacts?$filter=lastname eq 'x y'");
            assert_eq!(get.headers["accept"], "application/json");
            assert_eq!((set[0].method.as_str(), set[0].body.len()), ("DELETE", 0));
            assert_eq!(set[1].content_id.as_deref(), Some("2"));
            assert_eq!(set[1].body, b"{\"a\":1}");
            assert_eq!(operations(text.as_bytes()), 3);
        }
        assert!(read("multipart/mixed", b"").is_err());
        assert!(read("multipart/mixed;boundary=other", LOOSE.as_bytes()).is_err());
    }
}
