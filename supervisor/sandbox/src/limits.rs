//! Resource limits of each process, `setrlimit(2)`. Soft and hard alike, so none can be raised.

use crate::error::{Context, Result};
use crate::spec::Spec;
use crate::sys;

/// Applies the limits to this process; children inherit them.
///
/// # Errors
/// The limit that the kernel refused.
pub fn apply(spec: &Spec) -> Result<()> {
    for bound in spec.rlimits.bounds() {
        sys::limit(bound.resource, bound.most).doing(|| format!("setrlimit {} to {}", bound.name, bound.most))?;
    }
    let seconds = spec.cpu_seconds;
    sys::limit(libc::RLIMIT_CPU, seconds).doing(|| format!("setrlimit RLIMIT_CPU to {seconds}"))
}
