//! Many operations in one request (`$batch`, multipart/mixed): how they are written, and how their
//! answers are read.
//!
//! Operations stand beside each other and not in a change set, which would be one transaction: each is
//! carried out or refused by itself, in their order, and one bad row never stops its neighbours.

use std::fmt::Write as _;

use reqwest::Method;
use reqwest::header::HeaderName;
use serde_json::Value as Json;

use crate::crm::dynamics::errors::ApiError;

/// One operation.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) method: Method,
    /// From the slash.
    pub(super) path: String,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) body: Option<Json>,
}

/// The answer to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    refused: Option<ApiError>,
}

impl Part {
    /// Refused with the request as a whole.
    pub(super) fn refused(error: &ApiError) -> Self {
        Self { status: error.status, body: Vec::new(), refused: Some(error.clone()) }
    }

    /// Why it was refused, where it was.
    pub(super) fn error(&self) -> Option<ApiError> {
        if self.status < 300 {
            return None;
        }
        Some(self.refused.clone().unwrap_or_else(|| ApiError::of(self.status, &self.body)))
    }
}

/// Writes operations as a body. The service wants lines to end in CR and LF.
pub(super) fn encode(operations: &[Operation], boundary: &str) -> Vec<u8> {
    let mut text = String::new();
    for Operation { method, path, headers, body } in operations {
        let mut add = |line: std::fmt::Arguments<'_>| {
            text.write_fmt(line).expect("writing into a text cannot fail");
            text.push_str("\r\n");
        };
        add(format_args!("--{boundary}"));
        add(format_args!("Content-Type: application/http"));
        add(format_args!("Content-Transfer-Encoding: binary"));
        add(format_args!(""));
        add(format_args!("{method} {path} HTTP/1.1"));
        add(format_args!("Accept: application/json"));
        for (name, value) in headers {
            add(format_args!("{name}: {value}"));
        }
        match body {
            Some(body) => {
                add(format_args!("Content-Type: application/json; type=entry"));
                add(format_args!(""));
                add(format_args!("{body}"));
            }
            None => add(format_args!("")),
        }
    }
    text.push_str("--");
    text.push_str(boundary);
    text.push_str("--\r\n");
    text.into_bytes()
}

/// Reads the answers, in their order.
pub(super) fn decode(body: &[u8], content_type: &str) -> Result<Vec<Part>, &'static str> {
    let boundary = boundary(content_type).ok_or("an answer to a batch without a boundary")?;
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut rest = find(body, delimiter.as_bytes()).ok_or("an answer to a batch without parts")?;
    loop {
        rest = &rest[delimiter.len()..];
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        let next =
            find(rest, delimiter.as_bytes()).ok_or("an answer to a batch that is cut off")?;
        parts.push(part(&rest[..rest.len() - next.len()])?);
        rest = next;
    }
}

fn part(text: &[u8]) -> Result<Part, &'static str> {
    const CUT: &str = "a part of an answer to a batch that is cut off";
    // Behind the part's own headers is a whole answer.
    let answer = after_blank_line(text).ok_or(CUT)?;
    let status = answer.split(|c| *c == b'\n').next().unwrap_or_default();
    let status = str::from_utf8(status).ok().and_then(|line| line.split(' ').nth(1));
    let status = status.and_then(|status| status.trim().parse().ok());
    let status = status.ok_or("a part of an answer to a batch without a status")?;
    let body = after_blank_line(answer).unwrap_or_default().trim_ascii().to_vec();
    Ok(Part { status, body, refused: None })
}

fn boundary(content_type: &str) -> Option<&str> {
    let parameters = content_type.split(';').skip(1);
    let value =
        parameters.filter_map(|one| one.trim().split_once('=')).find_map(|(name, value)| {
            name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
        });
    value.filter(|value| !value.is_empty())
}

/// From the first place on where this is.
fn find<'a>(text: &'a [u8], what: &[u8]) -> Option<&'a [u8]> {
    let at = text.windows(what.len()).position(|window| window == what)?;
    Some(&text[at..])
}

/// What stands behind the first empty line.
fn after_blank_line(text: &[u8]) -> Option<&[u8]> {
    let long = text.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
    let short = text.windows(2).position(|window| window == b"\n\n").map(|at| at + 2);
    let at = match (long, short) {
        (Some(long), Some(short)) => long.min(short),
        (one, other) => one.or(other)?,
    };
    Some(&text[at..])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_are_written_one_behind_the_other() {
        let patch = Operation {
            method: Method::PATCH,
            path: "/api/data/v9.2/contacts(1)".to_owned(),
            headers: vec![(HeaderName::from_static("if-match"), "W/\"7\"".to_owned())],
            body: Some(json!({ "lastname": "Bell" })),
        };
        let get = Operation {
            method: Method::GET,
            path: "/api/data/v9.2/contacts(2)".to_owned(),
            headers: Vec::new(),
            body: None,
        };
        let text = String::from_utf8(encode(&[patch, get], "b")).unwrap();
        let expected = "--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\
            \r\nPATCH /api/data/v9.2/contacts(1) HTTP/1.1\r\nAccept: application/json\r\n\
            if-match: W/\"7\"\r\nContent-Type: application/json; type=entry\r\n\r\n\
            {\"lastname\":\"Bell\"}\r\n--b\r\nContent-Type: application/http\r\n\
            Content-Transfer-Encoding: binary\r\n\r\nGET /api/data/v9.2/contacts(2) HTTP/1.1\r\n\
            Accept: application/json\r\n\r\n--b--\r\n";
        assert_eq!(text, expected);
    }

    fn answer(newline: &str) -> String {
        let lines = [
            "--batchresponse_5b",
            "Content-Type: application/http",
            "Content-Transfer-Encoding: binary",
            "",
            "HTTP/1.1 204 No Content",
            "OData-Version: 4.0",
            "",
            "",
            "--batchresponse_5b",
            "Content-Type: application/http",
            "Content-Transfer-Encoding: binary",
            "",
            "HTTP/1.1 412 Precondition Failed",
            "Content-Type: application/json; odata.metadata=minimal",
            "",
            r#"{"error":{"code":"0x80060882","message":"The version differs."}}"#,
            "--batchresponse_5b--",
            "",
        ];
        lines.join(newline)
    }

    #[test]
    fn answers_are_read_whichever_way_lines_end_and_the_boundary_is_written() {
        for (newline, kind) in [
            ("\r\n", "multipart/mixed; boundary=batchresponse_5b"),
            ("\n", "multipart/mixed;boundary=\"batchresponse_5b\""),
        ] {
            let parts = decode(answer(newline).as_bytes(), kind).unwrap();
            let statuses: Vec<u16> = parts.iter().map(|part| part.status).collect();
            assert_eq!(statuses, [204, 412]);
            assert_eq!(parts[0].error(), None);
            let error = parts[1].error().unwrap();
            assert_eq!(error.code_word(), "0x80060882");
        }
    }

    #[test]
    fn an_answer_that_is_cut_off_is_none() {
        let kind = "multipart/mixed; boundary=batchresponse_5b";
        let whole = answer("\r\n");
        for end in 0..whole.rfind("--").unwrap() {
            assert!(decode(&whole.as_bytes()[..end], kind).is_err(), "{end}");
        }
        assert!(decode(whole.as_bytes(), "multipart/mixed").is_err());
    }
}
