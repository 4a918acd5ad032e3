//! Where log lines go: for people, as JSON, or to the journal with a field for each value.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::LogFormat;

/// Starts the log. `CLOISTER_LOG` filters it.
///
/// # Errors
/// When there is no journal to write to, for a person.
pub fn start(format: LogFormat) -> Result<(), String> {
    let filter = EnvFilter::try_from_env("CLOISTER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // It tells of every message, and what is in some.
    let filter = filter.add_directive("rmcp=off".parse().expect("a directive"));
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
