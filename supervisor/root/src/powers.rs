//! What takes root of the host: done by a process that is that, and asked of the [monitor](crate::monitor) by the engine.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use cloister_sandbox::cgroup::{Doors, Tree, open_door};
use cloister_sandbox::spec::Spec;
use cloister_sandbox::wire::exactly;
use cloister_sandbox::{Context, Error, Result, overlay, process};
use cloister_terms::Policy;
use nix::sys::socket::{getsockopt, sockopt};

use crate::asked::{Asked, Shown, Told};
use crate::line::Line;
use crate::reader::{NoPolicy, taken_in};

/// Who does it.
#[derive(Debug)]
pub enum Powers {
    /// This process itself.
    Own,
    /// The monitor.
    Monitor(Monitor),
}

/// The engine's hold of the monitor. When it is dropped, what was made at the start is removed.
#[derive(Debug)]
pub struct Monitor {
    line: Line,
    /// For what may take long.
    policies: Line,
    /// What keeps ids and names from others. Let go of last.
    _holds: Vec<OwnedFd>,
}

/// There is no other policy.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct NotRead {
    why: String,
    /// Whether it is the file that is at fault.
    pub is_of_the_file: bool,
}

impl NotRead {
    fn nobody() -> Self {
        Self { why: "only what serves reads its policy again".to_owned(), is_of_the_file: false }
    }
}

impl From<NoPolicy> for NotRead {
    fn from(why: NoPolicy) -> Self {
        Self { is_of_the_file: why.is_of_the_file(), why: why.to_string() }
    }
}

impl Monitor {
    pub(crate) fn new([line, policies]: [OwnedFd; 2], holds: Vec<OwnedFd>) -> Self {
        Self { line: Line::new(line), policies: Line::new(policies), _holds: holds }
    }

    /// Has the file by which processes enter a group opened: what [`Doors`] of the engine do.
    ///
    /// # Errors
    /// Why it was not.
    pub fn open_door(&self, path: &Path) -> Result<OwnedFd> {
        let [door] = exactly(self.done(&Asked::Door(path.to_owned()), None)?)?;
        Ok(door)
    }

    /// One that is gone already has nothing to remove it with.
    fn end(&self) {
        let _ = self.done(&Asked::End, None);
    }

    fn done(&self, asked: &Asked, carried: Option<BorrowedFd<'_>>) -> Result<Vec<OwnedFd>> {
        match self.line.ask(asked, carried)? {
            (Told::Done, fds) => Ok(fds),
            (other, _) => Err(unexpected(&other)),
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.end();
    }
}

fn unexpected(told: &Told) -> Error {
    match told {
        Told::Failed(why) => Error::Peer(why.clone()),
        other => Error::Peer(format!("the monitor has answered something else: {other:?}")),
    }
}

impl Powers {
    /// By whom files are opened by which processes enter groups.
    #[must_use]
    pub fn doors(powers: &Arc<Self>) -> Doors {
        let powers = Arc::clone(powers);
        Doors::by(move |path| match &*powers {
            Self::Own => open_door(path),
            Self::Monitor(monitor) => monitor.open_door(path),
        })
    }

    /// Has the policy's file read again. Takes its time: not for an event loop.
    ///
    /// # Errors
    /// Why there is no policy to put in force.
    pub fn policy(&self) -> std::result::Result<Policy, NotRead> {
        let Self::Monitor(monitor) = self else { return Err(NotRead::nobody()) };
        let failed = |error: Error| NotRead { why: format!("read the policy: {error}"), is_of_the_file: false };
        match monitor.policies.ask(&Asked::Policy, None).map_err(failed)? {
            (Told::Done, fds) => {
                let [answer] = exactly(fds).map_err(failed)?;
                Ok(taken_in(answer)?)
            }
            (Told::NoPolicy(why, is_of_the_file), _) => Err(NotRead { why, is_of_the_file }),
            (other, _) => Err(failed(unexpected(&other))),
        }
    }

    /// Has what was made at the start removed, all that used it being gone, and gives up what was asked for meanwhile.
    pub fn end(&self) {
        if let Self::Monitor(monitor) = self {
            monitor.end();
        }
    }

    /// Puts a process that this one has started, and what it will start, into the launchers' group.
    ///
    /// # Errors
    /// Why it is not there.
    pub fn adopt(&self, tree: &Tree, process: u32) -> Result<()> {
        match self {
            Self::Own => tree.adopt_launcher(process),
            Self::Monitor(monitor) => monitor.done(&Asked::Adopt(process), None).map(drop),
        }
    }

    /// Which host id is at the other end of a socket: `unix(7)`, `SO_PEERCRED`. In a user namespace the kernel tells only those
    /// that are mapped there.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn peer(&self, socket: BorrowedFd<'_>) -> Result<u32> {
        match self {
            Self::Own => peer_of(&socket).doing(|| "getsockopt SO_PEERCRED"),
            Self::Monitor(monitor) => match monitor.line.ask(&Asked::Peer, Some(socket))? {
                (Told::Peer(uid), _) => Ok(uid),
                (other, _) => Err(unexpected(&other)),
            },
        }
    }

    /// The interpreter of a profile, open, where only root may read it.
    ///
    /// # Errors
    /// When the monitor refuses it.
    pub fn interpreter(&self, spec: &Spec) -> Result<Option<OwnedFd>> {
        let Some(interpreter) = spec.command.first() else { return Ok(None) };
        match self {
            Self::Own => Ok(overlay::open_interpreter(Path::new(interpreter), &spec.mounts).map(OwnedFd::from)),
            Self::Monitor(monitor) => {
                let shown = Shown { interpreter: interpreter.into(), mounts: spec.mounts.clone() };
                Ok(monitor.done(&Asked::Interpreter(shown), None)?.pop())
            }
        }
    }

    /// Tells the kernel how ready to be to end a process of a job where memory is used up.
    ///
    /// # Errors
    /// The file that could not be written.
    pub fn set_order_of_going(&self, process: u32, adjustment: i16) -> Result<()> {
        match (process::set_order_of_going(process, adjustment), self) {
            // That of a process that was started is root's, and not its own: proc(5), "PR_SET_DUMPABLE".
            (Err(Error::Kernel { errno, .. }), Self::Monitor(monitor))
                if errno.raw_os_error() == Some(libc::EACCES) =>
            {
                monitor.done(&Asked::OrderOfGoing(process, adjustment), None).map(drop)
            }
            (done, _) => done,
        }
    }
}

/// Who is at the other end.
pub(crate) fn peer_of(socket: &impl AsFd) -> io::Result<u32> {
    Ok(getsockopt(socket, sockopt::PeerCredentials)?.uid())
}
