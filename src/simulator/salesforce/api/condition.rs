//! Requests on condition: what a client has seen is compared with what is there.
//!
//! Dates have whole seconds, so a change within the second that the client names passes. Entity
//! tags exist for `Account` alone. None of it exists in collections, composites, deletes or jobs
//! (Salesforce: "Conditional Requests").

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::super::clock::{http_date, parse_http_date};
use super::super::refusal::{PRECONDITION, Refusal};
use super::{Answer, Answered, Call, Failure};

/// What a resource is compared by.
pub(super) struct Version {
    /// When it was changed last, in seconds.
    pub(super) changed: i64,
    pub(super) tag: Option<String>,
}

impl Version {
    /// The version of a record: it has a tag where its object has them.
    pub(super) fn of_record(object: &str, id: &str, changed: i64) -> Version {
        let tag = || {
            let digest = Sha256::digest(format!("{id}{changed}"));
            format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest[..12]))
        };
        Version { changed, tag: (object == "Account").then(tag) }
    }
}

/// Refuses a request whose condition the resource does not meet.
pub(super) fn check(call: &Call<'_>, version: &Version) -> Result<(), Failure> {
    let writes = matches!(call.request.method.as_str(), "PATCH" | "POST");
    if let Some(header) = call.request.header("if-unmodified-since") {
        match parse_http_date(header) {
            Some(since) if since < version.changed => {
                let message = "The resource was modified after the date of If-Unmodified-Since";
                return Err(Refusal::new(PRECONDITION, message).into());
            }
            None if writes => return Err(malformed("If-Unmodified-Since", header)),
            Some(_) | None => {}
        }
    }
    let Some(tag) = &version.tag else { return Ok(()) };
    for (name, wanted) in [("If-Match", true), ("If-None-Match", false)] {
        let Some(header) = call.request.header(&name.to_ascii_lowercase()) else { continue };
        if !is_tag_list(header) {
            if writes {
                return Err(malformed(name, header));
            }
            continue;
        }
        if (wanted || writes) && names(header, tag) != wanted {
            let message = format!("The resource does not meet the condition of {name}");
            return Err(Refusal::new(PRECONDITION, message).into());
        }
    }
    Ok(())
}

/// The answer to a read: nothing new, or the resource with its version.
pub(super) fn read(
    call: &Call<'_>,
    version: &Version,
    answer: impl FnOnce() -> Answered,
) -> Answered {
    let since = call.request.header("if-modified-since").and_then(parse_http_date);
    let known = call.request.header("if-none-match").filter(|header| is_tag_list(header));
    let is_known = match (known, &version.tag) {
        (Some(header), Some(tag)) => names(header, tag),
        (_, _) => since.is_some_and(|since| version.changed <= since),
    };
    let answer = if is_known { Answer::empty(304) } else { answer()? };
    let answer = answer.with("last-modified", http_date(version.changed));
    Ok(match &version.tag {
        Some(tag) => answer.with("etag", tag.clone()),
        None => answer,
    })
}

fn is_tag_list(header: &str) -> bool {
    header.trim() == "*"
        || header.split(',').all(|tag| {
            let tag = tag.trim();
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            2 <= tag.len() && tag.starts_with('"') && tag.ends_with('"')
        })
}

fn names(header: &str, tag: &str) -> bool {
    header.trim() == "*"
        || header.split(',').any(|one| {
            let one = one.trim();
            // Proxies that pack a body mark its tag.
            one.strip_prefix("W/").unwrap_or(one).replace("--gzip", "") == tag
        })
}

fn malformed(name: &str, header: &str) -> Failure {
    let message = format!("{name} has no value of its form: {header}");
    Refusal::new("INVALID_ARGUMENT", message).into()
}
