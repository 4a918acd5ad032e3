//! What all profiles of a supervisor have in common.

use std::sync::Arc;

use cloister_sandbox::cgroup::Tree;
use cloister_sandbox::devices::Devices;
use cloister_sandbox::spec::IdRange;
use cloister_supervisor::library::Library;
use cloister_supervisor::powers::Powers;
use tokio::sync::Semaphore;

use crate::job::slots::Slots;
use crate::link::launcher::Guard;
use crate::pool::warmth::Warmth;

/// What all profiles of a supervisor have in common.
#[derive(Clone, Debug)]
pub struct Ground {
    /// The ids of launchers and jobs.
    pub ids: IdRange,
    /// What jobs run in.
    pub slots: Arc<Slots>,
    /// The control groups.
    pub tree: Arc<Tree>,
    /// How launchers are started.
    pub guard: Guard,
    /// The slots' own device nodes, if they have any.
    pub devices: Option<Arc<Devices>>,
    /// Whether this process left its jobs what they need for a loopback network.
    pub loopback: bool,
    /// How many interpreters start beside zygotes that stall: one a processor.
    pub beside: Arc<Semaphore>,
    /// What is kept for what scripts are seen to import.
    pub warmth: Arc<Warmth>,
    /// The native library of interpreters.
    pub library: Arc<Library>,
    /// Who does what takes root. Last, for what was made goes with it.
    pub powers: Arc<Powers>,
}
