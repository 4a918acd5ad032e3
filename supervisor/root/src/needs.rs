//! What a policy needs of its host: ids, slots, a network.

use std::collections::BTreeMap;

use cloister_sandbox::spec::IdRange;
use cloister_terms::{Network, Policy, Profile, Warm};

/// How many children of what scripts import most are parked beside those of the policy, at most.
pub const MOST_PARKED: u32 = 64;

/// The host ids of a policy's launchers: root's, and one for each slot.
#[must_use]
pub fn id_range(policy: &Policy) -> IdRange {
    IdRange { base: policy.supervisor.uid_base, count: policy.supervisor.uid_count }
}

/// How many slots a policy asks for: one for each job that may run, and one for each parked child.
#[must_use]
pub fn slot_count(policy: &Policy) -> u32 {
    policy.supervisor.slots + parked(&policy.profiles)
}

/// How many slots there may be beside these, for children of what scripts are seen to import: docs/warm-pool.md.
#[must_use]
pub fn slots_beside(policy: &Policy) -> u32 {
    let may = |warm: &Warm| warm.memory.is_none_or(|memory| memory.0 > 0);
    let grows = |of: &Profile| of.warm.as_ref().is_some_and(may) && !policy.runtimes[&of.runtime].modules.is_empty();
    if policy.profiles.values().any(grows) { MOST_PARKED } else { 0 }
}

/// How many slots there may be beside these, for sessions.
#[must_use]
pub fn slots_of_sessions(policy: &Policy) -> u32 {
    let any = policy.profiles.values().any(|of| of.sessions.most > 0);
    if any { policy.supervisor.sessions } else { 0 }
}

/// Whether any profile has a loopback network, on which the supervisor's own confinement depends.
#[must_use]
pub fn has_loopback(policy: &Policy) -> bool {
    policy.profiles.values().any(|profile| profile.network == Network::Loopback)
}

/// How many children these profiles keep parked.
#[must_use]
pub fn parked(profiles: &BTreeMap<String, Profile>) -> u32 {
    profiles.values().filter_map(|profile| profile.warm.as_ref()).map(|warm| warm.parked).sum()
}
