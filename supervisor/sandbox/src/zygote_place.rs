//! What a zygote sees while it imports: as much as a job would, and not the launcher's root as it is.
//!
//! Mounts of its own, in a mount namespace that ends with it. Imports may write to a small `/tmp` and `/dev/shm`, for some ask
//! for a directory to keep things in, or try a semaphore, and do without what they do not get. No job sees any of it,
//! nor another zygote, nor the next of this profile: a job's process leaves for its cell's mounts before it runs anything.

use std::path::Path;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::chdir;

use crate::error::{Context, Result};
use crate::mount::{self, NODEV, NOEXEC, NOSUID};
use crate::root;
use crate::spec::Spec;

/// What imports may write to each file system.
const SIZE: &str = "16m";

/// Enters it, in the process that is to become a zygote.
///
/// # Errors
/// The step that failed.
pub(crate) fn enter(spec: &Spec) -> Result<()> {
    own_files()?;
    // Its settings and counters are the host's: what an import finds out there, jobs would know.
    mount::attach(root::proc_of_processes()?, Path::new("/proc"))?;
    go_to_work(spec)
}

/// Leaves that of the zygote which this process was forked from for one of its own, in which nothing was written yet.
///
/// # Errors
/// The step that failed.
pub fn enter_beside(spec: &Spec) -> Result<()> {
    own_files()?;
    go_to_work(spec)
}

fn own_files() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).doing(|| "unshare CLONE_NEWNS")?;
    for own in ["/tmp", "/dev/shm"] {
        let options = [("size", SIZE.to_owned()), ("nr_inodes", "1024".to_owned()), ("mode", "0700".to_owned())];
        mount::attach(mount::new("tmpfs", &options, NOSUID | NODEV | NOEXEC)?, Path::new(own))?;
    }
    Ok(())
}

fn go_to_work(spec: &Spec) -> Result<()> {
    // Where it cannot be made here, as it lies on what only a cell has, another will do.
    let there = std::fs::create_dir_all(&spec.working_directory).is_ok();
    let directory = if there { &spec.working_directory } else { Path::new("/tmp") };
    chdir(directory).doing(|| format!("chdir {}", directory.display()))
}
