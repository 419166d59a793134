//! SOAP login and logout, for clients that have nothing newer.
//!
//! Clients cut values out by the literal text of tags: in the result the elements have no prefix
//! and no attributes, in a fault the prefix is `sf:`. Requests come with any prefix. From version
//! 65.0 on there is no `login`.

use super::super::clock::{Millis, second};
use super::super::org::Org;
use super::auth::session;
use super::{Answer, Body, Request};

/// From this version on there is no login.
const LOGIN_GONE_FROM: u32 = 65;
/// The version of a path that can be read and is older than this is retired.
const VERSION_FIRST: u32 = 31;
/// Not documented by Salesforce: the fault of a login at a version that has none.
const GONE: &str = "UNSUPPORTED_API_VERSION";

const OPEN: &str = r#"<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:sf="urn:fault.partner.soap.sforce.com" xmlns="urn:partner.soap.sforce.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>"#;
const CLOSE: &str = "</soapenv:Body></soapenv:Envelope>";

/// `POST /services/Soap/{u,c}/{version}`.
pub(super) fn answer(org: &mut Org, request: &Request, version: &str, now: Millis) -> Answer {
    let number = version.strip_suffix(".0").unwrap_or(version).parse::<u32>();
    let body = String::from_utf8_lossy(&request.body).into_owned();
    match number {
        Ok(number) if (VERSION_FIRST..LOGIN_GONE_FROM).contains(&number) => {}
        Ok(_) | Err(_) => return fault(GONE, &format!("login is not available at {version}")),
    }
    if element(&body, "login").is_some() {
        return login(org, &body, version, now);
    }
    if element(&body, "logout").is_some() {
        if let Some(token) = element(&body, "sessionId") {
            org.tokens.revoke(token.trim());
        }
        return xml(200, "<logoutResponse/>");
    }
    fault("UNKNOWN_EXCEPTION", "only login and logout are simulated; use the REST API")
}

fn login(org: &mut Org, body: &str, version: &str, now: Millis) -> Answer {
    let given =
        |name: &str| element(body, name).map(|text| decode(text.trim())).unwrap_or_default();
    let (name, password) = (given("username"), given("password"));
    let whole = format!("{}{}", org.names.password, org.names.security_token);
    if !org.app.soap_login {
        let message = "SOAP API login() is disabled by default in this org.";
        return fault("API_DISABLED_FOR_ORG", message);
    }
    if !org.tokens.count_login(second(now)) {
        return fault("LOGIN_RATE_EXCEEDED", "login rate exceeded");
    }
    if name == org.names.username && password == org.names.password {
        let message = "Invalid username, password, security token; or user locked out. A security \
                       token is needed: append it to the password.";
        return fault("LOGIN_MUST_USE_SECURITY_TOKEN", message);
    }
    if name != org.names.username || password != whole {
        let message = "Invalid username, password, security token; or user locked out.";
        return fault("INVALID_LOGIN", message);
    }
    let token = session(org, now);
    let names = &org.names;
    let url = format!("{}/services/Soap/u/{version}/{}", names.base_url, names.org.short());
    let lifetime = org.tokens.lifetime_s;
    let result = format!(
        "<loginResponse><result><metadataServerUrl>{}/services/Soap/m/{version}/{}\
         </metadataServerUrl><passwordExpired>false</passwordExpired><sandbox>{}</sandbox>\
         <serverUrl>{url}</serverUrl><sessionId>{token}</sessionId><userId>{}</userId><userInfo>\
         <organizationId>{}</organizationId><organizationName>Simulated Organisation\
         </organizationName><sessionSecondsValid>{lifetime}</sessionSecondsValid>\
         <userFullName>Integration User</userFullName><userId>{}</userId>\
         <userName>{}</userName></userInfo></result></loginResponse>",
        names.base_url,
        names.org.short(),
        org.app.sandbox,
        names.api_user,
        names.org,
        names.api_user,
        encode(&names.username),
    );
    xml(200, &result)
}

fn fault(code: &str, message: &str) -> Answer {
    let message = encode(message);
    let body = format!(
        "<soapenv:Fault><faultcode>{code}</faultcode><faultstring>{code}: {message}</faultstring>\
         <detail><sf:LoginFault xsi:type=\"sf:LoginFault\"><sf:exceptionCode>{code}\
         </sf:exceptionCode><sf:exceptionMessage>{message}</sf:exceptionMessage></sf:LoginFault>\
         </detail></soapenv:Fault>"
    );
    xml(500, &body)
}

fn xml(status: u16, body: &str) -> Answer {
    let body = Body::Text("text/xml;charset=UTF-8", format!("{OPEN}{body}{CLOSE}"));
    Answer { status, headers: Vec::new(), body, rows: 0 }
}

/// The inside of the first element of that name, whatever its prefix.
pub(super) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = xml;
    loop {
        let open = rest.find('<')?;
        rest = &rest[open + 1..];
        let end = rest.find('>')?;
        let tag = &rest[..end];
        let whole = tag.trim_end_matches('/').split_whitespace().next().unwrap_or_default();
        let local = whole.rsplit(':').next().unwrap_or_default();
        rest = &rest[end + 1..];
        if local != name || tag.starts_with('/') {
            continue;
        }
        if tag.ends_with('/') {
            return Some("");
        }
        return rest.find(&format!("</{whole}")).map(|close| &rest[..close]);
    }
}

/// Text as it stands between tags.
pub(super) fn encode(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The text that stands between tags.
pub(super) fn decode(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.find(';').unwrap_or(0);
        let sign = match rest.get(1..end).unwrap_or_default() {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            other => numbered(other),
        };
        // What is no reference stands for itself.
        plain.push(sign.unwrap_or('&'));
        rest = &rest[if sign.is_some() { end + 1 } else { 1 }..];
    }
    plain.push_str(rest);
    plain
}

fn numbered(text: &str) -> Option<char> {
    let digits = text.strip_prefix('#')?;
    let code = match digits.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    char::from_u32(code.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn elements_are_found_by_their_local_names() {
        let xml = "<env:Body><n1:login xmlns:n1=\"urn:x\"><n1:username>a&amp;b</n1:username>\
                   <password/></n1:login></env:Body>";
        assert_eq!(element(xml, "username"), Some("a&amp;b"));
        assert_eq!(element(xml, "password"), Some(""));
        assert!(element(xml, "login").is_some());
        assert_eq!(element(xml, "logout"), None);
        assert_eq!(element("<username>x", "username"), None);
    }

    proptest! {
        #[test]
        fn text_survives_being_written_and_read(text in ".*") {
            prop_assert_eq!(decode(&encode(&text)), text);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "[<>/a&;#x:login ]{0,40}") {
            drop((element(&text, "login"), decode(&text)));
        }
    }
}
