//! The command line: what an operator may choose, and nothing of what it does.
//!
//! Every bound has a default that suits a public address; none can be switched off.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use cloister_program::SOCKET;
use cloister_program::log::LogFormat;
use cloister_program::{Completions, Man, Probe};
use ipnet::IpNet;

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
    Serve(Box<Serve>),
    /// Ask the one that serves here whether jobs can run, and say so: exit code 0 if they can, 1 if not.
    Probe(Ask),
    /// Print what is served at /openapi.json.
    Openapi,
    /// Print completions for a shell.
    Completions(Completions),
    /// Write man pages, one for each subcommand, or print the first.
    Man(Man),
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// The address to listen on, unless a socket is passed by socket activation (`LISTEN_FDS`).
    #[arg(long, value_name = "ADDRESS", env = "CLOISTER_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// One more address, on which what is under /jupyter is served without that prefix, for clients of Jupyter that take a host and
    /// a port only; none unless given.
    #[arg(long, value_name = "ADDRESS")]
    pub jupyter_listen: Option<SocketAddr>,
    /// The supervisor's socket.
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    pub socket: PathBuf,
    /// A loopback address, such as 127.0.0.1:9464, on which Prometheus finds /metrics, the supervisor's too; none unless
    /// given, or a socket named `metrics` is passed (`LISTEN_FDNAMES`).
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<SocketAddr>,
    /// Let whoever can connect read the metrics: their address may be one that others reach, such as a pod's.
    #[arg(long)]
    pub metrics_public: bool,
    /// Count requests by key, too: the names of keys are told to whoever reads the metrics.
    #[arg(long)]
    pub metrics_by_key: bool,
    /// Who to become when started as root: an account, or a number that no account has.
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// The key file (`cloister keys`): only who has a key is served. Read again on SIGHUP and on change.
    #[arg(long, value_name = "PATH", env = "CLOISTER_KEYS")]
    pub keys: Option<PathBuf>,
    /// The directory in which what keys have used today outlasts this process, for the quotas of keys (`cloister keys`): of
    /// the gateway's own account, and of one gateway.
    #[arg(long, value_name = "DIRECTORY", env = "CLOISTER_STATE")]
    pub state: Option<PathBuf>,
    /// A file to which a line of JSON is appended for each job: its key's name, what became of it, what it used; - is
    /// standard output. It may be moved away: another is made.
    #[arg(long, value_name = "FILE", requires = "state")]
    pub usage: Option<PathBuf>,
    /// Serve whoever can connect. Without it and without keys the address must be a loopback one.
    #[arg(long, conflicts_with = "keys")]
    pub no_auth: bool,
    /// Serve no page to try scripts in at /.
    #[arg(long)]
    pub no_page: bool,
    /// Serve TLS with this certificate and those that lead to its root, PEM. Read again on SIGHUP and on change.
    #[arg(long, value_name = "PATH", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// The certificate's key, PEM.
    #[arg(long, value_name = "PATH", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
    /// A load balancer's network, such as 10.0.0.0/8, whose X-Forwarded-For is believed. May be given more than once.
    #[arg(long, value_name = "NETWORK")]
    pub trusted_proxy: Vec<IpNet>,
    /// This node's number among others, 0 to 255: the ids of its jobs begin with it, in two hexadecimal digits, so that a balancer
    /// can send what calls of tools return to the node that has the job.
    #[arg(long, value_name = "NUMBER")]
    pub node: Option<u8>,
    /// Connections at once; others wait in the kernel's queue until one ends.
    #[arg(long, value_name = "COUNT", default_value = "16384")]
    pub max_connections: NonZeroUsize,
    /// The largest request body, in bytes.
    #[arg(long, value_name = "BYTES", default_value = "8388608")]
    pub max_body: NonZeroUsize,
    /// What all bodies that have arrived and not been run yet, and answers at /mcp, may take together, in bytes; those of one
    /// key or address half.
    #[arg(long, value_name = "BYTES", default_value = "268435456")]
    pub max_body_memory: NonZeroUsize,
    /// How long a request's header may take to arrive, from its first byte or the connection's start.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub header_timeout: Duration,
    /// How long a request's body may take to arrive, and a client may take for the next --least-read of its answer.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub body_timeout: Duration,
    /// What a client takes of an answer that waits for it in each --body-timeout at least, in bytes; then it is cut off.
    #[arg(long, value_name = "BYTES", default_value = "131072")]
    pub least_read: NonZeroUsize,
    /// How long a connection may stay open without a request.
    #[arg(long, value_name = "TIME", default_value = "75s", value_parser = duration)]
    pub idle_timeout: Duration,
    /// How long a request waits for a supervisor that is away or restarting before it is answered 503, if no line of its script
    /// can have run; 0s for not at all.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration_or_none)]
    pub hold: Duration,
    /// How long after SIGTERM or SIGINT everything is still served while /readyz says 503 and clients are told to connect anew,
    /// so that a balancer takes this node out first; a second signal cuts it short. Default: 5s, or 0s with a loopback address
    /// or a socket that is passed.
    #[arg(long, value_name = "TIME", value_parser = duration_or_none)]
    pub drain_notice: Option<Duration>,
    /// How long running requests may take to finish after that; a further signal ends at once.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub drain: Duration,
    /// How log lines are written.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Arguments of `probe`.
#[derive(Debug, Args)]
pub struct Ask {
    /// The address on which it listens; every address of this machine is asked for on its loopback one.
    #[arg(long, value_name = "ADDRESS", env = "CLOISTER_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// It serves TLS.
    #[arg(long)]
    pub tls: bool,
    /// What is asked.
    #[command(flatten)]
    pub probe: Probe,
}

/// What `--drain-notice` is where others than this host can connect.
const DRAIN_NOTICE: Duration = Duration::from_secs(5);

impl Serve {
    /// The notice before the end. Who cannot be reached from outside has no balancer that must hear of it, and a socket that
    /// is held for the next life refuses nobody meanwhile.
    pub fn drain_notice(&self, address: SocketAddr, is_passed: bool) -> Duration {
        let usual = if is_passed || address.ip().is_loopback() { Duration::ZERO } else { DRAIN_NOTICE };
        self.drain_notice.unwrap_or(usual)
    }
}

/// A time with its unit, or none.
fn duration_or_none(text: &str) -> Result<Duration, NoTime> {
    Ok(humantime::parse_duration(text)?)
}

/// A time with its unit, such as `10s` or `500ms`, and more than nothing.
fn duration(text: &str) -> Result<Duration, NoTime> {
    match humantime::parse_duration(text)? {
        Duration::ZERO => Err(NoTime::Nothing),
        duration => Ok(duration),
    }
}

/// What is no time to wait.
#[derive(Debug, thiserror::Error)]
enum NoTime {
    #[error("expected more than no time")]
    Nothing,
    #[error("{0}: expected a number and a unit, such as 10s or 500ms")]
    Unreadable(#[from] humantime::DurationError),
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
