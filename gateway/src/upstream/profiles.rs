//! What scripts find under the profiles in force, kept so that nobody's asking for it is much work for the supervisor.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cloister_protocol::Profiles;
use tokio::sync::Mutex;

use crate::upstream::supervisor::Supervisor;

/// How long an answer does. A reload is told of at once by what runs jobs, and by this soon after.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// What the supervisor said last.
#[derive(Debug)]
pub struct KnownProfiles {
    supervisor: Supervisor,
    last: Mutex<Option<(Instant, Arc<Profiles>)>>,
}

impl KnownProfiles {
    /// Nothing yet.
    pub fn new(supervisor: Supervisor) -> Self {
        Self { supervisor, last: Mutex::new(None) }
    }

    /// How many processors a job of this profile may use at once, in thousandths, and for how long; nothing if that is not
    /// known.
    pub async fn processors(&self, profile: &str) -> Option<(u32, Duration)> {
        self.get().await.get(profile).map(|info| (info.millicpus, Duration::from_millis(info.wall_ms)))
    }

    /// The profiles; none if the supervisor never told any, and those of its last answer while it is away. Who asks while
    /// another does waits for the same answer.
    pub async fn get(&self) -> Arc<Profiles> {
        let mut last = self.last.lock().await;
        if let Some((since, known)) = &*last
            && since.elapsed() < GOOD_FOR
        {
            return Arc::clone(known);
        }
        let known = match (self.supervisor.profiles().await, &*last) {
            (Some(told), _) => Arc::new(told),
            (None, Some((_, known))) => Arc::clone(known),
            (None, None) => Arc::default(),
        };
        *last = Some((Instant::now(), Arc::clone(&known)));
        known
    }
}
