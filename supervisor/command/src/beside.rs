//! Ids of a tool's own, beside those of whatever is served.

use cloister_policy::Policy;

use cloister_supervisor::claim::{Claim, ClaimError};
use cloister_supervisor::needs::slot_count;

/// Ids for a sandbox of an operator's own, behind those that a supervisor of this policy uses and beside all that are in
/// use, and the policy with so many slots.
///
/// # Errors
/// When there are none.
pub fn stand_beside(policy: &mut Policy, slots: u32) -> Result<Claim, ClaimError> {
    let after = policy.supervisor.uid_base.0.saturating_add(policy.supervisor.uid_count);
    policy.supervisor.slots = slots;
    policy.supervisor.uid_count = slot_count(policy) + 2;
    let claim = Claim::first_free(after, policy.supervisor.uid_count)?;
    policy.supervisor.uid_base = claim.ids().base;
    Ok(claim)
}
