//! `cloister keys`: makes, lists, changes and revokes keys, and tells what they have used today. What it prints on standard output is for
//! programs as well as for people; the key itself is printed once and kept nowhere.

mod set;
mod table;
mod time;
mod usage;

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use cloister_keys::{CpuTime, Entry, KeyFile, NewKey, Rate, revoke};

use crate::said::Said;

use self::set::Set;
use self::table::table;
use self::time::duration;
use self::usage::Usage;

/// Arguments of `keys`.
#[derive(Debug, Args)]
pub struct Keys {
    /// The key file. Its directory should belong to the gateway's group, which must be able to read it.
    #[arg(long = "keys", value_name = "PATH", env = "CLOISTER_KEYS", default_value = "/etc/cloister/keys/keys.toml")]
    pub path: PathBuf,
    /// What to do with it.
    #[command(subcommand)]
    pub command: KeysCommand,
}

/// The subcommands of `keys`. A gateway that runs takes a change over within a second.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key and print it. It cannot be shown again.
    New(New),
    /// List the keys and what each may do.
    List,
    /// Change what a key may do. The key itself stays the same, and what is not named here stays as it is.
    Set(Set),
    /// Tell what each key has used today (UTC), and what is left of its quotas.
    ///
    /// It is what the gateway keeps in its state directory, at most some seconds old.
    Usage(Usage),
    /// Revoke a key. Requests that run already are not cut off.
    Revoke {
        /// Which.
        name: String,
    },
}

/// Arguments of `keys new`.
#[derive(Debug, Args)]
pub struct New {
    /// Who it is for.
    pub name: String,
    /// The profiles that it may use, separated by commas; all, unless some are named.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub profiles: Vec<String>,
    /// How fast it may send, such as 10/s, 600/min or 1000/h.
    #[arg(long, value_name = "RATE")]
    pub rate: Option<Rate>,
    /// How many requests at once after a while of none; a second's worth, unless given.
    #[arg(long, value_name = "COUNT", requires = "rate")]
    pub burst: Option<NonZeroU32>,
    /// How many of its requests may run or wait at once.
    #[arg(long, value_name = "COUNT")]
    pub concurrency: Option<NonZeroUsize>,
    /// The processor time that its jobs may use in a day (UTC), such as 1h. The gateway needs --state for it.
    #[arg(long, value_name = "TIME")]
    pub cpu: Option<CpuTime>,
    /// The jobs that it may run in a day (UTC). The gateway needs --state for it.
    #[arg(long, value_name = "COUNT")]
    pub jobs: Option<NonZeroU64>,
    /// When it ends, counted from now, such as 90d.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub expires: Option<Duration>,
}

impl From<New> for NewKey {
    fn from(new: New) -> Self {
        let New { name, profiles, rate, burst, concurrency, cpu, jobs, expires } = new;
        let profiles = (!profiles.is_empty()).then_some(profiles);
        Self { name, profiles, rate, burst, concurrency, cpu_per_day: cpu, jobs_per_day: jobs, expires }
    }
}

/// Does what is asked with the key file.
pub fn keys(Keys { path, command }: Keys) -> Said {
    match command {
        KeysCommand::New(new) => NewKey::from(new).make(&path).map(|key| key.reveal().to_owned()).into(),
        KeysCommand::List => KeyFile::load(&path).map(|file| list(&file)).into(),
        KeysCommand::Set(set) => set.make(&path).map(|()| String::new()).into(),
        KeysCommand::Usage(usage) => usage.tell(&path).into(),
        KeysCommand::Revoke { name } => revoke(&path, &name).map(|()| String::new()).into(),
    }
}

fn list(file: &KeyFile) -> String {
    let head = ["NAME", "PROFILES", "RATE", "BURST", "AT ONCE", "CPU A DAY", "JOBS A DAY", "CREATED", "EXPIRES"];
    table(head, file.keys.iter().map(row))
}

fn row(entry: &Entry) -> [String; 9] {
    let or = |value: Option<String>, absent: &str| value.unwrap_or_else(|| absent.to_owned());
    let burst = entry.burst.or(entry.rate.map(|rate| rate.usual_burst()));
    let expires = entry.expires.map(|end| {
        let over = if end.0 <= SystemTime::now() { " (over)" } else { "" };
        format!("{end}{over}")
    });
    [
        entry.name.clone(),
        or(entry.profiles.as_ref().map(|profiles| profiles.join(",")), "all"),
        or(entry.rate.map(|rate| rate.to_string()), "-"),
        or(burst.map(|burst| burst.to_string()), "-"),
        or(entry.concurrency.map(|most| most.to_string()), "-"),
        or(entry.cpu_per_day.map(|most| most.to_string()), "-"),
        or(entry.jobs_per_day.map(|most| most.to_string()), "-"),
        entry.created.to_string(),
        or(expires, "never"),
    ]
}
