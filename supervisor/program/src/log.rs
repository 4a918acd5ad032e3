//! Where log lines go: for people, as JSON, or to the journal with a field for each value.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;
use tracing_subscriber::layer::SubscriberExt;
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

/// Starts the log. `CLOISTER_LOG` filters it, and so do these directives, whatever it says.
///
/// # Errors
/// When there is no journal to write to, for a person.
pub fn start(format: LogFormat, always: impl IntoIterator<Item = Directive>) -> Result<(), String> {
    let filter = EnvFilter::try_from_env("CLOISTER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let filter = always.into_iter().fold(filter, EnvFilter::add_directive);
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Text => log.with_env_filter(filter).with_ansi(false).init(),
        LogFormat::Json => log.with_env_filter(filter).json().flatten_event(true).init(),
        LogFormat::Journal => {
            let journal = tracing_journald::layer()
                .map_err(|error| format!("write to the journal: {error}: choose another --log-format"))?
                .with_field_prefix(Some("CLOISTER".to_owned()));
            tracing_subscriber::registry().with(filter).with(journal).init();
        }
    }
    Ok(())
}
