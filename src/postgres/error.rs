//! Why a server could not be reached, and what to do about it.
//!
//! The server's own words differ by version and language; what a caller does next follows from
//! the SQLSTATE, so that is what we look at.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::tls::TlsError;
use super::url::ServerUrl;

/// Whom and where an error is about. Never holds a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Box<Parts>);

/// On the heap, so that an error stays small enough to be handed up by value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    server: String,
    user: String,
    database: String,
}

/// What a server says in an error response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}{} ({code})", Aside(detail.as_deref()))]
pub struct ServerError {
    /// The SQLSTATE.
    pub code: String,
    /// The server's own words.
    pub message: String,
    /// More of them.
    pub detail: Option<String>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server wants a password and we have none.
    #[error("{at}: the server asks for a password; give one by password_file or password_env")]
    NoPassword {
        /// Where.
        at: Endpoint,
    },
    /// The password is not this user's, or there is no such user: the server does not tell.
    #[error("{at}: wrong password, or no such user; see password_file, or `alter role {} password …`", at.0.user)]
    Password {
        /// Where.
        at: Endpoint,
        /// The server's words.
        source: ServerError,
    },
    /// The user does not exist, or may not log in or replicate.
    #[error(
        "{at}: the server does not let this user in; it must exist, have login (and replication \
         for the stream), and pg_hba.conf needs a line such as `hostssl {} {} <address> \
         scram-sha-256`",
        at.0.database,
        at.0.user
    )]
    NotAllowed {
        /// Where.
        at: Endpoint,
        /// The server's words.
        source: ServerError,
    },
    /// There is no such database.
    #[error("{at}: there is no such database; see the address, or `create database \"{}\"`", at.0.database)]
    NoDatabase {
        /// Where.
        at: Endpoint,
        /// The server's words.
        source: ServerError,
    },
    /// The user has no right to connect to the database, or to replicate.
    #[error(
        "{at}: this user lacks a right; `grant connect on database \"{}\" to \"{}\"`, and \
         `alter role \"{}\" replication` for the stream",
        at.0.database,
        at.0.user,
        at.0.user
    )]
    NoRight {
        /// Where.
        at: Endpoint,
        /// The server's words.
        source: ServerError,
    },
    /// All connections, or all WAL senders, are taken.
    #[error("{at}: the server has no connection left; see max_connections and max_wal_senders")]
    Full {
        /// Where.
        at: Endpoint,
        /// The server's words.
        source: ServerError,
    },
    /// The server starts, stops or recovers.
    #[error("{at}: the server is starting up or shutting down; try again")]
    NotReady {
        /// Where.
        at: Endpoint,
        /// The server's words.
        source: ServerError,
    },
    /// Any other refusal.
    #[error("{at}: the server refused the connection")]
    Server {
        /// Where.
        at: Endpoint,
        /// The server's words.
        source: ServerError,
    },
    /// Nobody listens there.
    #[error(
        "{at}: nothing listens there; is PostgreSQL running, and do listen_addresses and port \
         match the address?"
    )]
    Refused {
        /// Where.
        at: Endpoint,
        /// The system's words.
        source: io::Error,
    },
    /// The name has no address.
    #[error("{at}: the host name cannot be resolved; see the address, or the machine's DNS")]
    Unresolved {
        /// Where.
        at: Endpoint,
        /// The system's words.
        source: io::Error,
    },
    /// The connection broke, or could not be made.
    #[error("{at}: the connection broke before it was established")]
    Broken {
        /// Where.
        at: Endpoint,
        /// The system's words.
        source: io::Error,
    },
    /// No answer in time.
    #[error(
        "{at}: no answer within {} s; a firewall may drop the packets, or connect_timeout is short",
        after.as_secs()
    )]
    Timeout {
        /// Where.
        at: Endpoint,
        /// How long we waited.
        after: Duration,
    },
    /// The server has no TLS and we were told to insist.
    #[error(
        "{at}: the server has no TLS (ssl = off) and sslmode={mode} asks for it; set ssl = on \
         there, with a certificate"
    )]
    NoTls {
        /// Where.
        at: Endpoint,
        /// What was asked for.
        mode: &'static str,
    },
    /// TLS was offered and came to nothing.
    #[error("{at}: {problem}")]
    Tls {
        /// Where.
        at: Endpoint,
        /// What is wrong with it.
        problem: TlsError,
    },
    /// The roots cannot be read.
    #[error("sslrootcert `{}`: {problem}", path.display())]
    RootCert {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The server wants to be answered in a way we do not have.
    #[error(
        "{at}: the server asks for {method}, which is not supported; use scram-sha-256 in \
         pg_hba.conf"
    )]
    Method {
        /// Where.
        at: Endpoint,
        /// The server's wish.
        method: String,
    },
    /// The other end does not speak PostgreSQL's protocol, or lies.
    #[error("{at}: the other end does not speak PostgreSQL's protocol as we know it: {problem}")]
    Protocol {
        /// Where.
        at: Endpoint,
        /// What it said.
        problem: String,
    },
}

