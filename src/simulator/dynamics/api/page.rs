//! Links to further pages, and the cookies in them: where the next page goes on.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::super::super::wire::decode_path;
use super::super::exchange::Request;
use super::super::refusal::Refusal;

/// Where a page goes on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Cookie {
    /// The number of the page.
    pub(super) page: u64,
    /// The last record of the page before.
    pub(super) id: String,
    /// By what it was sorted.
    pub(super) keys: Vec<serde_json::Value>,
    /// Of a load with change tracking: the version at its first page.
    pub(super) tracked: Option<i64>,
    /// Of changes: up to which version they are told.
    pub(super) upto: Option<i64>,
    /// Of changes: the last version that was told.
    pub(super) version: i64,
    /// Of changes: whether it was one of the deleted.
    pub(super) deleted: bool,
}

impl Cookie {
    /// The cookie of a request; nothing if it asks for a first page.
    pub(super) fn of(request: &Request) -> Result<Option<Cookie>, Refusal> {
        let Some(text) = request.option("$skiptoken") else { return Ok(None) };
        let wrong = || Refusal::undefined(format!("'{text}' is not a paging cookie"));
        // Some clients encode the link once more, some once less.
        let text = if text.contains('<') { text.to_owned() } else { decode_path(text) };
        let code = text.split_once("pagingcookie=\"").and_then(|(_, rest)| rest.split_once('"'));
        let (code, _) = code.ok_or_else(wrong)?;
        let bytes = URL_SAFE_NO_PAD.decode(code).map_err(|_| wrong())?;
        serde_json::from_slice(&bytes).map(Some).map_err(|_| wrong())
    }

    fn text(&self) -> String {
        let code = URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default());
        let tracking = if self.tracked.is_some() { "True" } else { "False" };
        format!(
            "<cookie pagenumber=\"{}\" pagingcookie=\"{code}\" istracking=\"{tracking}\" />",
            self.page
        )
    }
}

/// The address of the next page.
pub(super) fn next_link(request: &Request, cookie: &Cookie) -> String {
    link(request, &["$skiptoken"], &format!("$skiptoken={}", encode(&cookie.text())))
}

/// The address of the changes that come.
pub(super) fn delta_link(request: &Request, token: &str) -> String {
    let own = format!("$deltatoken={}", encode(token));
    link(request, &["$skiptoken", "$deltatoken"], &own)
}

/// The request's own address with some options taken out and one put in.
fn link(request: &Request, without: &[&str], with: &str) -> String {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let is_kept = |pair: &&str| {
        let name = decode_path(pair.split('=').next().unwrap_or_default());
        !pair.is_empty() && !without.contains(&name.as_str())
    };
    let mut options: Vec<&str> = query.split('&').filter(is_kept).collect();
    options.push(with);
    let target = format!("{path}?{}", options.join("&")).replace(' ', "%20");
    format!("{}{target}", request.origin)
}

/// As the service encodes what stands in a link.
fn encode(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02x}"),
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_comes_back_by_its_link() {
        let target = "/api/data/v9.2/contacts?$select=fullname&%24skiptoken=old";
        let request = Request::new("GET", target, axum::http::HeaderMap::new(), Vec::new());
        let cookie = Cookie { page: 2, id: "5c".to_owned(), version: 7, ..Cookie::default() };
        let link = next_link(&request, &cookie);
        assert!(
            link.starts_with("https://localhost/api/data/v9.2/contacts?$select=fullname&$skip")
        );
        let target = link.strip_prefix("https://localhost").unwrap();
        let next = Request::new("GET", target, axum::http::HeaderMap::new(), Vec::new());
        assert_eq!(Cookie::of(&next).unwrap(), Some(cookie));
        let token = delta_link(&next, "919042!08/22/2026 08:10:44");
        assert!(token.ends_with("&$deltatoken=919042%2108%2f22%2f2026%2008%3a10%3a44"), "{token}");
    }
}
