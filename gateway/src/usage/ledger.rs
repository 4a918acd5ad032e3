//! What each key has used today, and whether it may use more. Days are those of UTC.
//!
//! A job is counted when it is let in, and given back if none of it ran; its processor time is counted when it has ended.
//! The day never goes back: where the clock does, what was used in the day that had begun still counts, until that is over.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use cloister_keys::{Day, KeyId, Timestamp, Used, UsedFile};
use cloister_protocol::{Amount, QuotaKind};

use crate::keys::Key;

/// How long what was used may have been kept nowhere but in memory. Beyond it keys with a quota are let in no more, so that
/// no more than this is forgotten when the gateway dies.
const UNKEPT: Duration = Duration::from_secs(30);

/// What all keys have used today.
#[derive(Debug)]
pub struct Ledger(Mutex<Book>);

#[derive(Debug)]
struct Book {
    day: Day,
    used: BTreeMap<KeyId, Used>,
    /// Whether it is not what was last taken to be kept.
    changed: bool,
    /// When all that there was had been kept.
    kept: Instant,
    /// Whether the clock was told to have gone back.
    told: bool,
}

/// A job that is counted.
#[derive(Debug)]
pub struct CountedJob {
    ledger: Arc<Ledger>,
    key: KeyId,
    day: Day,
    /// Whether it is known what became of it.
    settled: AtomicBool,
}

/// Why a key may use no more now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NoMore {
    /// A quota is used up.
    Spent {
        /// What it is of.
        of: QuotaKind,
        /// How much of that a day has.
        limit: Amount,
        /// How much was used.
        used: Amount,
        /// When it begins anew.
        until: SystemTime,
    },
    /// What it uses could not be kept.
    Unkept,
}

impl Ledger {
    /// With what was used before; nothing, if there is no word of it.
    pub fn new(before: Option<UsedFile>) -> Arc<Self> {
        let today = Day::of(SystemTime::now());
        let (day, used) = before.map_or_else(|| (today, BTreeMap::new()), |file| (file.day, file.keys));
        let book = Book { day, used, changed: true, kept: Instant::now(), told: false };
        Arc::new(Self(Mutex::new(book)))
    }

    /// Looks whether a key may run a job now, and counts nothing.
    ///
    /// # Errors
    /// A quota is used up.
    pub fn check(&self, key: &Key) -> Result<(), NoMore> {
        if key.quotas() == (None, None) { Ok(()) } else { self.turned(SystemTime::now()).check(key) }
    }

    /// Counts a job of a key.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn take(self: &Arc<Self>, key: &Key) -> Result<CountedJob, NoMore> {
        let mut book = self.turned(SystemTime::now());
        book.check(key)?;
        let day = book.day;
        book.of(key.id()).jobs += 1;
        drop(book);
        Ok(CountedJob { ledger: Arc::clone(self), key: key.id(), day, settled: AtomicBool::new(false) })
    }

    /// All of it, if it has changed since it was last taken.
    pub fn changed(&self) -> Option<UsedFile> {
        let now = SystemTime::now();
        let mut book = self.turned(now);
        std::mem::take(&mut book.changed).then(|| UsedFile::new(book.day, Timestamp(now), book.used.clone()))
    }

    /// What was last taken is kept, or, if it is not, is to be taken again.
    pub fn kept(&self, done: bool) {
        let mut book = self.book();
        if done {
            book.kept = Instant::now();
        } else {
            book.changed = true;
        }
    }

    /// The day that it is.
    fn turned(&self, now: SystemTime) -> MutexGuard<'_, Book> {
        let mut book = self.book();
        book.turn(Day::of(now));
        book
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Plain numbers, whole whatever happened to the last holder.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn turn(&mut self, today: Day) {
        if today > self.day {
            (self.day, self.changed, self.told) = (today, true, false);
            self.used.clear();
        } else if today < self.day && !self.told {
            self.told = true;
            let day = self.day.to_string();
            tracing::warn!(
                day,
                "the clock has gone back to a day before: what keys have used counts until this day is over"
            );
        }
    }

    /// Whether a key may run a job now.
    fn check(&self, key: &Key) -> Result<(), NoMore> {
        let (cpu, jobs) = key.quotas();
        if cpu.is_none() && jobs.is_none() {
            return Ok(());
        }
        if self.kept.elapsed() > UNKEPT {
            return Err(NoMore::Unkept);
        }
        let used = self.used.get(&key.id()).copied().unwrap_or_default();
        let until = self.day.end();
        if let Some(limit) = jobs.map(u64::from).filter(|limit| used.jobs >= *limit) {
            let (limit, used) = (Amount::Count(limit), Amount::Count(used.jobs));
            return Err(NoMore::Spent { of: QuotaKind::Jobs, limit, used, until });
        }
        if let Some(limit) = cpu.map(|limit| limit.duration()).filter(|limit| used.cpu() >= *limit) {
            let (limit, used) = (Amount::Seconds(limit.as_secs_f64()), Amount::Seconds(used.cpu().as_secs_f64()));
            return Err(NoMore::Spent { of: QuotaKind::CpuSeconds, limit, used, until });
        }
        Ok(())
    }

    fn of(&mut self, key: KeyId) -> &mut Used {
        self.changed = true;
        self.used.entry(key).or_default()
    }
}

