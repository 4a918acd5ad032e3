//! The slots' own device nodes: how many are made, and what it means where none can be.

use cloister_sandbox::devices::{Devices, Made};
use cloister_terms::Policy;

use crate::needs::{slot_count, slots_beside, slots_of_sessions};

/// Sets beside those of twice the slots, which a reload may need for a while: for slots that are lost.
const SPARE: u32 = 64;

/// Makes them under a control group's name, as long as this process may: before it is confined.
///
/// # Errors
/// When another process has the name.
pub fn make(policy: &Policy, group: &str) -> cloister_sandbox::Result<Option<Devices>> {
    match Devices::make(group, sets(policy))? {
        Made::Own(devices) => Ok(Some(devices)),
        Made::Hosts(why) => {
            tracing::warn!(
                "jobs share the host's device nodes, so that locks on these reach other jobs and the host: start it with CAP_MKNOD and a /dev that can be written to ({why})"
            );
            Ok(None)
        }
    }
}

fn sets(policy: &Policy) -> u32 {
    let wanted =
        slot_count(policy).saturating_mul(2).saturating_add(SPARE + slots_beside(policy) + slots_of_sessions(policy));
    // No slot has the id of the launchers.
    wanted.min(policy.supervisor.uid_count.saturating_sub(1)).max(1)
}
