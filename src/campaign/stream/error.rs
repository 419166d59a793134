//! Why there is no stream, or no more of it, by what to do next.

use std::io;
use std::time::Duration;

use crate::campaign::pgoutput::DecodeError;
use crate::campaign::wire::WireError;
use crate::postgres::{ConnectError, ServerError};

/// Why a stream did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Another connection has the slot: an old one of ours that the server has not given up yet,
    /// or a second agent.
    #[error("slot {slot} is in use by process {pid} of the server; stop that one, or wait")]
    SlotActive {
        /// The slot.
        slot: String,
        /// The server's process.
        pid: String,
    },
    /// The slot has lost log that we would need. It must be made anew, and everything compared.
    #[error(
        "slot {slot} has lost part of the log (see max_slot_wal_keep_size); it must be created \
         anew and all records compared"
    )]
    SlotLost {
        /// The slot.
        slot: String,
        /// The server's words, if it was the server that said so.
        source: Option<ServerError>,
    },
    /// There is no such slot.
    #[error("there is no slot {slot} in this database; `truce setup` creates it")]
    SlotMissing {
        /// The slot.
        slot: String,
    },
    /// The slot is of no use to us.
    #[error("slot {slot} belongs to {owner}; choose another name for ours")]
    SlotForeign {
        /// The slot.
        slot: String,
        /// Another plugin, or another database.
        owner: String,
    },
    /// There is no such publication. If the slot is older, it cannot get past that point.
    #[error("there is no publication {publication} in this database; `truce setup` creates it")]
    PublicationMissing {
        /// The publication.
        publication: String,
    },
    /// The connection broke, or was ended from the server's side: start again.
    #[error("the connection to the server broke")]
    Gone(#[from] io::Error),
    /// The server ended the stream, as it does when it is shut down.
    #[error("the server ended the stream; it was stopped, or told to end us")]
    Ended,
    /// The server does not answer.
    #[error("the server has been silent for {} s", after.as_secs())]
    Silent {
        /// For how long.
        after: Duration,
    },
    /// The server refuses, for another reason.
    #[error("the server refuses to stream")]
    Server(#[source] ServerError),
    /// The server sent what we do not understand.
    #[error("the server sent a message that cannot be understood")]
    Decode(#[from] DecodeError),
    /// The server does not keep to the protocol.
    #[error("the server does not keep to the protocol: {0}")]
    Protocol(String),
}

impl StreamError {
    /// Whether starting again may help, without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect(error) => error.is_transient(),
            Self::SlotActive { .. } | Self::Gone(_) | Self::Ended | Self::Silent { .. } => true,
            Self::SlotLost { .. }
            | Self::SlotMissing { .. }
            | Self::SlotForeign { .. }
            | Self::PublicationMissing { .. }
            | Self::Server(_)
            | Self::Decode(_)
            | Self::Protocol(_) => false,
        }
    }

    /// An error in answer to a statement before the stream.
    pub(super) fn refused_at_start(error: WireError, slot: &str) -> Self {
        let slot = slot.to_owned();
        match error {
            WireError::Broken(error) => Self::Gone(error),
            WireError::Protocol(problem) => Self::Protocol(problem),
            WireError::Server(source) => match source.code.as_str() {
                "55006" => Self::SlotActive { slot, pid: "unknown".to_owned() },
                "55000" => Self::SlotLost { slot, source: Some(source) },
                "42704" => Self::SlotMissing { slot },
                _ => Self::ended(source),
            },
        }
    }

    /// An error in the middle of the stream.
    pub(super) fn refused_while_streaming(source: ServerError, publication: &str) -> Self {
        match source.code.as_str() {
            "42704" => Self::PublicationMissing { publication: publication.to_owned() },
            _ => Self::ended(source),
        }
    }

    fn ended(source: ServerError) -> Self {
        match source.code.as_str() {
            // Told to end, crashed, cannot connect now.
            "57P01" | "57P02" | "57P03" => Self::Ended,
            _ => Self::Server(source),
        }
    }
}
