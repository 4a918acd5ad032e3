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
    /// The version of its interpreter, such as `3.11.2`, where that is Python.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_version: Option<String>,
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
