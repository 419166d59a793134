//! People who work on all sides at once: in Campaign by SQL, in each CRM at its screen.
//!
//! The demo and the end-to-end tests share them. They know nothing of the agent: what they did is
//! in their own diary, and whether two sides agree is told by reading both.

mod agent;
mod agreement;
mod desk;
mod diary;
mod draw;
mod office;
mod paper;
mod screen;
mod stage;
mod terms;

pub use agent::Agent;
pub use agreement::{Both, Difference, Firm, Person};
pub use desk::Desk;
pub use diary::{Deed, Diary, Where};
pub use draw::Draw;
pub use office::{Ids, Office, Roster};
pub use paper::Mappings;
pub use screen::Screen;
pub use stage::{Cast, Stage, StageOptions, address, firm, person};

use std::io;
use std::path::PathBuf;

use super::any::SimulatorError;
use super::database::DatabaseError;
use crate::postgres::ConnectError;

/// The fields that people edit, by their names in Campaign and in the CRM. The e-mail address is
/// not among them: it is by that that a reader of both sides knows who is who.
pub const EDITED: [(&str, &str); 5] = [
    ("sfirstname", "FirstName"),
    ("sphone", "Phone"),
    ("smobilephone", "MobilePhone"),
    ("stext1", "Title"),
    ("scity", "MailingCity"),
];

/// Why people cannot work.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// No database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Nobody gets into it.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A statement of theirs failed.
    #[error("a statement of the people in Campaign failed: `{statement}`")]
    Statement {
        /// Which.
        statement: String,
        /// The server's words.
        source: tokio_postgres::Error,
    },
    /// No CRM.
    #[error(transparent)]
    Simulator(#[from] SimulatorError),
    /// The screen of the CRM does not answer.
    #[error("the simulator's control address did not answer `{route}`")]
    Screen {
        /// What was asked.
        route: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The simulator does not do that.
    #[error("the simulator refused `{route}`: {answer}")]
    Refused {
        /// What was asked.
        route: String,
        /// Its words.
        answer: String,
    },
    /// A file cannot be written, or a program not be started.
    #[error("{doing} `{}`", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A command of ours ended badly.
    #[error("`truce {command}` ended with {status}: {output}")]
    Command {
        /// Which.
        command: String,
        /// How.
        status: String,
        /// What it said.
        output: String,
    },
    /// The agent is not there when it should be.
    #[error("the agent {what}; the end of its log:\n{log}")]
    Agent {
        /// What is the matter.
        what: String,
        /// The end of its log.
        log: String,
    },
}
