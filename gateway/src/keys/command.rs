//! `cloister-gateway keys`: makes, lists and revokes keys. What it prints on standard output is for
//! programs as well as for people; the key itself is printed once and kept nowhere.

use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use super::file::{Entry, KeyFile, NAME_RULE, Timestamp, is_name};
use super::token::Token;
use crate::args::{KeysCommand, NewKey};

/// Does what is asked with the key file at `path`.
///
/// # Errors
/// What went wrong and what to do, for a person.
pub fn run(command: &KeysCommand, path: &Path) -> Result<(), String> {
    match command {
        KeysCommand::New(new) => make(path, new),
        KeysCommand::List => list(path),
        KeysCommand::Revoke { name } => revoke(path, name),
    }
}

fn make(path: &Path, new: &NewKey) -> Result<(), String> {
    if !is_name(&new.name) {
        return Err(format!("{:?}: {NAME_RULE}", new.name));
    }
    let token = Token::random().map_err(|error| format!("get random bytes: {error}"))?;
    let entry = Entry {
        name: new.name.clone(),
        id: token.id,
        sha256: token.digest(),
        profiles: (!new.profiles.is_empty()).then(|| new.profiles.clone()),
        rate: new.rate,
        burst: new.burst,
        concurrency: new.concurrency,
        created: Timestamp(SystemTime::now()),
        expires: new.expires.map(|time| Timestamp(SystemTime::now() + time)),
    };
    KeyFile::change(path, |file| {
        if file.keys.iter().any(|key| key.name == entry.name) {
            return Err(format!("there is a key {:?} already: revoke it first, or choose another name", entry.name));
        }
        file.keys.push(entry);
        Ok(())
    })?;
    // Only a key that is in the file is shown.
    print(format_args!("{}\n", token.reveal()))
}

fn list(path: &Path) -> Result<(), String> {
    let file = KeyFile::load(path)?;
    let mut table = vec![["NAME", "PROFILES", "RATE", "BURST", "AT ONCE", "CREATED", "EXPIRES"].map(str::to_owned)];
    table.extend(file.keys.iter().map(row));
    let mut widths = [0; 7];
    for row in &table {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    for row in &table {
        let line: String = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}  ")).collect();
        print(format_args!("{}\n", line.trim_end()))?;
    }
    Ok(())
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

fn revoke(path: &Path, name: &str) -> Result<(), String> {
    KeyFile::change(path, |file| {
        let before = file.keys.len();
        file.keys.retain(|key| key.name != name);
        if file.keys.len() == before {
            return Err(format!("{}: there is no key {name:?}; `keys list` shows those there are", path.display()));
        }
        Ok(())
    })
}

fn print(what: std::fmt::Arguments<'_>) -> Result<(), String> {
    io::stdout().write_fmt(what).map_err(|error| format!("write to standard output: {error}"))
}