impl CountedJob {
    /// Counts what the job has used.
    pub fn charge(&self, cpu: Duration) {
        self.settled.store(true, Ordering::Relaxed);
        let mut book = self.ledger.turned(SystemTime::now());
        let used = book.of(self.key);
        used.cpu_us = used.cpu_us.saturating_add(u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX));
    }

    /// Counts it no more: none of it ran.
    pub fn give_back(&self) {
        self.settled.store(true, Ordering::Relaxed);
        let mut book = self.ledger.turned(SystemTime::now());
        if book.day == self.day {
            let used = book.of(self.key);
            used.jobs = used.jobs.saturating_sub(1);
        }
    }
}

impl Drop for CountedJob {
    /// Of a job whose client left before it was handed on.
    fn drop(&mut self) {
        if !*self.settled.get_mut() {
            self.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use cloister_keys::{Day, NewKey, Token};
    use cloister_protocol::{Amount, QuotaKind};

    use super::{Ledger, NoMore, UNKEPT};
    use crate::keys::{Key, Keyring};

    /// A key in force.
    fn key(new: NewKey) -> Arc<Key> {
        let directory = std::env::temp_dir().join(format!("cloister-ledger-{}-{}", std::process::id(), new.name));
        std::fs::create_dir(&directory).expect("make a directory");
        let token = NewKey { name: "one".to_owned(), ..new }.make(&directory.join("keys.toml")).expect("a key");
        let keyring = Keyring::open(&directory.join("keys.toml")).expect("keys");
        std::fs::remove_dir_all(&directory).expect("remove the directory");
        keyring.find(&token).expect("it is known")
    }

    fn day(text: &str) -> Day {
        text.parse().expect("a day")
    }

    #[test]
    fn a_new_day_begins_anew_and_none_comes_twice() {
        let ledger = Ledger::new(None);
        let key = Token::random().expect("random bytes").id;
        let mut book = ledger.book();
        (book.day, book.changed) = (day("2026-11-30"), false);
        book.of(key).jobs = 7;
        book.turn(day("2026-11-29"));
        assert_eq!((book.used[&key].jobs, book.day), (7, day("2026-11-30")), "the clock has gone back over midnight");
        book.turn(day("2026-12-01"));
        assert!(book.used.is_empty() && book.changed && book.day == day("2026-12-01"));
        book.of(key).cpu_us = 1;
        book.turn(day("2026-11-30"));
        assert_eq!(book.used[&key].cpu(), Duration::from_micros(1));
    }

    #[test]
    fn a_key_uses_what_it_may_and_what_did_not_run_is_given_back() {
        let ledger = Ledger::new(None);
        let jobs = "2".parse().ok();
        let key = key(NewKey {
            name: "uses".to_owned(),
            cpu_per_day: "1s".parse().ok(),
            jobs_per_day: jobs,
            ..NewKey::default()
        });
        let (first, second) = (ledger.take(&key).expect("the first"), ledger.take(&key).expect("the second"));
        let spent = |of, limit, used| move |why| matches!(why, NoMore::Spent { of: o, limit: l, used: u, .. } if (o, l, u) == (of, limit, used));
        let no_more = ledger.take(&key).expect_err("a third");
        assert!(spent(QuotaKind::Jobs, Amount::Count(2), Amount::Count(2))(no_more), "{no_more:?}");
        // Whose client leaves before it is handed on, as one that did not run.
        drop(second);
        let second = ledger.take(&key).expect("the second once more");
        second.give_back();
        drop(second);
        first.charge(Duration::from_millis(999));
        ledger.check(&key).expect("a job and a millisecond are left");
        first.charge(Duration::from_millis(501));
        let no_more = ledger.check(&key).expect_err("no time is left");
        assert!(spent(QuotaKind::CpuSeconds, Amount::Seconds(1.0), Amount::Seconds(1.5))(no_more), "{no_more:?}");
    }

    #[test]
    fn what_is_kept_nowhere_is_not_used_for_long() {
        let ledger = Ledger::new(None);
        let bound = key(NewKey { name: "bound".to_owned(), jobs_per_day: "9".parse().ok(), ..NewKey::default() });
        let free = key(NewKey { name: "free".to_owned(), ..NewKey::default() });
        let long_ago =
            Instant::now().checked_sub(UNKEPT + Duration::from_secs(1)).expect("the machine runs for longer");
        ledger.book().kept = long_ago;
        assert_eq!(ledger.check(&bound), Err(NoMore::Unkept));
        assert_eq!(ledger.check(&free), Ok(()));
        assert!(ledger.changed().is_some() && ledger.changed().is_none());
        ledger.kept(false);
        assert!(ledger.changed().is_some(), "it is tried again");
        ledger.kept(true);
        assert_eq!(ledger.check(&bound), Ok(()));
    }
}
