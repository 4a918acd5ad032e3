//! `cloister keys usage`: what each key has used today, as the gateway keeps it, beside what it may.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use cloister_keys::{Day, Entry, KeyFile, ReadError, STATE, Timestamp, Used, UsedError, UsedFile};
use serde_json::json;

use super::table::table;

/// Arguments of `keys usage`.
#[derive(Debug, Args)]
pub struct Usage {
    /// The gateway's state directory, as it has it from its own --state.
    #[arg(long, value_name = "DIRECTORY", env = "CLOISTER_STATE", default_value = STATE)]
    pub state: PathBuf,
    /// Print JSON, for programs.
    #[arg(long)]
    pub json: bool,
    /// The keys to tell of; all, unless some are named.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The keys are not known.
    #[error(transparent)]
    Keys(#[from] ReadError),
    /// Or what they used.
    #[error(transparent)]
    Used(#[from] UsedError),
    /// No key is called so.
    #[error("{path}: there is no key {1:?}; `keys list` shows those there are", path = .0.display())]
    Unknown(PathBuf, String),
}

impl Usage {
    /// Tells of the keys in this file.
    ///
    /// # Errors
    /// What keeps it from that.
    pub fn tell(self, keys: &Path) -> Result<String, UsageError> {
        let file = KeyFile::load(keys)?;
        if let Some(name) = self.names.iter().find(|name| !file.keys.iter().any(|key| key.name == **name)) {
            return Err(UsageError::Unknown(keys.to_owned(), name.clone()));
        }
        let used = today(UsedFile::load(&self.state)?);
        let chosen = |key: &&Entry| self.names.is_empty() || self.names.contains(&key.name);
        let all: Vec<_> = file
            .keys
            .iter()
            .filter(chosen)
            .map(|key| (key, used.keys.get(&key.id).copied().unwrap_or_default()))
            .collect();
        Ok(if self.json { for_programs(&used, &all) } else { for_people(&used, &all) })
    }
}

/// What was used in the day that it is: nothing yet, if all that is known is of one before.
fn today(mut used: UsedFile) -> UsedFile {
    let day = Day::of(SystemTime::now());
    if day > used.day {
        used.day = day;
        used.keys.clear();
    }
    used
}

fn for_people(used: &UsedFile, all: &[(&Entry, Used)]) -> String {
    let of = |used: String, limit: Option<(String, f64)>| match limit {
        Some((limit, share)) => format!("{used}/{limit} ({:.0}%)", share * 100.0),
        None => used,
    };
    let row = |(key, used): &(&Entry, Used)| {
        let seconds = used.cpu().as_secs_f64();
        let jobs = key.jobs_per_day.map(|most| (most.to_string(), used.jobs as f64 / most.get() as f64));
        let cpu = key.cpu_per_day.map(|most| (most.to_string(), seconds / most.duration().as_secs_f64()));
        [key.name.clone(), of(used.jobs.to_string(), jobs), of(format!("{seconds:.1}s"), cpu)]
    };
    let day = format!("{} (UTC), as kept at {}; it ends at {}", used.day, used.saved, Timestamp(used.day.end()));
    format!("{day}\n{}", table(["NAME", "JOBS", "CPU"], all.iter().map(row)))
}

fn for_programs(used: &UsedFile, all: &[(&Entry, Used)]) -> String {
    let keys: Vec<_> = all
        .iter()
        .map(|(key, used)| {
            json!({
                "name": key.name,
                "jobs": used.jobs,
                "jobs_per_day": key.jobs_per_day,
                "cpu_seconds": used.cpu().as_secs_f64(),
                "cpu_seconds_per_day": key.cpu_per_day.map(|most| most.duration().as_secs_f64()),
            })
        })
        .collect();
    let told = json!({
        "day": used.day, "kept_at": used.saved, "resets_at": Timestamp(used.day.end()), "keys": keys,
    });
    format!("{told:#}")
}
