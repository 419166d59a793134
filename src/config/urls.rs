//! Addresses: what the agent may be told to connect to.
//!
//! Only the outside is looked at here. What a PostgreSQL URL means in detail belongs to the module
//! that connects.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Where a PostgreSQL database is: `postgresql://user@host:5432/database?sslmode=verify-full`.
///
/// It never has a password in it: a URL is printed and logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct PostgresUrl(String);

/// Where a CRM is. Nothing but https: what goes over it are people's records and a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct HttpsUrl(String);

impl PostgresUrl {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl HttpsUrl {
    /// The address as text, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its host, in small letters, without the port.
    pub fn host(&self) -> String {
        let (authority, _) = host_of(self.0.trim_start_matches("https://"));
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        host.to_ascii_lowercase()
    }

    /// Whether the address is a sandbox's of Salesforce (`acme--uat.sandbox.my.salesforce.com`, of old
    /// `acme--uat.my.salesforce.com`) or production's (`acme.my.salesforce.com`), where its form says.
    /// Developer Editions, scratch organisations and domains of one's own say neither.
    pub fn names_sandbox(&self) -> Option<bool> {
        let host = self.host();
        let name = host.strip_suffix(".my.salesforce.com")?;
        match name.split_once('.') {
            None => Some(name.contains("--")),
            Some((_, "sandbox")) => Some(true),
            Some(_) => None,
        }
    }
}

impl TryFrom<String> for PostgresUrl {
    type Error = String;

    fn try_from(url: String) -> Result<Self, String> {
        let Some(rest) = strip_scheme(&url, &["postgresql://", "postgres://"]) else {
            return Err("is not the address of a PostgreSQL database; write \
                        postgresql://user@host:5432/database?sslmode=verify-full"
                .to_owned());
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = place.split('/').next().unwrap_or_default();
        let user = authority.rsplit_once('@').map(|(user, _)| user).unwrap_or_default();
        let inline = user.contains(':')
            || query.split('&').any(|pair| pair.split('=').next() == Some("password"));
        if inline {
            return Err("has a password in it, and addresses are printed; leave it out and name \
                        password_file or password_env"
                .to_owned());
        }
        Ok(Self(url))
    }
}

impl TryFrom<String> for HttpsUrl {
    type Error = String;

    fn try_from(url: String) -> Result<Self, String> {
        if let Some(rest) = strip_scheme(&url, &["http://"]) {
            let (host, _) = host_of(rest);
            return Err(format!(
                "is not encrypted, and the agent sends people's records and a secret; write \
                 https://{host}"
            ));
        }
        let Some(rest) = strip_scheme(&url, &["https://"]) else {
            return Err("is not the https address of a CRM, such as \
                        https://example.my.salesforce.com"
                .to_owned());
        };
        let (host, user) = host_of(rest);
        if user {
            return Err("has a user or password in it; leave it out and name client_id and \
                        client_secret_file or client_secret_env"
                .to_owned());
        }
        if host.is_empty() || host.chars().any(char::is_whitespace) {
            return Err("has no host; write https://example.my.salesforce.com".to_owned());
        }
        if rest.contains(['?', '#']) {
            return Err("has a query or fragment; write the address without it".to_owned());
        }
        Ok(Self(format!("https://{}", rest.trim_end_matches('/'))))
    }
}

/// What follows one of the schemes, which may be written in any case.
fn strip_scheme<'a>(url: &'a str, schemes: &[&str]) -> Option<&'a str> {
    schemes.iter().find_map(|scheme| {
        let (head, rest) = url.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

/// The host with its port, and whether a user stands before it.
fn host_of(rest: &str) -> (&str, bool) {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((_, host)) => (host, true),
        None => (authority, false),
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for HttpsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for PostgresUrl {
    fn schema_name() -> Cow<'static, str> {
        "PostgresUrl".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^postgres(ql)?://" })
    }
}

impl JsonSchema for HttpsUrl {
    fn schema_name() -> Cow<'static, str> {
        "HttpsUrl".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^https://" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn https(url: &str) -> Result<HttpsUrl, String> {
        HttpsUrl::try_from(url.to_owned())
    }

    fn postgres(url: &str) -> Result<PostgresUrl, String> {
        PostgresUrl::try_from(url.to_owned())
    }

    #[test]
    fn a_crm_without_encryption_is_refused_with_the_address_to_write() {
        let refused = https("http://user:secret@crm.example.com/path").unwrap_err();
        assert!(refused.ends_with("write https://crm.example.com"), "{refused}");
        assert!(https("HTTP://crm.example.com").is_err());
    }

    #[test]
    fn an_address_is_kept_without_its_last_slash() {
        let kept = https("https://crm.example.com:8443/").unwrap();
        assert_eq!(kept.as_str(), "https://crm.example.com:8443");
    }

    #[test]
    fn the_form_of_an_address_tells_sandboxes_from_production() {
        let check = |host: &str, expected: Option<bool>| {
            assert_eq!(
                https(&format!("https://{host}")).unwrap().names_sandbox(),
                expected,
                "{host}"
            );
        };
        check("acme.my.salesforce.com", Some(false));
        check("ACME--UAT.sandbox.my.salesforce.com:443/", Some(true));
        check("acme--uat.my.salesforce.com", Some(true));
        check("acme-dev-ed.develop.my.salesforce.com", None);
        check("acme.scratch.my.salesforce.com", None);
        check("localhost:8443", None);
    }

    #[test]
    fn what_is_no_address_of_a_crm_is_refused() {
        for strange in
            ["", "crm.example.com", "https://", "https://a b", "https://u:p@h", "ftp://h"]
        {
            assert!(https(strange).is_err(), "{strange}");
        }
    }

    #[test]
    fn a_password_in_a_database_address_is_refused_and_not_repeated() {
        for inline in [
            "postgresql://truce:hunter2@127.0.0.1/campaign",
            "postgresql://truce@127.0.0.1/campaign?password=hunter2",
            "postgresql:///campaign?host=/run/postgresql&password=hunter2",
        ] {
            let refused = postgres(inline).unwrap_err();
            assert!(refused.contains("password_file") && !refused.contains("hunter2"), "{refused}");
        }
        assert!(postgres("postgresql://truce@127.0.0.1:5432/campaign?sslmode=disable").is_ok());
        assert!(postgres("postgresql:///campaign?host=/run/postgresql").is_ok());
        assert!(postgres("mysql://127.0.0.1/campaign").is_err());
    }
}
