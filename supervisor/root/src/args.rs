//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use cloister_program::Probe;
use cloister_program::log::LogFormat;

/// Where the policy is looked for.
pub const INSTALLED: &str = "/etc/cloister/policy.toml";

/// What is the operator's program's, for who looks for it here.
pub const ELSEWHERE: [(&str, &str); 5] = [
    ("doctor", "it is `cloister doctor` now"),
    ("run", "it is `cloister run` now"),
    ("learn", "it is `cloister learn` now"),
    ("completions", "it is `cloister completions --program cloister-supervisor` now"),
    ("man", "it is `cloister man` now"),
];

/// Run untrusted Python, each job in a sandbox of its own.
#[derive(Debug, Parser)]
#[command(name = "cloister-supervisor", version)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the gateway over a Unix socket. Needs root.
    Serve(Serve),
    /// Ask the one that serves here whether jobs can run, and say so: exit code 0 if they can, 1 if not.
    Probe(Ask),
    /// What stays root beside the other, which starts it.
    #[command(hide = true)]
    Monitor,
}

/// What every subcommand takes.
#[derive(Debug, Args)]
pub struct Common {
    /// The policy file.
    #[arg(long, value_name = "FILE", default_value = INSTALLED)]
    pub policy: PathBuf,
}

/// Arguments of `serve`, for both programs that serve.
#[derive(Debug, Args)]
pub struct Serve {
    /// The policy.
    #[command(flatten)]
    pub common: Common,
    /// The Unix socket to listen on, unless one is passed by socket activation (`LISTEN_FDS`).
    #[arg(long, value_name = "PATH", default_value = cloister_program::SOCKET)]
    pub socket: PathBuf,
    /// An account or host uid, beside root, that may use the socket; the group of the same number owns it.
    #[arg(long, value_name = "USER", value_parser = uid)]
    pub gateway_uid: Vec<u32>,
    /// How long after SIGTERM or SIGINT jobs are still taken while /readyz says 503, so that a gateway that is told to stop at
    /// the same time can serve out its own notice; a second signal cuts it short. Default: 8s, or 0s with a socket that is
    /// passed.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub drain_notice: Option<Duration>,
    /// The name of the control group that everything lives in; one supervisor each.
    #[arg(long, value_name = "NAME", default_value = "cloister", value_parser = plain_name)]
    pub cgroup: String,
    /// Live beside other supervisors of the same policy: where one has its host ids, take the next that are free.
    #[arg(long)]
    pub beside: bool,
    /// Read the policy again when something in its directory is written or moved there, as at SIGHUP: for pods, where a ConfigMap
    /// changes and nobody can send a signal.
    #[arg(long)]
    pub reload_on_change: bool,
    /// How log lines are written.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Arguments of `probe`.
#[derive(Debug, Args)]
pub struct Ask {
    /// The Unix socket on which it serves.
    #[arg(long, value_name = "PATH", default_value = cloister_program::SOCKET)]
    pub socket: PathBuf,
    /// What is asked.
    #[command(flatten)]
    pub probe: Probe,
}

/// What `--drain-notice` is where nobody holds the socket for the next life: some seconds more than the gateway's.
const DRAIN_NOTICE: Duration = Duration::from_secs(8);

impl Serve {
    /// How long jobs are taken after the first signal to stop.
    #[must_use]
    pub fn drain_notice(&self, is_passed: bool) -> Duration {
        self.drain_notice.unwrap_or(if is_passed { Duration::ZERO } else { DRAIN_NOTICE })
    }
}

fn uid(text: &str) -> Result<u32, String> {
    text.parse().or_else(|_| match nix::unistd::User::from_name(text) {
        Ok(Some(account)) => Ok(account.uid.as_raw()),
        _ => Err("expected a number or the name of an account".to_owned()),
    })
}

fn plain_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !text.is_empty() && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("expected letters, digits, `-` and `_`".to_owned())
    }
}
