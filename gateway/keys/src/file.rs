//! What the file holds: TOML that people can read and `cloister keys` writes.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::as_text::as_text;
use crate::error::{Mistake, ReadError};
use crate::quota::CpuTime;
use crate::rate::Rate;
use crate::token::{Digest, KeyId};

/// All keys, as they stand in the file.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    version: Version,
    /// In the order in which they were made.
    #[serde(default, rename = "key")]
    pub keys: Vec<Entry>,
}

/// One key, as it stands in the file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Who it is for; unique.
    pub name: String,
    /// What finds it.
    pub id: KeyId,
    /// What is kept of it.
    pub sha256: Digest,
    /// The profiles that it may use; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profiles: Option<Vec<String>>,
    /// How fast it may send; absent: as fast as it likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// How many at once, after a while of nothing; absent: a second's worth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
    /// How many of its requests may run or wait at once; absent: as many as the gateway takes of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<NonZeroUsize>,
    /// The processor time that its jobs may use in a day of UTC; absent: as much as there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_per_day: Option<CpuTime>,
    /// The jobs that it may run in a day of UTC; absent: as many as there can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs_per_day: Option<NonZeroU64>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// A second in UTC, written as RFC 3339 has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp(pub SystemTime);

/// The one version of a file's form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Version;

impl KeyFile {
    /// No keys.
    #[must_use]
    pub fn empty() -> Self {
        Self { version: Version, keys: Vec::new() }
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// What is wrong, with its line.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let file: Self = toml::from_str(text)?;
        file.check()?;
        Ok(file)
    }

    /// What the form alone does not rule out.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn check(&self) -> Result<(), Mistake> {
        let (mut names, mut ids) = (HashSet::new(), HashSet::new());
        for entry in &self.keys {
            let name = || entry.name.clone();
            if !is_name(&entry.name) {
                return Err(Mistake::Name(name()));
            }
            if !names.insert(&entry.name) || !ids.insert(entry.id) {
                return Err(Mistake::Twice(name()));
            }
            match (entry.rate, entry.burst) {
                (None, Some(_)) => return Err(Mistake::Burst(name())),
                (Some(rate), Some(burst)) if !rate.fills(burst) => return Err(Mistake::Fill(name(), burst, rate)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads a file; one that is not there has no keys.
    ///
    /// # Errors
    /// That it cannot be read, or what is wrong with it.
    pub fn load(path: &Path) -> Result<Self, ReadError> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map_err(|mistake| ReadError::Mistake(path.to_owned(), mistake)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::empty()),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(ReadError::Closed(path.to_owned(), error)),
            Err(error) => Err(ReadError::Read(path.to_owned(), error)),
        }
    }
}

/// The directory that a file is in.
#[must_use]
pub fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Whether a key may be called so.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(plain)
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", humantime::format_rfc3339_seconds(self.0))
    }
}

impl FromStr for Timestamp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_rfc3339(text)
            .map(Self)
            .map_err(|_| format!("{text:?} is no time: expected a second in UTC, such as 2030-01-31T12:00:00Z"))
    }
}

as_text!(Timestamp);

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(1)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            1 => Ok(Self),
            other => Err(de::Error::custom(format_args!("version {other} is not known here, expected 1"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::KeyFile;

    const KEY: &str = "[[key]]\nname = \"one\"\nid = \"0123456789abcdef\"\ncreated = \"2026-01-02T03:04:05Z\"\n";

    fn refusal(text: &str) -> String {
        KeyFile::parse(text).expect_err(text).to_string()
    }

    #[test]
    fn every_mistake_is_named() {
        let hash = format!("sha256 = \"{}\"\n", "0".repeat(64));
        let key = format!("{KEY}{hash}");
        KeyFile::parse(&format!("version = 1\n{key}")).expect("valid");
        for (text, expected) in [
            (String::new(), "missing field `version`"),
            ("version = 2".to_owned(), "version 2 is not known here"),
            (format!("version = 1\n{KEY}"), "missing field `sha256`"),
            (format!("version = 1\n{KEY}sha256 = \"00\""), "expected 64 hexadecimal digits"),
            (format!("version = 1\n{key}rate = \"fast\""), "is no rate"),
            (format!("version = 1\n{key}burst = 3"), "a burst needs a rate"),
            (
                format!("version = 1\n{key}rate = \"1/h\"\nburst = 6000000"),
                "key \"one\": a burst of 6000000 takes more than",
            ),
            (format!("version = 1\n{key}concurrency = 0"), "zero"),
            (format!("version = 1\n{key}jobs_per_day = 0"), "zero"),
            (format!("version = 1\n{key}cpu_per_day = \"much\""), "is no time"),
            (format!("version = 1\n{key}profile = [\"default\"]"), "unknown field `profile`"),
            (format!("version = 1\n{key}expires = \"soon\""), "is no time"),
            (format!("version = 1\n{key}{key}"), "there twice"),
            (format!("version = 1\n{key}").replace("\"one\"", "\"a b\""), "a name is 1 to 64"),
        ] {
            let message = refusal(&text);
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
