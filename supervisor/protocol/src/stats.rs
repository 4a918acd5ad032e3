//! What the supervisor tells of itself: numbers for the gateway's metrics.
//!
//! The only names in it are those of the policy's profiles. No request can add one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How busy the supervisor is, and how its profiles fare.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Stats {
    /// Jobs that may run at once.
    pub slots: u32,
    /// Jobs that run.
    pub busy: u32,
    /// Requests that wait for a slot.
    pub waiting: u32,
    /// Answers whose reader has not taken them whole.
    #[serde(default)]
    pub unread: u32,
    /// The bytes that these hold.
    #[serde(default)]
    pub unread_bytes: u64,
    /// Each profile of the policy in force.
    pub profiles: BTreeMap<String, ProfileStats>,
}

/// How a profile fares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ProfileStats {
    /// Children that wait for a request.
    pub parked: u32,
    /// How often its launcher had to be started again.
    pub launcher: Restarts,
    /// How often its zygote had to be started again.
    pub zygote: Restarts,
    /// What its jobs have cost.
    #[serde(default)]
    pub cost: Cost,
    /// How what its scripts import is kept warm, where the policy lets it be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm: Option<WarmStats>,
    /// The version of its interpreter, such as `3.11.2`, where that is Python.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_version: Option<String>,
}

/// How what scripts import, beside what the policy has imported for them, is kept warm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct WarmStats {
    /// Requests that were served by an interpreter that had imported what they were seen to ask for, or some of it.
    pub hits: u64,
    /// Requests that were not, although they asked for something.
    pub misses: u64,
    /// Zygotes that were let go of, by why: `memory`, `idle`, `died`.
    pub evictions: BTreeMap<String, u64>,
    /// Sets of imports that could not be kept, by why: `failed`, `memory`.
    pub refused: BTreeMap<String, u64>,
    /// What each zygote has for itself, the profile's own first.
    pub zygotes: Vec<ImportedStats>,
}

/// What jobs have cost of CPU time, in microseconds: all of it together is what a job takes, its replacement's making
/// included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Cost {
    /// How many have ended.
    pub jobs: u64,
    /// What they have used themselves.
    pub run: u64,
    /// What was used in their sandboxes before their requests came.
    pub ahead: u64,
    /// What the launcher and the zygotes have used that there are now.
    pub forkers: u64,
}

/// A zygote and what it takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ImportedStats {
    /// What it has imported beside the profile's own: names of the operator's packages and of modules in them.
    pub imports: String,
    /// Memory that it shares with no other zygote, in bytes.
    pub bytes: u64,
    /// Its children that wait for a request.
    pub parked: u32,
}

/// How often something was started again since the supervisor's start, by why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Restarts {
    /// It died.
    pub died: u64,
    /// It did not answer and was ended.
    pub hung: u64,
    /// A reload changed its profile.
    pub reload: u64,
    /// Its time was up.
    pub renewed: u64,
}

impl Restarts {
    /// Each count with its reason's name.
    #[must_use]
    pub fn by_reason(&self) -> [(&'static str, u64); 4] {
        [("died", self.died), ("hung", self.hung), ("reload", self.reload), ("renewed", self.renewed)]
    }
}
