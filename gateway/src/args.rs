//! The command line: what an operator may choose, and nothing of what it does.
//!
//! Every bound has a default that suits a public address; none can be switched off.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Cloister's door to the network: validates, limits and forwards.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve HTTP.
    Serve(Serve),
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// The address to listen on, unless a socket is passed by socket activation (`LISTEN_FDS`).
    #[arg(long, value_name = "ADDRESS", env = "CLOISTER_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// The supervisor's socket.
    #[arg(long, value_name = "PATH", default_value = "/run/cloister/supervisor.sock")]
    pub socket: PathBuf,
    /// Who to become when started as root: an account, or a number that no account has.
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Serve whoever can connect. Without it the address must be a loopback one.
    #[arg(long)]
    pub no_auth: bool,
    /// Connections at once; others wait in the kernel's queue until one ends.
    #[arg(long, value_name = "COUNT", default_value = "1024")]
    pub max_connections: NonZeroUsize,
    /// The largest request body, in bytes.
    #[arg(long, value_name = "BYTES", default_value = "8388608")]
    pub max_body: NonZeroUsize,
    /// How long a request's header may take to arrive, from its first byte or the connection's start.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub header_timeout: Duration,
    /// How long a request's body may take to arrive, and a client may take nothing of its response.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub body_timeout: Duration,
    /// How long a connection may stay open without a request.
    #[arg(long, value_name = "TIME", default_value = "75s", value_parser = duration)]
    pub idle_timeout: Duration,
    /// How long running requests may take to finish after SIGTERM or SIGINT; a second one ends at once.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub drain: Duration,
    /// How log lines are written.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
    /// systemd's journal, each value a field (`CLOISTER_ID`, `CLOISTER_STATUS` and so on).
    Journal,
}

/// A time with its unit, such as `10s` or `500ms`, and more than nothing.
fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("expected more than no time".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}: expected a number and a unit, such as 10s or 500ms")),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::Arguments;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn bounds_cannot_be_nothing() {
        for bound in ["--max-connections", "--max-body", "--header-timeout", "--body-timeout", "--idle-timeout"] {
            for nothing in ["0", "0s", "-1", ""] {
                let arguments = Arguments::try_parse_from(["cloister-gateway", "serve", bound, nothing]);
                assert!(arguments.is_err(), "{bound} {nothing}");
            }
        }
    }
}
