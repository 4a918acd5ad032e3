//! What a sandbox of an operator's own may lack, so that another layer is seen to hold alone, or a script is learned from.
//!
//! Nothing that a supervisor says can bring it about: a [`Spec`] has no word for it. It is the launcher's own, of a program
//! that starts itself as one that is weaker.

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use crate::spec::Spec;

/// What is lacking; nothing, unless it is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weaker {
    /// Layers that are left out.
    pub without: Vec<Layer>,
    /// Whether what the filter refuses is put to a recorder, who answers for it.
    pub recorded: bool,
    /// What a sandbox has of an environment that it should have nothing of.
    pub environment: Vec<String>,
}

/// What the build that tests the canary hands on to a zygote, which hears of its profile from the supervisor alone.
#[cfg(feature = "leave-out")]
mod handed {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

    use super::Weaker;
    use crate::error::{Context, Result};
    use crate::sys;

    /// Out of the way of all that a zygote is given.
    const PLACE: RawFd = 900;

    impl Weaker {
        /// Puts it where the program that this process is about to become finds it.
        pub(crate) fn hand_on(&self) -> Result<()> {
            let (theirs, mut ours) = std::io::pipe().doing(|| "pipe")?;
            ours.write_all(&serde_json::to_vec(self).expect("plain data is always JSON"))
                .doing(|| "write to a pipe")?;
            // SAFETY: this process is about to exec; what lay there is not used again.
            unsafe { sys::place_fd(theirs.as_raw_fd(), PLACE) }.doing(|| "dup2 to 900")
        }

        /// What was handed to this process.
        ///
        /// # Errors
        /// The call that failed.
        pub fn handed_on() -> Result<Self> {
            let mut text = Vec::new();
            // SAFETY: the launcher put it there for this, and nothing else owns it.
            let mut place = File::from(unsafe { OwnedFd::from_raw_fd(PLACE) });
            place.read_to_end(&mut text).doing(|| "read from a pipe")?;
            Ok(serde_json::from_slice(&text).unwrap_or_default())
        }
    }
}

/// A profile as it is carried out: what a launcher was told, less what is lacking here.
#[derive(Debug)]
pub struct Plan {
    spec: Spec,
    weaker: Weaker,
}

/// A layer that can be left out: the first four by a diagnostic run, behind which others hold; the rest by the build
/// that tests the canary alone (feature `leave-out`), and by no other whatever it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// The system call filter.
    Seccomp,
    /// The Landlock ruleset.
    Landlock,
    /// The limit of zero on further user namespaces.
    UsernsLimit,
    /// Dropping of the capabilities that a user namespace's creator has in it.
    Capabilities,
    /// A job's own user namespace, with its limit and its drop of capabilities.
    UserNamespace,
    /// A cell's own PID namespace.
    PidNamespace,
    /// An IPC namespace of a launcher's own, and of a cell's.
    IpcNamespace,
    /// A UTS namespace of a launcher's own, and of a cell's.
    UtsNamespace,
    /// A network namespace of a launcher's own, and of a cell's.
    NetworkNamespace,
    /// A job's own cgroup namespace.
    CgroupNamespace,
    /// That a root holds nothing of the host: its `/var` appears.
    HostTree,
    /// That a cell's root is read-only.
    ReadOnlyRoot,
    /// That what is mounted is read-only.
    ReadOnlyRuntime,
    /// That `/proc` is the processes' part alone.
    ProcSubset,
    /// `PR_SET_NO_NEW_PRIVS`.
    NoNewPrivileges,
    /// That a job is not dumpable.
    NotDumpable,
    /// Limits of a process.
    Rlimits,
    /// Closing of descriptors.
    Descriptors,
    /// That nothing of the supervisor's environment is in a job's.
    Environment,
    /// The supervisor's own confinement, part of which its jobs inherit.
    Confinement,
}

impl Plan {
    /// The whole of a profile.
    #[must_use]
    pub fn whole(spec: Spec) -> Self {
        Self::less(spec, Weaker::default())
    }

    /// Less than a profile.
    #[must_use]
    pub fn less(spec: Spec, weaker: Weaker) -> Self {
        Self { spec, weaker }
    }

    /// What is lacking.
    pub(crate) fn weaker(&self) -> &Weaker {
        &self.weaker
    }

    /// Whether a layer is left out, which only some can be outside of the build that tests the canary.
    pub(crate) fn leaves_out(&self, layer: Layer) -> bool {
        let diagnostic = matches!(layer, Layer::Seccomp | Layer::Landlock | Layer::UsernsLimit | Layer::Capabilities);
        (diagnostic || cfg!(feature = "leave-out")) && self.weaker.without.contains(&layer)
    }

    /// Of these `CLONE_NEW*` flags those that are not left out.
    pub(crate) fn namespaces(&self, flags: libc::c_int) -> libc::c_int {
        let left_out = [
            (Layer::PidNamespace, libc::CLONE_NEWPID),
            (Layer::IpcNamespace, libc::CLONE_NEWIPC),
            (Layer::UtsNamespace, libc::CLONE_NEWUTS),
            (Layer::NetworkNamespace, libc::CLONE_NEWNET),
        ];
        left_out
            .iter()
            .filter(|(layer, _)| self.leaves_out(*layer))
            .fold(flags, |flags, (_, left_out)| flags & !left_out)
    }
}

impl Deref for Plan {
    type Target = Spec;

    fn deref(&self) -> &Spec {
        &self.spec
    }
}
