//! The keys that are in force, with what each has used up.
//!
//! A new file takes the place of the old one at once; a key that is in both goes on where it stood.
//! Must never let anyone in whom the newest valid file does not name.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use cloister_keys::{CpuTime, Digest, Entry, KeyFile, KeyId, ReadError, Timestamp, Token};

use super::bucket::{Bucket, Standing};

/// A key in force.
#[derive(Debug)]
pub struct Key {
    entry: Entry,
    bucket: Option<Arc<Bucket>>,
    at_once: Arc<AtomicUsize>,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stranger {
    /// There is no such key, or not with this secret.
    #[error("this key is not known here")]
    Unknown,
    /// Its time is over.
    #[error("this key has expired")]
    Expired,
}

/// All keys in force.
#[derive(Debug, Default)]
pub struct Keyring(RwLock<Arc<HashMap<KeyId, Arc<Key>>>>);

/// A request of a key, for as long as it runs or waits.
#[derive(Debug)]
pub struct AtOnce(Arc<AtomicUsize>);

impl Keyring {
    /// The keys of a file.
    ///
    /// # Errors
    /// That it cannot be read, or what is wrong with it.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let keyring = Self::default();
        keyring.reload(path)?;
        Ok(keyring)
    }

    /// Puts the keys of a file in force, in place of all others.
    ///
    /// # Errors
    /// As [`open`](Self::open); the old ones stay in force.
    pub fn reload(&self, path: &Path) -> Result<(), ReadError> {
        let file = KeyFile::load(path)?;
        let old = self.current();
        let new: HashMap<_, _> =
            file.keys.into_iter().map(|entry| (entry.id, Arc::new(Key::new(entry, &old)))).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        Ok(())
    }

    /// The key that a token is.
    ///
    /// # Errors
    /// Why it is none that is in force.
    pub fn find(&self, token: &Token) -> Result<Arc<Key>, Stranger> {
        let key = self.current().get(&token.id).cloned();
        // A digest is made and compared for an unknown id, too: how long it takes tells nothing.
        let kept = key.as_ref().map_or(Digest::NOBODYS, |key| key.entry.sha256);
        let known = kept.is(&token.digest());
        let key = key.filter(|_| known).ok_or(Stranger::Unknown)?;
        match key.entry.expires {
            Some(Timestamp(end)) if end <= SystemTime::now() => Err(Stranger::Expired),
            _ => Ok(key),
        }
    }

    /// The name of a key with a quota, if there is any.
    pub fn any_with_quota(&self) -> Option<String> {
        let quotas = |key: &&Arc<Key>| key.quotas() != (None, None);
        self.current().values().find(quotas).map(|key| key.name().to_owned())
    }

    fn current(&self) -> Arc<HashMap<KeyId, Arc<Key>>> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Key {
    /// The key of an entry, which goes on where one of the `old` with its id stood.
    fn new(entry: Entry, old: &HashMap<KeyId, Arc<Self>>) -> Self {
        let old = old.get(&entry.id);
        let same_rate = old.filter(|old| (old.entry.rate, old.entry.burst) == (entry.rate, entry.burst));
        let bucket = match (same_rate, entry.rate) {
            (Some(old), _) => old.bucket.clone(),
            (None, Some(rate)) => Some(Arc::new(Bucket::new(rate, entry.burst.unwrap_or_else(|| rate.usual_burst())))),
            (None, None) => None,
        };
        let at_once = old.map(|old| Arc::clone(&old.at_once)).unwrap_or_default();
        Self { entry, bucket, at_once }
    }

    /// What finds it.
    pub fn id(&self) -> KeyId {
        self.entry.id
    }

    /// Who it is for.
    pub fn name(&self) -> &str {
        &self.entry.name
    }

    /// The profiles that it may use; `None`: all.
    pub fn profiles(&self) -> Option<&[String]> {
        self.entry.profiles.as_deref()
    }

    /// The processor time and the jobs that it may use in a day; `None`: as much as there is.
    pub fn quotas(&self) -> (Option<CpuTime>, Option<NonZeroU64>) {
        (self.entry.cpu_per_day, self.entry.jobs_per_day)
    }

    /// Counts a request; `None` for a key that may send as fast as it likes.
    ///
    /// # Errors
    /// It sends too fast.
    pub fn take(&self) -> Result<Option<Standing>, Standing> {
        self.bucket.as_ref().map(|bucket| bucket.take()).transpose()
    }

    /// Lets one more of its requests in.
    ///
    /// # Errors
    /// As many as may already run or wait; that number.
    pub fn enter(&self) -> Result<AtOnce, usize> {
        let most = self.entry.concurrency.map_or(usize::MAX, usize::from);
        let add = |count| (count < most).then_some(count + 1);
        match self.at_once.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add) {
            Ok(_) => Ok(AtOnce(Arc::clone(&self.at_once))),
            Err(_) => Err(most),
        }
    }
}

impl Drop for AtOnce {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
