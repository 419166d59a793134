//! Secrets: where they are, and a type that does not print them.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use super::error::ConfigError;
use super::text::Environment;

// A password or client secret; anything larger is the wrong file.
const SECRET_BYTES_MAX: usize = 16 * 1024;

/// Where a secret is kept. It is read when it is needed, so that it can be changed in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A file that holds the secret and nothing else but a last line break.
    File(PathBuf),
    /// The name of an environment variable.
    Env(String),
}

/// A secret. It can be used, and not be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl SecretSource {
    /// One of both keys, as they stand in the file.
    pub(super) fn of(file: Option<&PathBuf>, env: Option<&String>) -> Option<Self> {
        let file = file.cloned().map(Self::File);
        file.or_else(|| env.cloned().map(Self::Env))
    }

    /// Reads the secret.
    pub fn read(&self, environment: Environment<'_>) -> Result<Secret, ConfigError> {
        let raw = match self {
            Self::File(path) => fs::read_to_string(path)
                .map_err(|source| ConfigError::SecretFile { path: path.clone(), source })?,
            Self::Env(name) => environment(name)
                .ok_or_else(|| ConfigError::SecretVariable { name: name.clone() })?,
        };
        let secret = raw.trim_end_matches(['\r', '\n']);
        if secret.is_empty() || SECRET_BYTES_MAX < secret.len() {
            return Err(ConfigError::SecretSize { place: self.clone(), bytes: secret.len() });
        }
        Ok(Secret(secret.to_owned()))
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
        }
    }
}

impl Secret {
    /// A secret that came from elsewhere, such as a simulator that made it up.
    pub fn new(secret: String) -> Self {
        Self(secret)
    }

    /// The secret itself, for the call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_without_its_last_line_break_and_never_printed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "hunter2\n").unwrap();
        let secret = SecretSource::File(path).read(&|_| None).unwrap();
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(format!("{secret:?}"), "***");
    }

    #[test]
    fn a_secret_that_cannot_be_read_is_named() {
        let missing = SecretSource::File("/nowhere/secret".into()).read(&|_| None).unwrap_err();
        assert!(missing.to_string().contains("/nowhere/secret"));
        let unset = SecretSource::Env("TRUCE_X".to_owned()).read(&|_| None).unwrap_err();
        assert!(unset.to_string().contains("TRUCE_X"));
        let empty = SecretSource::Env("TRUCE_X".to_owned()).read(&|_| Some("\n".to_owned()));
        assert!(empty.unwrap_err().to_string().contains("empty"));
    }
}
