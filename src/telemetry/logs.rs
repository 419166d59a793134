//! Log lines: text for people, JSON for machines.
//!
//! Rules of the house, which no code can keep: a line never holds a value of a record, a token, a
//! password or the body of a call. A record is named by its mapping and link, a field by its name
//! in the config; the words of a refusal may quote values, so they stay in the ledger, where
//! `truce held` shows them to a person. Each thing is logged once, where it is handled: `error`
//! where somebody must act, `warn` where the service is degraded, `info` a handful an hour.

use tracing::Subscriber;
use tracing::subscriber::SetGlobalDefaultError;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::MakeWriter;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people; with colours or without.
    Text {
        /// Whether a terminal reads it.
        colours: bool,
    },
    /// One JSON object a line.
    Json,
}

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// The filter says nothing that can be understood.
    #[error(
        "`{filter}` is not a log filter; write a level such as info, or levels by module such as info,truce::campaign=debug"
    )]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// They were set up before.
    #[error("logs are set up already; one process has one log")]
    Twice(#[from] SetGlobalDefaultError),
}

/// Sets up the process's logs; lines go to this writer, which knows what else is on the screen.
pub fn install<W>(format: Format, filter: &str, writer: W) -> Result<(), LogsError>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let subscriber = subscriber(format, filter, writer)?;
    Ok(tracing::subscriber::set_global_default(subscriber)?)
}

fn subscriber<W>(
    format: Format,
    filter: &str,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, LogsError>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(filter)
        .map_err(|source| LogsError::Filter { filter: filter.to_owned(), source })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    Ok(match format {
        Format::Text { colours } => Box::new(lines.with_ansi(colours).finish()),
        Format::Json => Box::new(lines.json().flatten_event(true).finish()),
    })
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, filter: &str) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = subscriber(format, filter, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(link = 7, "a link was made");
            tracing::debug!("a detail");
        });
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_machine_gets_one_object_a_line_with_fields_to_search_by() {
        let lines = logged(Format::Json, "info");
        let line: serde_json::Value = serde_json::from_str(&lines).unwrap();
        assert_eq!((&line["level"], &line["message"]), (&"INFO".into(), &"a link was made".into()));
        assert_eq!(line["link"], 7);
    }

    #[test]
    fn a_person_gets_text_and_the_filter_is_kept() {
        let lines = logged(Format::Text { colours: false }, "debug");
        assert!(lines.contains("a link was made link=7") && lines.contains("a detail"), "{lines}");
        assert_eq!(logged(Format::Text { colours: false }, "error"), "");
    }

    #[test]
    fn a_filter_that_says_nothing_is_refused() {
        let refused = subscriber(Format::Json, "info,truce=loud", io::sink).err().unwrap();
        assert!(refused.to_string().contains("`info,truce=loud` is not a log filter"));
    }
}
