//! Where log lines go: for people, as JSON, or to the journal with a field for each value.

use std::io;

use clap::ValueEnum;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt;

/// How log lines are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
    /// systemd's journal, each value a field (`CLOISTER_ID` and so on).
    Journal,
}

/// There is no journal to write to.
#[derive(Debug, thiserror::Error)]
#[error("write to the journal: {0}: choose another --log-format")]
pub struct NoJournal(io::Error);

/// Starts the log. `CLOISTER_LOG` filters it: a level, or levels of modules, `info,hyper=debug`. What is done to the filter
/// here is so whatever that says.
///
/// # Errors
/// When there is no journal to write to.
pub fn start(format: LogFormat, always: impl FnOnce(Targets) -> Targets) -> Result<(), NoJournal> {
    begin(None, format, always)
}

/// The same under another name than the program's own.
///
/// # Errors
/// When there is no journal to write to.
pub fn start_as(name: &str, format: LogFormat, always: impl FnOnce(Targets) -> Targets) -> Result<(), NoJournal> {
    begin(Some(name), format, always)
}

fn begin(name: Option<&str>, format: LogFormat, always: impl FnOnce(Targets) -> Targets) -> Result<(), NoJournal> {
    let asked = std::env::var("CLOISTER_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let filter = always(asked.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO)));
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false);
    let log: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Journal => {
            let journal = tracing_journald::layer().map_err(NoJournal)?;
            let journal = match name {
                Some(name) => journal.with_syslog_identifier(name.to_owned()),
                None => journal,
            };
            journal.with_field_prefix(Some("CLOISTER".to_owned())).boxed()
        }
    };
    tracing_subscriber::registry().with(log.with_filter(filter)).init();
    Ok(())
}
