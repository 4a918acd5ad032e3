//! Making, changing and revoking keys.
//!
//! The file is replaced as a whole, by rename, so whoever reads it sees the old one or the new one.

use std::fs::{self, File};
use std::io;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;
use std::time::{Duration, SystemTime};

use cloister_program::replace_file;

use crate::error::ChangeError;
use crate::file::{Entry, KeyFile, Timestamp, is_name, parent};
use crate::quota::CpuTime;
use crate::rate::Rate;
use crate::token::Token;

/// The owner writes, the gateway's group reads.
const MODE: u32 = 0o640;

/// What a new key is to be.
#[derive(Clone, Debug, Default)]
pub struct NewKey {
    /// Who it is for.
    pub name: String,
    /// The profiles that it may use; none: all.
    pub profiles: Option<Vec<String>>,
    /// How fast it may send; none: as fast as it likes.
    pub rate: Option<Rate>,
    /// How many at once, after a while of nothing; none: a second's worth.
    pub burst: Option<NonZeroU32>,
    /// How many of its requests may run or wait at once; none: as many as the gateway takes of one.
    pub concurrency: Option<NonZeroUsize>,
    /// The processor time that its jobs may use in a day; none: as much as there is.
    pub cpu_per_day: Option<CpuTime>,
    /// The jobs that it may run in a day; none: as many as there can be.
    pub jobs_per_day: Option<NonZeroU64>,
    /// When it ends, counted from now; none: never.
    pub expires: Option<Duration>,
}

/// What a key is to be from now on. What is `None` stays as it is, and of what is `Some(None)` there is no bound any more.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// The profiles that it may use.
    pub profiles: Option<Option<Vec<String>>>,
    /// How fast it may send.
    pub rate: Option<Option<Rate>>,
    /// How many at once, after a while of nothing.
    pub burst: Option<Option<NonZeroU32>>,
    /// How many of its requests may run or wait at once.
    pub concurrency: Option<Option<NonZeroUsize>>,
    /// The processor time that its jobs may use in a day.
    pub cpu_per_day: Option<Option<CpuTime>>,
    /// The jobs that it may run in a day.
    pub jobs_per_day: Option<Option<NonZeroU64>>,
    /// When it ends, counted from now.
    pub expires: Option<Option<Duration>>,
}

impl Changes {
    /// Changes the key of a name in a file. The key itself stays the same.
    ///
    /// # Errors
    /// That there is none, that it would be no key, or whatever kept the file from being written.
    pub fn make(self, path: &Path, name: &str) -> Result<(), ChangeError> {
        fn put<T>(place: &mut Option<T>, change: Option<Option<T>>) {
            if let Some(value) = change {
                *place = value;
            }
        }
        let now = SystemTime::now();
        change(path, |file| {
            let key = file.keys.iter_mut().find(|key| key.name == name);
            let key = key.ok_or_else(|| ChangeError::Unknown(path.to_owned(), name.to_owned()))?;
            put(&mut key.profiles, self.profiles);
            put(&mut key.rate, self.rate);
            put(&mut key.burst, self.burst);
            put(&mut key.concurrency, self.concurrency);
            put(&mut key.cpu_per_day, self.cpu_per_day);
            put(&mut key.jobs_per_day, self.jobs_per_day);
            put(&mut key.expires, self.expires.map(|time| time.map(|time| Timestamp(now + time))));
            Ok(())
        })
    }
}

impl NewKey {
    /// Makes the key and puts it into a file. It cannot be had again.
    ///
    /// # Errors
    /// That there is one of this name, or whatever kept it from being written.
    pub fn make(self, path: &Path) -> Result<Token, ChangeError> {
        if !is_name(&self.name) {
            return Err(ChangeError::Name(self.name));
        }
        let token = Token::random()?;
        let now = SystemTime::now();
        let entry = Entry {
            name: self.name,
            id: token.id,
            sha256: token.digest(),
            profiles: self.profiles,
            rate: self.rate,
            burst: self.burst,
            concurrency: self.concurrency,
            cpu_per_day: self.cpu_per_day,
            jobs_per_day: self.jobs_per_day,
            created: Timestamp(now),
            expires: self.expires.map(|time| Timestamp(now + time)),
        };
        change(path, |file| {
            if file.keys.iter().any(|key| key.name == entry.name) {
                return Err(ChangeError::Taken(entry.name));
            }
            file.keys.push(entry);
            Ok(())
        })?;
        // Only a key that is in the file is shown.
        Ok(token)
    }
}

/// Takes the key of a name out of a file.
///
/// # Errors
/// That there is none, or whatever kept the file from being written.
pub fn revoke(path: &Path, name: &str) -> Result<(), ChangeError> {
    change(path, |file| {
        let before = file.keys.len();
        file.keys.retain(|key| key.name != name);
        if file.keys.len() == before {
            return Err(ChangeError::Unknown(path.to_owned(), name.to_owned()));
        }
        Ok(())
    })
}

/// Changes a file while nobody else does.
fn change(path: &Path, change: impl FnOnce(&mut KeyFile) -> Result<(), ChangeError>) -> Result<(), ChangeError> {
    let directory = parent(path);
    let failed = |error| ChangeError::Write(path.to_owned(), error);
    // flock(2); released when it is closed.
    let lock = File::open(&directory).map_err(|error| ChangeError::Directory(directory, error))?;
    lock.lock().map_err(failed)?;
    let mut file = KeyFile::load(path)?;
    change(&mut file)?;
    file.check()?;
    let text = toml::to_string(&file).map_err(io::Error::other).map_err(failed)?;
    replace(path, &lock, &text).map_err(failed)
}

/// Puts a new file in the place of an old one, whose owner, group and mode it takes over. A first
/// one belongs to the directory's group, which is where the gateway's account should be.
fn replace(path: &Path, directory: &File, text: &str) -> io::Result<()> {
    let (owner, group, mode) = match fs::metadata(path) {
        Ok(old) => (Some(old.uid()), old.gid(), old.mode() & 0o777),
        Err(_) => (None, directory.metadata()?.gid(), MODE),
    };
    replace_file(path, text, |file| {
        fchown(file, owner, Some(group))?;
        file.set_permissions(fs::Permissions::from_mode(mode))
    })
}
