//! A server's address, as an operator writes it: `postgresql://user@host:5432/database?sslmode=…`.
//!
//! We parse it ourselves because two kinds of connection are made from it, and `tokio-postgres`
//! knows neither `verify-ca` nor `sslrootcert`. A parameter we do not know is refused: one that is
//! silently ignored (`sslcert`, `channel_binding`) would leave a connection weaker than was asked.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Where a database is and who we are there.
///
/// Neither `Debug` nor `Display` shows the password.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    host: Host,
    port: u16,
    user: String,
    password: Option<String>,
    database: String,
    ssl_mode: SslMode,
    root_cert: Option<RootCert>,
    connect_timeout: Duration,
    keepalive: Duration,
    application_name: String,
}

/// The machine, or the directory of the Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A host name or an IP address.
    Tcp(String),
    /// The directory that holds `.s.PGSQL.5432`.
    Unix(PathBuf),
}

/// How much TLS is asked for, in PostgreSQL's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// Plain text.
    Disable,
    /// TLS if the server has it; nothing is verified, and whoever sits between can take it away.
    Prefer,
    /// TLS; the chain is verified only when `sslrootcert` is given, as libpq does.
    Require,
    /// TLS with a certificate from a known issuer, whatever the name in it.
    VerifyCa,
    /// TLS with a certificate from a known issuer for this very host.
    VerifyFull,
}

/// Whose signature on a certificate counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootCert {
    /// The system's roots.
    System,
    /// The PEM certificates in this file.
    File(PathBuf),
}

/// Why a text is no address of a server. The text itself is not in it: it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Another scheme, or none.
    #[error("a server's address begins with postgresql://, as in {EXAMPLE}")]
    Scheme,
    /// A part that cannot be left out.
    #[error("the address names no {0}; write it as in {EXAMPLE}")]
    Missing(&'static str),
    /// A part said twice.
    #[error("the address gives the {0} twice; leave one away")]
    Twice(&'static str),
    /// A broken escape, or bytes that are no text.
    #[error(
        "the {0} of the address is not percent-encoded UTF-8; write a special character as in %40 for @"
    )]
    Encoding(&'static str),
    /// Something after the host that is no port.
    #[error("`{0}` is not a port; a port is a number from 1 to 65535")]
    Port(String),
    /// Several servers in one address.
    #[error("`{0}` names several hosts; a replication slot lives on one server, name that one")]
    ManyHosts(String),
    /// A parameter that is not ours.
    #[error(
        "`{0}` is not a known parameter; known are sslmode, sslrootcert, host, port, \
         connect_timeout and application_name"
    )]
    Unknown(String),
    /// A known parameter with a value it cannot have.
    #[error("{name} = `{value}`: {remedy}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// What was written.
        value: String,
        /// What would be right.
        remedy: &'static str,
    },
}

const EXAMPLE: &str = "postgresql://truce@db.example.com:5432/campaign?sslmode=verify-full";

const PORT_DEFAULT: u16 = 5432;

/// Long enough for a far server under load, short enough to see a black hole as one.
const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// What `pg_stat_activity` shows when the address does not say otherwise.
const APPLICATION_NAME_DEFAULT: &str = "truce";
/// The system's own is hours, and for as long an advisory lock would stay with nobody.
const KEEPALIVE_DEFAULT: Duration = Duration::from_secs(5);

impl ServerUrl {
    /// The same place with this password, whatever the address held.
    pub fn with_password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// The same server and user, another database.
    pub fn with_database(mut self, database: impl Into<String>) -> Self {
        self.database = database.into();
        self
    }

    /// The same place as another user, without the password of the first.
    pub fn with_user(mut self, user: impl Into<String>) -> Self {
        self.user = user.into();
        self.password = None;
        self
    }

    /// The same place, and how long an attempt to connect may take in all.
    pub fn with_connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// The same place, and after how long a silence TCP asks whether it is still there.
    pub fn with_keepalive(mut self, silence: Duration) -> Self {
        self.keepalive = silence;
        self
    }

    /// Where the server is.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its port, which also names the Unix socket.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Who we are.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The password, if the address or [`Self::with_password`] gave one.
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// The database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// How much TLS.
    pub fn ssl_mode(&self) -> SslMode {
        self.ssl_mode
    }

    /// Whose certificates count; the system's when nothing was said.
    pub fn root_cert(&self) -> Option<&RootCert> {
        self.root_cert.as_ref()
    }

