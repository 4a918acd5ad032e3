//! The command line.

use std::net::SocketAddr;
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
    /// The address to listen on.
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
    /// Connections at once; others wait in the kernel's queue.
    #[arg(long, value_name = "COUNT", default_value_t = 1024)]
    pub max_connections: usize,
    /// The largest request body, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 8 * 1024 * 1024)]
    pub max_body: usize,
    /// How long a connection may take to send a request's header, idling before it included.
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = humantime::parse_duration)]
    pub header_timeout: Duration,
    /// How long a request's body may take to arrive.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    pub body_timeout: Duration,
    /// How long running requests may take to finish after a request to stop.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
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
}
