//! What scripts find under the profiles in force, kept so that nobody's asking for it is much work for the supervisor.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cloister_protocol::{Profiles, Tenant};
use tokio::sync::Mutex;

use crate::needs::catalog::Catalog;
use crate::upstream::supervisor::Supervisor;

/// How long an answer does. A reload is told of at once by what runs jobs, and by this soon after.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// From this size on an answer would be read for so long that others wait.
const LARGE: usize = 128 * 1024;

/// What the supervisor said last.
#[derive(Debug)]
pub struct KnownProfiles {
    supervisor: Supervisor,
    last: Mutex<Option<Last>>,
}

/// An answer, since when it was asked for, and what was read in it.
#[derive(Debug)]
struct Last {
    /// When it was last asked for, whether there was an answer or not.
    asked: Instant,
    /// When this was asked for.
    since: Instant,
    text: Vec<u8>,
    known: Arc<Known>,
}

/// What is known of the profiles.
#[derive(Debug, Default)]
pub struct Known {
    /// Each by its name.
    pub profiles: Profiles,
    /// Their packages.
    pub catalog: Catalog,
}

impl KnownProfiles {
    /// Nothing yet.
    pub fn new(supervisor: Supervisor) -> Self {
        Self { supervisor, last: Mutex::new(None) }
    }

    /// How many processors a job of this profile may use at once, in thousandths, and for how long; nothing if that is not
    /// known.
    pub async fn processors(&self, profile: &str) -> Option<(u32, Duration)> {
        let known = self.get().await;
        known.profiles.get(profile).map(|info| (info.millicpus, Duration::from_millis(info.wall_ms)))
    }

    /// The profiles; none if the supervisor never told any, and those of its last answer while it is away. Who asks while
    /// another does waits for the same answer.
    pub async fn get(&self) -> Arc<Known> {
        let mut last = self.last.lock().await;
        match &*last {
            Some(last) if last.asked.elapsed() < GOOD_FOR => {}
            _ => self.ask(&mut last).await,
        }
        last.as_ref().map(|last| Arc::clone(&last.known)).unwrap_or_default()
    }

    /// The profiles as they are after this moment, for a request of this tenant, which is held for them while the supervisor is
    /// away; `None` if it stays away.
    pub async fn after(&self, moment: Instant, tenant: Tenant) -> Option<Arc<Known>> {
        let mut held = None;
        loop {
            let found = self.supervisor.found();
            {
                let mut last = self.last.lock().await;
                if last.as_ref().is_none_or(|last| last.since < moment) {
                    self.ask(&mut last).await;
                }
                if let Some(last) = last.as_ref().filter(|last| last.since >= moment) {
                    return Some(Arc::clone(&last.known));
                }
            }
            if !self.supervisor.hold(&mut held, tenant, found).await {
                return None;
            }
        }
    }

    /// Asks, and reads an answer that is not the one before.
    async fn ask(&self, last: &mut Option<Last>) {
        let now = Instant::now();
        let told = self.supervisor.profiles().await;
        match (told, last) {
            (Some(text), Some(last)) if last.text == text => (last.asked, last.since) = (now, now),
            (Some(text), last) => match (read(text).await, last) {
                (Some((text, known)), last) => *last = Some(Last { asked: now, since: now, text, known }),
                (None, Some(last)) => last.asked = now,
                (None, None) => {}
            },
            (None, Some(last)) => last.asked = now,
            (None, None) => {}
        }
    }
}

/// Reads an answer; beside the event loop, if it is a large one.
async fn read(text: Vec<u8>) -> Option<(Vec<u8>, Arc<Known>)> {
    let is_small = text.len() < LARGE;
    let read = move || {
        let profiles: Profiles = serde_json::from_slice(&text).ok()?;
        let catalog = Catalog::of(&profiles);
        Some((text, Arc::new(Known { profiles, catalog })))
    };
    if is_small { read() } else { tokio::task::spawn_blocking(read).await.expect("reading does not panic") }
}