    /// How long an attempt to connect may take in all.
    pub fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// After how long a silence TCP asks whether the server is still there.
    pub fn keepalive(&self) -> Duration {
        self.keepalive
    }

    /// Our name in `pg_stat_activity`.
    pub fn application_name(&self) -> &str {
        &self.application_name
    }
}

impl FromStr for ServerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let rest = text
            .strip_prefix("postgresql://")
            .or_else(|| text.strip_prefix("postgres://"))
            .ok_or(UrlError::Scheme)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, address) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(decoded(password, "password")?)),
            None => (login, None),
        };
        let user = filled(decoded(user, "user")?, "user")?;
        let database = filled(decoded(path, "database")?, "database")?;
        let parameters = Parameters::parse(query)?;
        let (host, port) = place(address, &parameters)?;
        let ssl_mode = ssl_mode(&parameters, &host)?;
        Ok(Self {
            root_cert: root_cert(&parameters, ssl_mode)?,
            connect_timeout: connect_timeout(&parameters)?,
            keepalive: KEEPALIVE_DEFAULT,
            application_name: parameters
                .application_name
                .unwrap_or_else(|| APPLICATION_NAME_DEFAULT.to_owned()),
            host,
            port,
            user,
            password,
            database,
            ssl_mode,
        })
    }
}

/// What stands after the question mark, decoded and not yet judged.
#[derive(Default)]
struct Parameters {
    ssl_mode: Option<String>,
    ssl_root_cert: Option<String>,
    host: Option<String>,
    port: Option<String>,
    connect_timeout: Option<String>,
    application_name: Option<String>,
}

impl Parameters {
    fn parse(query: &str) -> Result<Self, UrlError> {
        let mut found = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (slot, name) = match name {
                "sslmode" => (&mut found.ssl_mode, "sslmode"),
                "sslrootcert" => (&mut found.ssl_root_cert, "sslrootcert"),
                "host" => (&mut found.host, "host"),
                "port" => (&mut found.port, "port"),
                "connect_timeout" => (&mut found.connect_timeout, "connect_timeout"),
                "application_name" => (&mut found.application_name, "application_name"),
                unknown => return Err(UrlError::Unknown(unknown.to_owned())),
            };
            if slot.replace(filled(decoded(value, name)?, name)?).is_some() {
                return Err(UrlError::Twice(name));
            }
        }
        Ok(found)
    }
}

fn filled(text: String, part: &'static str) -> Result<String, UrlError> {
    if text.is_empty() { Err(UrlError::Missing(part)) } else { Ok(text) }
}

fn place(address: &str, parameters: &Parameters) -> Result<(Host, u16), UrlError> {
    let (host, port) = if let Some(bracketed) = address.strip_prefix('[') {
        let (host, port) = bracketed.split_once(']').ok_or(UrlError::Missing("closing ]"))?;
        (host, port.strip_prefix(':').unwrap_or(port))
    } else {
        address.split_once(':').unwrap_or((address, ""))
    };
    let host = match (decoded(host, "host")?, &parameters.host) {
        (host, None) => filled(host, "host")?,
        (host, Some(other)) if host.is_empty() => other.clone(),
        (_, Some(_)) => return Err(UrlError::Twice("host")),
    };
    if !port.is_empty() && parameters.port.is_some() {
        return Err(UrlError::Twice("port"));
    }
    let port = parameters.port.as_deref().unwrap_or(port);
    let port = if port.is_empty() { PORT_DEFAULT } else { number(port)? };
    if host.starts_with('/') {
        return Ok((Host::Unix(PathBuf::from(host)), port));
    }
    if host.contains(',') {
        return Err(UrlError::ManyHosts(host));
    }
    Ok((Host::Tcp(host), port))
}

fn number(port: &str) -> Result<u16, UrlError> {
    let known = port.parse().ok().filter(|port| *port != 0);
    known.ok_or_else(|| UrlError::Port(port.to_owned()))
}

