//! What the engine begins with: descriptors, and a text that names them.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::PathBuf;

use cloister_sandbox::cgroup::{Layout, Tree};
use cloister_sandbox::devices::Devices;
use cloister_sandbox::spec::IdRange;
use cloister_terms::Policy;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use serde::{Deserialize, Serialize};

use crate::host::Host;
use crate::library::Library;
use crate::powers::{Monitor, Powers};
use crate::reader::{NoPolicy, taken_in};

/// The variable that names the text's descriptor.
pub(crate) const VARIABLE: &str = "CLOISTER_BEGIN";

/// What was made for the engine.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Made {
    pub(crate) ids: IdRange,
    pub(crate) group: String,
    pub(crate) layout: Layout,
    /// Where device nodes are, and how many sets.
    pub(crate) devices: Option<(PathBuf, u32)>,
    /// Whether the socket was made, and is not a service manager's.
    pub(crate) owns_socket: bool,
    pub(crate) listener: RawFd,
    pub(crate) watched: Option<RawFd>,
    /// To the service manager.
    pub(crate) manager: Option<RawFd>,
    /// The native library of interpreters, if it is there.
    pub(crate) library: Option<RawFd>,
    /// What the policy comes to.
    pub(crate) answer: RawFd,
    /// To the monitor: for what is soon done, and for policies.
    pub(crate) lines: [RawFd; 2],
    /// Ends with the monitor.
    pub(crate) life: RawFd,
    /// What keeps its ids and names from others for as long as it is open.
    pub(crate) holds: Vec<RawFd>,
}

impl Made {
    /// As a file without a name that an `execve(2)` leaves open.
    pub(crate) fn file(&self) -> io::Result<File> {
        let mut file = File::from(memfd_create("begin", MemfdFlags::empty())?);
        file.write_all(&serde_json::to_vec(self)?)?;
        file.rewind()?;
        Ok(file)
    }
}

/// Leaves a descriptor open for the program that this process becomes.
pub(crate) fn hand_on(fd: BorrowedFd<'_>) -> io::Result<RawFd> {
    fcntl_setfd(fd, fcntl_getfd(fd)? - FdFlags::CLOEXEC)?;
    Ok(fd.as_raw_fd())
}

/// What the engine begins with.
#[derive(Debug)]
pub struct Begin {
    /// What was made for it.
    pub host: Host,
    /// The policy.
    pub policy: Policy,
    /// Its socket.
    pub listener: UnixListener,
    /// Whether nobody holds that for its next life.
    pub owns_socket: bool,
    /// The watch over the policy's directory, if it was asked for: `inotify(7)`.
    pub watched: Option<OwnedFd>,
    /// To the service manager, if there is one.
    pub manager: Option<UnixDatagram>,
    /// Can be read from when the monitor has ended.
    pub life: OwnedFd,
}

/// This is not how an engine begins.
#[derive(Debug, thiserror::Error)]
pub enum NotBegun {
    /// Nobody has made anything for it.
    #[error("this is started by cloister-supervisor, which makes all that it needs: use that")]
    Alone,
    /// What was made is not what it knows.
    #[error("begin where cloister-supervisor has left off: {0}: are both programs of one version?")]
    Garbled(#[from] io::Error),
    /// There is no policy.
    #[error(transparent)]
    Policy(#[from] NoPolicy),
}

impl Begin {
    /// Takes what this program was started with. Once, and first of all.
    ///
    /// # Errors
    /// [`NotBegun`].
    pub fn take() -> Result<Self, NotBegun> {
        let told = std::env::var(VARIABLE).ok().and_then(|number| number.parse().ok()).ok_or(NotBegun::Alone)?;
        let mut text = Vec::new();
        File::from(own(told)?).read_to_end(&mut text)?;
        let made: Made = serde_json::from_slice(&text).map_err(io::Error::from)?;
        let holds = made.holds.into_iter().map(own).collect::<io::Result<_>>()?;
        let [line, policies] = made.lines;
        let powers = Powers::Monitor(Monitor::new([own(line)?, own(policies)?], holds));
        let answer = own(made.answer)?;
        let devices = made.devices.map(|(directory, sets)| Devices::of(directory, sets));
        let library = Library::of(made.library.map(own).transpose()?);
        let tree = |doors| Tree::of(made.layout, made.group, doors);
        let host = Host::of_engine(made.ids, tree, devices, library, powers);
        // From here on what was made is removed, whatever comes.
        Ok(Self {
            host,
            policy: taken_in(answer)?,
            listener: own(made.listener)?.into(),
            owns_socket: made.owns_socket,
            watched: made.watched.map(own).transpose()?,
            manager: made.manager.map(own).transpose()?.map(UnixDatagram::from),
            life: own(made.life)?,
        })
    }
}

/// Takes a descriptor that was left open for this program, and has it closed where another is started.
fn own(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: at the start of this program nothing else owns what was left open for it; each number is taken once.
    let owned = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl_setfd(&owned, fcntl_getfd(&owned)? | FdFlags::CLOEXEC)?;
    Ok(owned)
}
