//! What scripts find under the profiles in force, kept so that nobody's asking for it is much work for the supervisor.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cloister_protocol::{Profiles, Tenant};
use tokio::sync::Mutex;

use crate::needs::catalog::Catalog;
use crate::upstream::supervisor::Supervisor;

/// How long an answer does. A reload is told of at once by what runs jobs, and by this soon after.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// How long lies between two questions at least, whoever asks.
const BETWEEN: Duration = Duration::from_millis(100);

/// From this size on an answer would be read for so long that others wait.
const LARGE: usize = 128 * 1024;

/// What the supervisor said last.
#[derive(Debug)]
pub struct KnownProfiles {
    supervisor: Supervisor,
    last: Mutex<Last>,
}

/// An answer, and what was read in it.
#[derive(Debug, Default)]
struct Last {
    /// When it was last asked for, whether there was an answer or not.
    asked: Option<Instant>,
    /// When this was asked for.
    since: Option<Instant>,
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
        Self { supervisor, last: Mutex::default() }
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
        if last.asked.is_none_or(|asked| asked.elapsed() >= GOOD_FOR) {
            self.ask(&mut last).await;
        }
        Arc::clone(&last.known)
    }

    /// The profiles as they are after this moment, for a request of this tenant, which is held for them while the supervisor is
    /// away; `None` if it stays away.
    pub async fn after(&self, moment: Instant, tenant: Tenant) -> Option<Arc<Known>> {
        let (mut held, mut begun) = (None, moment);
        loop {
            let found = self.supervisor.found();
            self.not_too_often().await;
            {
                let mut last = self.last.lock().await;
                // One asks for all who wait meanwhile, also where there is no answer.
                if last.asked.is_none_or(|asked| asked < begun) {
                    self.ask(&mut last).await;
                }
                if last.since.is_some_and(|since| since >= moment) {
                    return Some(Arc::clone(&last.known));
                }
            }
            if !self.supervisor.hold(&mut held, tenant, found).await {
                return None;
            }
            begun = Instant::now();
        }
    }

    /// Waits until it may be asked again: what requests need that nobody has costs the supervisor no more than so many questions.
    async fn not_too_often(&self) {
        let asked = self.last.lock().await.asked;
        if let Some(left) = asked.and_then(|asked| BETWEEN.checked_sub(asked.elapsed())) {
            tokio::time::sleep(left).await;
        }
    }

    /// Asks, and reads an answer that is not the one before. If it is given up meanwhile, nobody has asked.
    async fn ask(&self, last: &mut Last) {
        let now = Instant::now();
        let told = self.supervisor.profiles().await;
        let is_known = |text: &Vec<u8>| last.since.is_some() && *text == last.text;
        let read = match told {
            Some(text) if is_known(&text) => Some((text, Arc::clone(&last.known))),
            Some(text) => read(text).await,
            None => None,
        };
        last.asked = Some(now);
        if let Some((text, known)) = read {
            (last.since, last.text, last.known) = (Some(now), text, known);
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