impl ConnectError {
    /// Whether the same attempt may succeed later without anybody changing anything here.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Full { .. }
            | Self::NotReady { .. }
            | Self::Refused { .. }
            | Self::Unresolved { .. }
            | Self::Broken { .. }
            | Self::Timeout { .. } => true,
            Self::NoPassword { .. }
            | Self::Password { .. }
            | Self::NotAllowed { .. }
            | Self::NoDatabase { .. }
            | Self::NoRight { .. }
            | Self::Server { .. }
            | Self::NoTls { .. }
            | Self::Tls { .. }
            | Self::RootCert { .. }
            | Self::Method { .. }
            | Self::Protocol { .. } => false,
        }
    }

    /// The refusal of a server while we log in.
    pub fn refused_login(at: Endpoint, source: ServerError) -> Self {
        match source.code.as_str() {
            "28P01" => Self::Password { at, source },
            "28000" => Self::NotAllowed { at, source },
            "3D000" => Self::NoDatabase { at, source },
            "42501" => Self::NoRight { at, source },
            "53300" => Self::Full { at, source },
            "57P01" | "57P02" | "57P03" => Self::NotReady { at, source },
            _ => Self::Server { at, source },
        }
    }

    /// A socket that could not be opened.
    pub(super) fn unopened(at: Endpoint, source: io::Error) -> Self {
        // A Unix socket that is not there is as good as a port where nobody listens.
        if [io::ErrorKind::ConnectionRefused, io::ErrorKind::NotFound].contains(&source.kind()) {
            return Self::Refused { at, source };
        }
        Self::Broken { at, source }
    }
}

impl Endpoint {
    /// The end of a connection made from this address.
    pub fn of(url: &ServerUrl) -> Self {
        Self(Box::new(Parts {
            server: format!("{}:{}", url.host(), url.port()),
            user: url.user().to_owned(),
            database: url.database().to_owned(),
        }))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { server, user, database } = &*self.0;
        write!(f, "database {database} at {server} as user {user}")
    }
}

impl From<&tokio_postgres::error::DbError> for ServerError {
    fn from(error: &tokio_postgres::error::DbError) -> Self {
        Self {
            code: error.code().code().to_owned(),
            message: error.message().to_owned(),
            detail: error.detail().map(str::to_owned),
        }
    }
}

impl ServerError {
    /// The refusal of a statement, without its detail, which may quote a whole row: whatever is an
    /// error ends up in a log.
    pub fn of_statement(error: &tokio_postgres::error::DbError) -> Self {
        Self { detail: None, ..Self::from(error) }
    }
}

/// A detail in the flow of a sentence, if there is one.
struct Aside<'a>(Option<&'a str>);

impl fmt::Display for Aside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |detail| write!(f, ": {detail}"))
    }
}