fn ssl_mode(parameters: &Parameters, host: &Host) -> Result<SslMode, UrlError> {
    let remedy = match parameters.ssl_mode.as_deref() {
        None | Some("prefer") => return Ok(SslMode::Prefer),
        Some("disable") => return Ok(SslMode::Disable),
        Some("require") => return not_over_unix(SslMode::Require, "require", host),
        Some("verify-ca") => return not_over_unix(SslMode::VerifyCa, "verify-ca", host),
        Some("verify-full") => return not_over_unix(SslMode::VerifyFull, "verify-full", host),
        Some("allow") => "it would try plain text first; write prefer, or better verify-full",
        Some(_) => "it is one of disable, prefer, require, verify-ca, verify-full",
    };
    let value = parameters.ssl_mode.clone().unwrap_or_default();
    Err(UrlError::Value { name: "sslmode", value, remedy })
}

/// A Unix socket has no TLS. libpq lets such a wish pass unheard; we say so.
fn not_over_unix(mode: SslMode, value: &str, host: &Host) -> Result<SslMode, UrlError> {
    match host {
        Host::Tcp(_) => Ok(mode),
        Host::Unix(_) => Err(UrlError::Value {
            name: "sslmode",
            value: value.to_owned(),
            remedy: "a Unix socket has no TLS; write disable, or name the server by host",
        }),
    }
}

fn root_cert(parameters: &Parameters, mode: SslMode) -> Result<Option<RootCert>, UrlError> {
    match parameters.ssl_root_cert.as_deref() {
        None => Ok(None),
        Some("system") if mode != SslMode::VerifyFull => Err(UrlError::Value {
            name: "sslrootcert",
            value: "system".to_owned(),
            remedy: "anybody can have a certificate from a public issuer; \
                     it needs sslmode=verify-full",
        }),
        Some("system") => Ok(Some(RootCert::System)),
        Some(path) => Ok(Some(RootCert::File(PathBuf::from(path)))),
    }
}

fn connect_timeout(parameters: &Parameters) -> Result<Duration, UrlError> {
    let Some(text) = &parameters.connect_timeout else { return Ok(CONNECT_TIMEOUT_DEFAULT) };
    match text.parse::<u16>() {
        Ok(seconds) if 0 < seconds => Ok(Duration::from_secs(u64::from(seconds))),
        _ => Err(UrlError::Value {
            name: "connect_timeout",
            value: text.clone(),
            remedy: "it is a number of seconds from 1 to 65535; an endless wait is refused",
        }),
    }
}

fn decoded(text: &str, part: &'static str) -> Result<String, UrlError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = rest.next().and_then(nibble).zip(rest.next().and_then(nibble));
            let (high, low) = digits.ok_or(UrlError::Encoding(part))?;
            bytes.push(high << 4 | low);
        } else {
            bytes.push(byte);
        }
    }
    // A zero byte ends a string on the wire, so it could cut a name short there.
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(UrlError::Encoding(part)),
    }
}

fn nibble(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

fn encoded(text: &str) -> String {
    let mut url = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push('%');
            url.extend([byte >> 4, byte & 15].map(|digit| char::from(HEX[usize::from(digit)])));
        }
    }
    url
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(name) if name.contains(':') => write!(f, "[{name}]"),
            Self::Tcp(name) => f.write_str(name),
            Self::Unix(directory) => write!(f, "{}", directory.display()),
        }
    }
}

impl SslMode {
    /// The mode as it is written in an address.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

/// The address again, without the password: it can be parsed and logged.
impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (user, database) = (encoded(&self.user), encoded(&self.database));
        match &self.host {
            Host::Tcp(_) => write!(f, "postgresql://{user}@{}:{}/{database}", self.host, self.port),
            Host::Unix(directory) => {
                let directory = encoded(&directory.to_string_lossy());
                write!(f, "postgresql://{user}@{directory}:{}/{database}", self.port)
            }
        }?;
        write!(f, "?sslmode={}", self.ssl_mode.name())?;
        match &self.root_cert {
            None => {}
            Some(RootCert::System) => f.write_str("&sslrootcert=system")?,
            Some(RootCert::File(path)) => {
                write!(f, "&sslrootcert={}", encoded(&path.to_string_lossy()))?;
            }
        }
        if self.connect_timeout != CONNECT_TIMEOUT_DEFAULT {
            write!(f, "&connect_timeout={}", self.connect_timeout.as_secs())?;
        }
        if self.application_name != APPLICATION_NAME_DEFAULT {
            write!(f, "&application_name={}", encoded(&self.application_name))?;
        }
        Ok(())
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerUrl({self})")
    }
}

#[cfg(test)]
#[path = "url_tests.rs"]
mod tests;
