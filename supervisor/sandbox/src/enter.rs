//! What a job's process does to itself before it may run a line of untrusted code. A cold start and
//! a child forked from a warm interpreter both come through here; nothing else confines a job.
//!
//! The order matters: each step needs a power that a later one takes away.

use std::os::fd::OwnedFd;
use std::path::Path;

use caps::Capability;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{chdir, setsid};
use seccompiler::BpfProgram;

use crate::error::{Context, Result};
use crate::sealed::{LIBRARY, ToLoad};
use crate::seccomp::Halves;
use crate::spec::{Slot, Spec};
use crate::weaker::{Layer, Plan};
use crate::wire::Span;
use crate::{credentials, landlock, limits, root, seccomp, sys};

/// A profile's confinement, worked out once and applied to every job of it.
pub struct Confinement {
    plan: Plan,
    filter: Filter,
    capabilities: Vec<Capability>,
}

/// The filter of its jobs.
enum Filter {
    /// As one, which asks a recorder.
    Recorded(BpfProgram),
    /// In two, of which the first may be in force by now.
    Halves {
        /// Both.
        halves: Halves,
        /// Whether the first is.
        is_ahead: bool,
    },
}

/// The descriptors of a job, at these numbers: standard input, output, error, the result pipe and the pipe of what its calls of
/// tools return.
pub type JobFds = [OwnedFd; 5];

impl Confinement {
    /// Compiles the filter, and finds out what capabilities there are.
    ///
    /// # Errors
    /// The step that failed.
    pub fn prepare(plan: Plan) -> Result<Self> {
        let filter = if plan.weaker().recorded {
            Filter::Recorded(seccomp::compile_recorded(&plan)?)
        } else {
            Filter::Halves { halves: Halves::new(&plan)?, is_ahead: false }
        };
        let capabilities = credentials::known_capabilities();
        Ok(Self { plan, filter, capabilities })
    }

    /// The profile, as it is carried out.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Confines this process as the slot's job in the given cell. On success it has descriptors 0 to
    /// 4 and no others, but for what an interpreter loads.
    ///
    /// # Errors
    /// The step that failed; the process must then end, for it is half confined.
    pub fn enter(&self, (slot, span): (Slot, Span), cell: &OwnedFd, to_load: Option<ToLoad<'_>>) -> Result<()> {
        let spec = &self.plan;
        let leaves_out = |layer| spec.leaves_out(layer);

        // The cell's namespaces; this brings its root and working directory with it. The PID
        // namespace was joined by being forked into it.
        let namespaces =
            CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWNET;
        let namespaces = CloneFlags::from_bits_truncate(spec.namespaces(namespaces.bits()));
        setns(cell, namespaces).doing(|| "setns into the cell")?;
        // Only now, in its cgroup, does the process make that the root of what it sees.
        if !leaves_out(Layer::CgroupNamespace) {
            unshare(CloneFlags::CLONE_NEWCGROUP).doing(|| "unshare CLONE_NEWCGROUP")?;
        }
        setsid().doing(|| "setsid")?;
        umask(Mode::from_bits_truncate(0o077));
        if !leaves_out(Layer::Rlimits) {
            limits::apply(spec, span)?;
        }

        let alone = !leaves_out(Layer::UserNamespace);
        if alone {
            credentials::enter_user_namespace(cell)?;
        } else {
            credentials::take_id(slot)?;
        }
        // As the job, which may not go everywhere that its launcher may.
        make_directory(&spec.out)?;
        go_to(spec, &spec.working_directory)?;
        credentials::leave_keyrings()?;
        if alone && !leaves_out(Layer::Capabilities) {
            credentials::drop_capabilities(&self.capabilities)?;
        }
        if !leaves_out(Layer::NoNewPrivileges) {
            credentials::forgo_new_privileges()?;
        }
        if !leaves_out(Layer::NotDumpable) {
            credentials::close_to_peers()?;
        }

        // Landlock opens the paths it speaks of, so it comes before the last descriptors are closed.
        if !leaves_out(Layer::Landlock) {
            let writable: Vec<_> = spec.writable().map(|(path, _)| path).collect();
            landlock::restrict(spec, &root::read_only_paths(spec), &writable)?;
        }
        if !leaves_out(Layer::Rlimits) {
            limits::apply_to_files(spec)?;
        }
        self.close_others(to_load)?;
        // Last, for it refuses nearly all of the calls above.
        self.apply_filter()
    }

    fn apply_filter(&self) -> Result<()> {
        match &self.filter {
            _ if self.plan.leaves_out(Layer::Seccomp) => Ok(()),
            Filter::Recorded(whole) => seccomp::apply_recorded(whole),
            Filter::Halves { halves, is_ahead } => {
                if !is_ahead {
                    halves.apply_ahead()?;
                }
                halves.apply_last()
            }
        }
    }

    /// Puts of the filter in force what a job has in common with this process, from which it is forked.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn begin(&mut self) -> Result<()> {
        match &mut self.filter {
            Filter::Halves { halves, is_ahead } if !self.plan.leaves_out(Layer::Seccomp) => {
                halves.apply_ahead()?;
                *is_ahead = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// Closes all but a job's descriptors, and what its interpreter loads, which is put in its place.
    fn close_others(&self, to_load: Option<ToLoad<'_>>) -> Result<()> {
        let first = to_load.map_or(Ok(LIBRARY), |to_load| {
            // SAFETY: the objects that own descriptors but the first five are not used after this in the process, which
            // execs.
            unsafe { to_load.place() }.doing(|| "dup2 what an interpreter loads")
        })?;
        if !self.plan.leaves_out(Layer::Descriptors) {
            // SAFETY: as above, or the process runs an interpreter that never heard of them.
            unsafe { sys::close_from(first) }.doing(|| format!("close_range {first}"))?;
        }
        Ok(())
    }
}

/// Makes the working directory, where that is on a file system of the job's own, and goes there.
fn go_to(spec: &Spec, directory: &Path) -> Result<()> {
    if spec.own_file_system(directory).is_some() {
        make_directory(directory)?;
    }
    chdir(directory).doing(|| format!("chdir {}", directory.display()))
}

fn make_directory(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).doing(|| format!("mkdir {}", path.display()))
}

/// Puts a job's descriptors at 0 to 4 and forgets the originals, which [`Confinement::enter`] closes.
///
/// # Errors
/// The call that failed.
pub fn place_fds(fds: JobFds) -> Result<()> {
    // Out of the way first, should one lie where another belongs.
    let raised = fds
        .iter()
        .map(|fd| nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_DUPFD_CLOEXEC(16)).doing(|| "fcntl F_DUPFD_CLOEXEC"))
        .collect::<Result<Vec<_>>>()?;
    for (number, fd) in (0..).zip(raised) {
        // SAFETY: 0 to 4 are this process's standard descriptors, its control socket, and what keeps the numbers taken, which
        // a job's process has no use for and whose owners it never drops.
        unsafe { sys::place_fd(fd, number) }.doing(|| format!("dup2 to {number}"))?;
    }
    fds.into_iter().for_each(std::mem::forget);
    Ok(())
}
