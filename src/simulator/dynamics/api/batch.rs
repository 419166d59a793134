//! Batches: parts in their order, and change sets that happen whole or not at all.

use super::super::exchange::{Answer, Answered, Body, Request};
use super::super::guid::Guid;
use super::super::org::Org;
use super::super::refusal::Refusal;
use super::multipart::{Item, Part, read, written};
use super::{Call, resource};

/// `POST $batch`.
pub(super) fn batch(org: &mut Org, call: &Call<'_>) -> Answered {
    let kind = call.request.header("content-type").unwrap_or_default();
    let items = read(kind, &call.request.body)?;
    let goes_on = call.request.preference("odata.continue-on-error");
    let goes_on = goes_on.is_some_and(|value| value != "false");
    let boundary = format!("batchresponse_{}", Guid::draw(&mut org.draw));
    let (mut text, mut status, mut rows) = (String::new(), 200, 0);
    for item in items {
        let failed = match item {
            Item::Single(part) => {
                let answer = single(org, call, &part, &[]);
                org.data.commit();
                rows += answer.rows;
                text.push_str(&written(&answer, part.content_id.as_deref(), &boundary));
                answer.is_error().then_some(answer.status)
            }
            Item::ChangeSet(parts) => change_set(org, call, &parts, (&boundary, &mut text)),
        };
        if let Some(failed) = failed.filter(|_| !goes_on) {
            status = failed;
            break;
        }
    }
    text.extend(["--", &boundary, "--\r\n"]);
    let body = Body::Text(format!("multipart/mixed; boundary={boundary}"), text);
    Ok(Answer { status, headers: Vec::new(), body, rows })
}

/// All parts, or the answer of the one that failed; its status, if one did.
fn change_set(
    org: &mut Org,
    call: &Call<'_>,
    parts: &[Part],
    (boundary, text): (&str, &mut String),
) -> Option<u16> {
    let inner = format!("changesetresponse_{}", Guid::draw(&mut org.draw));
    let head = "\r\nContent-Type: multipart/mixed; boundary=";
    text.extend(["--", boundary, head, &inner, "\r\n\r\n"]);
    let mark = org.data.mark();
    let mut made = Vec::new();
    let mut answers = String::new();
    let mut failed = None;
    for part in parts {
        let answer = if part.method == "GET" {
            Answer::from(Refusal::argument("A change set has no GET."))
        } else {
            single(org, call, part, &made)
        };
        let answered = written(&answer, part.content_id.as_deref(), &inner);
        if answer.is_error() {
            org.data.roll_back(mark);
            answers = answered;
            failed = Some(answer.status);
            break;
        }
        answers.push_str(&answered);
        if let (Some(id), Some(address)) = (&part.content_id, answer.header("odata-entityid")) {
            made.push((id.clone(), address.to_owned()));
        }
    }
    org.data.commit();
    text.extend([&answers, "--", &inner, "--\r\n"]);
    failed
}

/// One part, answered as the request that it is.
fn single(org: &mut Org, call: &Call<'_>, part: &Part, made: &[(String, String)]) -> Answer {
    let referred = refer(&part.target, made).and_then(|target| {
        let body = refer_in_body(&String::from_utf8_lossy(&part.body), made)?;
        Ok((target, body))
    });
    let (target, body) = match referred {
        Ok(both) => both,
        Err(refusal) => return refusal.into(),
    };
    let target = absolute(call, &target);
    let mut headers = call.request.headers.clone();
    for name in ["prefer", "if-match", "if-none-match", "content-type", "content-length"] {
        headers.remove(name);
    }
    for (name, value) in &part.headers {
        headers.insert(name.clone(), value.clone());
    }
    let request = Request {
        number: call.request.number,
        origin: call.request.origin.clone(),
        ..Request::new(&part.method, &target, headers, body.into_bytes())
    };
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    let ["api", "data", _, rest @ ..] = path.as_slice() else {
        return Refusal::segment(&target).into();
    };
    let inner = Call { request: &request, root: call.root.clone(), in_batch: true };
    if *rest == ["$batch"] {
        return Refusal::argument("A batch has no batch.").into();
    }
    resource(org, &inner, rest).unwrap_or_else(Answer::from)
}

/// The path of a part: whole addresses, paths from the root, and paths of this service.
fn absolute(call: &Call<'_>, target: &str) -> String {
    if let Some((_, rest)) = target.split_once("://") {
        return rest.find('/').map_or_else(|| "/".to_owned(), |at| rest[at..].to_owned());
    }
    if target.starts_with("/api/data/") {
        return target.to_owned();
    }
    let root = call.root.trim_start_matches(&call.request.origin);
    format!("{root}/{}", target.trim_start_matches('/'))
}

/// Puts the address of a record in the place of `$1` at the start of a path.
fn refer(target: &str, made: &[(String, String)]) -> Result<String, Refusal> {
    let bare = target.trim_start_matches('/');
    let Some(rest) =
        bare.strip_prefix('$').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    else {
        return Ok(target.to_owned());
    };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (id, behind) = rest.split_at(end);
    Ok(format!("{}{behind}", address_of(id, made)?))
}

/// Puts addresses in the place of `"$1"` in a body.
fn refer_in_body(body: &str, made: &[(String, String)]) -> Result<String, Refusal> {
    let mut text = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find("@odata.bind\"").or_else(|| rest.find("@odata.id\"")) {
        let (before, behind) = rest.split_at(at + rest[at..].find('"').unwrap_or(0) + 1);
        text.push_str(before);
        rest = behind;
        let Some(open) = rest.find('"').filter(|open| rest[..*open].trim() == ":") else {
            continue;
        };
        let value = &rest[open + 1..];
        let Some(close) = value.find('"') else { continue };
        let whole = &value[..close];
        if let Some(id) = whole.trim_start_matches('/').strip_prefix('$') {
            text.push_str(&rest[..=open]);
            text.push_str(&address_of(id, made)?);
            rest = &value[close..];
        }
    }
    text.push_str(rest);
    Ok(text)
}

fn address_of(id: &str, made: &[(String, String)]) -> Result<String, Refusal> {
    let found = made.iter().find(|(known, _)| known == id).map(|(_, address)| address.clone());
    found.ok_or_else(|| {
        let message = format!("Content-ID Reference: '${id}' does not exist in the batch context.");
        Refusal::new(400, "0x80048d19", message)
    })
}
