//! What is wrong with a config file, said so that it can be mended at once.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::secret::SecretSource;

/// Why there is no config.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there, or may not be read.
    #[error("config file {} cannot be read; name one with --config", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file says something that cannot be.
    #[error("{0}")]
    Invalid(Faults),
    /// A secret's file is not there, or may not be read.
    #[error("secret file {} cannot be read; the user that runs truce needs to read it", path.display())]
    SecretFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A secret's environment variable is not set.
    #[error("environment variable {name} is not set; it should hold a secret")]
    SecretVariable {
        /// The variable.
        name: String,
    },
    /// A secret that is none.
    #[error("{place} {}", if *bytes == 0 {
        "is empty; it should hold a secret".to_owned()
    } else {
        format!("holds {bytes} bytes; a secret is shorter than that")
    })]
    SecretSize {
        /// Where it is.
        place: SecretSource,
        /// How long it is.
        bytes: usize,
    },
}

/// Everything that is wrong with one file, in the order of its lines.
#[derive(Debug, PartialEq, Eq)]
pub struct Faults {
    /// The file.
    pub path: PathBuf,
    /// At least one.
    pub faults: Vec<Fault>,
}

/// One thing that is wrong: where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line in the file, from 1.
    pub line: usize,
    /// The key with the tables it is in: `mapping.contacts.fields.email.conflict`.
    pub key: String,
    /// The value as it stands in the file, where it helps and is no secret.
    pub value: Option<String>,
    /// What is wrong, and what would be right.
    pub wrong: String,
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if 0 < index {
                f.write_str("\n")?;
            }
            write!(f, "{}:{fault}", self.path.display())?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.line)?;
        if !self.key.is_empty() {
            f.write_str(&self.key)?;
            if let Some(value) = &self.value {
                write!(f, " = {value}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.wrong)
    }
}
