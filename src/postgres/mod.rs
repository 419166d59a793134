//! How PostgreSQL is reached: one address, one socket, one login, for every connection we open.
//!
//! The replication stream needs a connection that `tokio-postgres` cannot make, so the address is
//! parsed here and the socket, with its TLS, is opened here; both kinds of connection then speak
//! over the same thing and fail with the same words. Nothing of ours is imported.

mod url;
pub use url::{Host, RootCert, ServerUrl, SslMode, UrlError};

mod connect;
pub use connect::{Session, Settings, connect};

mod error;
pub use error::{ConnectError, Endpoint, ServerError};

mod socket;
pub use socket::Socket;

mod tls;
pub use tls::TlsError;

mod verify;
