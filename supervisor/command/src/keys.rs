//! `cloister keys`: makes, lists and revokes keys. What it prints on standard output is for
//! programs as well as for people; the key itself is printed once and kept nowhere.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use cloister_keys::{ChangeError, Entry, KeyFile, NewKey, Rate, revoke};

use crate::said::Said;

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
    /// When it ends, counted from now, such as 90d.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub expires: Option<Duration>,
}

impl From<New> for NewKey {
    fn from(new: New) -> Self {
        let New { name, profiles, rate, burst, concurrency, expires } = new;
        let profiles = (!profiles.is_empty()).then_some(profiles);
        Self { name, profiles, rate, burst, concurrency, expires }
    }
}

/// Does what is asked with the key file.
pub fn keys(keys: Keys) -> Said {
    done(keys).into()
}

fn done(Keys { path, command }: Keys) -> Result<String, ChangeError> {
    Ok(match command {
        KeysCommand::New(new) => NewKey::from(new).make(&path)?.reveal().to_owned(),
        KeysCommand::List => table(&KeyFile::load(&path)?),
        KeysCommand::Revoke { name } => revoke(&path, &name).map(|()| String::new())?,
    })
}

fn table(file: &KeyFile) -> String {
    let mut table = vec![["NAME", "PROFILES", "RATE", "BURST", "AT ONCE", "CREATED", "EXPIRES"].map(str::to_owned)];
    table.extend(file.keys.iter().map(row));
    let mut widths = [0; 7];
    for row in &table {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let line = |row: &[String; 7]| {
        let line: String = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}  ")).collect();
        format!("{}\n", line.trim_end())
    };
    table.iter().map(line).collect()
}

fn row(entry: &Entry) -> [String; 7] {
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
        entry.created.to_string(),
        or(expires, "never"),
    ]
}

/// A time with its unit, such as `90d`, and more than nothing.
fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("expected more than no time".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}: expected a number and a unit, such as 90d")),
    }
}
