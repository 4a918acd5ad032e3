//! Record locks of jobs, `F_SETLK` of `fcntl_locking(2)`: the kernel takes memory for each, bounds their number by
//! nothing and counts that memory as nobody's. What it does tell is how much it holds in all, and who holds which.
//!
//! While jobs run, the whole is looked at ten times a second, and the list only when the whole has grown. A job that
//! holds too many then is ended. How much that lets it have is in `docs/security.md`.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloister_sandbox::cgroup::SlotCgroup;
use tokio::sync::{Mutex, watch};
use tokio::task::spawn_blocking;

/// Record locks that a job may hold at once. An open database takes three.
pub const MOST: usize = 64;

/// How often the whole is looked at.
const EVERY: Duration = Duration::from_millis(100);

/// By how many bytes it must have grown for the list to be read.
const STEP: u64 = 16 << 20;

/// For how long a list that was read is good, so that every job comes to see it.
const GOOD: Duration = Duration::from_millis(300);

/// For how long the list is read, if only something is found. The kernel hands out some 80 lines at a time, and each
/// time waits for everybody who is just about to lock: those who lock without end, as their CPU share allows.
const LONGEST: Duration = Duration::from_millis(50);

/// Record locks by process.
pub type Holders = HashMap<u32, usize>;

/// Watches over all jobs of a supervisor.
#[derive(Debug)]
pub struct LockWatch {
    seen: Mutex<Seen>,
    /// The list, each time that it is read.
    read: watch::Sender<Arc<Holders>>,
}

#[derive(Debug)]
struct Seen {
    at: Instant,
    /// The least memory since the list was last read.
    memory: u64,
    list: Option<(Instant, Arc<Holders>)>,
}

impl LockWatch {
    /// Begins to watch.
    ///
    /// # Errors
    /// When the kernel's words cannot be read here.
    pub fn new() -> io::Result<Self> {
        let memory = unreclaimable()?;
        held()?;
        let seen = Mutex::new(Seen { at: Instant::now(), memory, list: None });
        Ok(Self { seen, read: watch::Sender::new(Arc::default()) })
    }

    /// Ends when the group's processes are seen to hold too many.
    pub async fn too_many(&self, cgroup: &SlotCgroup) {
        let since = Instant::now();
        loop {
            tokio::time::sleep(EVERY).await;
            let Some(held) = self.list(since).await else { continue };
            if holds_too_many(cgroup, &held) {
                return;
            }
        }
    }

    /// Looks now, and whether the group's processes hold too many, if there is reason to read the list.
    pub async fn finds_too_many(&self, cgroup: &SlotCgroup) -> bool {
        let since = Instant::now();
        self.list(since).await.is_some_and(|held| holds_too_many(cgroup, &held))
    }

    /// The list, each time that it is read from now on: for who is not looked at otherwise.
    #[must_use]
    pub fn lists(&self) -> watch::Receiver<Arc<Holders>> {
        self.read.subscribe()
    }

    /// The list, if it was read just now and after `since`. Who asks first looks for all.
    async fn list(&self, since: Instant) -> Option<Arc<Holders>> {
        let mut seen = self.seen.lock().await;
        if seen.at.elapsed() >= EVERY {
            // What cannot be read has grown.
            let memory = unreclaimable().unwrap_or(u64::MAX);
            if memory > seen.memory.saturating_add(STEP) {
                let at = Instant::now();
                let list = spawn_blocking(held).await.ok().and_then(Result::ok);
                seen.list = list.map(|list| (at, Arc::new(list)));
                if let Some((_, list)) = &seen.list {
                    self.read.send_replace(Arc::clone(list));
                }
                seen.memory = memory;
            } else {
                seen.memory = seen.memory.min(memory);
            }
            seen.at = Instant::now();
        }
        seen.list.as_ref().filter(|(at, _)| *at >= since && at.elapsed() < GOOD).map(|(_, list)| Arc::clone(list))
    }
}

/// Whether the group's processes hold too many of these.
#[must_use]
pub fn holds_too_many(cgroup: &SlotCgroup, held: &Holders) -> bool {
    let processes = cgroup.processes().unwrap_or_default();
    processes.iter().filter_map(|process| held.get(process)).sum::<usize>() > MOST
}

/// Kernel memory that is held for good, in bytes: `SUnreclaim` of `proc_meminfo(5)`.
fn unreclaimable() -> io::Result<u64> {
    let kibibytes = |line: &str| line.strip_prefix("SUnreclaim:")?.trim().strip_suffix("kB")?.trim().parse().ok();
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let found: Option<u64> = text.lines().find_map(kibibytes);
    found.map(|number| number * 1024).ok_or_else(|| io::Error::other("/proc/meminfo has no SUnreclaim"))
}

/// Who holds record locks: the first lines of `proc_locks(5)`, which has the newest of a processor first.
fn held() -> io::Result<Holders> {
    count(BufReader::new(File::open("/proc/locks")?))
}

fn count(list: impl BufRead) -> io::Result<Holders> {
    let mut held = Holders::new();
    let begun = Instant::now();
    for line in list.lines() {
        // Number, kind, advice, access, process. Who waits has an arrow before the kind, and is a process of many.
        let line = line?;
        let mut words = line.split_ascii_whitespace().skip(1);
        if words.next() == Some("POSIX")
            && let Some(process) = words.nth(2).and_then(|word| word.parse().ok())
        {
            *held.entry(process).or_default() += 1;
        }
        if begun.elapsed() > LONGEST && held.values().sum::<usize>() > MOST {
            break;
        }
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::{Holders, count};

    #[test]
    fn only_record_locks_that_are_held_count() {
        let list = "1: POSIX  ADVISORY  WRITE 7 00:1a:5 0 EOF\n2: FLOCK  ADVISORY  WRITE 7 00:1a:6 0 EOF\n\
            3: OFDLCK ADVISORY  READ -1 00:1a:5 0 4\n3: -> POSIX  ADVISORY  READ 8 00:1a:5 1 1\n4: POSIX\n\
            5: POSIX  ADVISORY  READ  7 00:1a:5 8 9\n";
        assert_eq!(count(list.as_bytes()).expect("read"), Holders::from([(7, 2)]));
    }
}
