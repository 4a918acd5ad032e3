//! Namespaces that a slot keeps from job to job, because a job can leave nothing in them: those of users, network and IPC, and that of
//! mounts which its cells have copies of.
//!
//! Making one costs more than most of a cell, and so does its end: `copy_ipcs` in the kernel's `ipc/namespace.c` makes a file
//! system for each, and each file system that goes has all processors waited for. Two jobs never share one at a time, and one in which
//! sockets or objects of System V are found is not used again. What the kept root holds is read-only, and no job ever is in it. But a lock
//! on a file outlives its job for as long as the file is on its way between sockets that nobody holds, of which the kernel is rid some
//! time later: a root with one is not used again, and devices, which cannot be made again, are waited for.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use cloister_terms::Network;
use nix::fcntl::{OFlag, openat};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::Mode;
use rustix::fs::{FlockOperation, flock};

use crate::error::{Context, Error, Result};
use crate::forker::open_namespace;
use crate::overlay::Tree;
use crate::slot_namespaces::Namespaces;
use crate::spec::Slot;
use crate::weaker::{Layer, Plan};
use crate::{cell_root, user_namespace};

/// The calls that make something in an IPC namespace, all of which a policy has to name: `ipc_namespaces(7)`.
const MAKERS: [i64; 4] = [libc::SYS_mq_open, libc::SYS_msgget, libc::SYS_semget, libc::SYS_shmget];

/// How long the devices of a slot are waited for: the kernel takes milliseconds.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// The slots' namespaces, made when first needed, and the launcher's own, in which it stays.
pub struct Kept {
    own: [(OwnedFd, CloneFlags); 3],
    users: HashMap<Slot, OwnedFd>,
    networks: HashMap<Slot, Quiet>,
    ipcs: HashMap<Slot, OwnedFd>,
    roots: HashMap<Slot, Root>,
    /// What of the slots' own devices a job may open.
    devices: HashMap<Slot, Vec<File>>,
    keeps_ipc: bool,
    keeps_roots: bool,
    /// Whether this process is in one that it makes.
    is_away: bool,
}

/// A network namespace with no interface.
struct Quiet {
    network: OwnedFd,
    /// How many sockets there are in it, `proc_net(5)`: the list of them takes seven times as long, and has those of Unix alone.
    sockets: File,
}

/// What all cells of a slot begin with.
struct Root {
    mounts: OwnedFd,
    /// What of it a job may open.
    files: Vec<File>,
}

fn keeps_ipc(plan: &Plan) -> bool {
    let left_out = [Layer::IpcNamespace, Layer::Seccomp].into_iter().any(|layer| plan.leaves_out(layer));
    let may_make = |call: &i64| plan.syscalls.contains(call) || plan.call_rules.iter().any(|rule| rule.number == *call);
    !(left_out || plan.weaker().recorded || MAKERS.iter().any(may_make))
}

impl Kept {
    /// None as yet.
    ///
    /// # Errors
    /// When this process's own cannot be opened.
    pub fn new(plan: &Plan, trees: &[Tree]) -> Result<Self> {
        let own = [
            (open_namespace("net")?, CloneFlags::CLONE_NEWNET),
            (open_namespace("ipc")?, CloneFlags::CLONE_NEWIPC),
            (open_namespace("mnt")?, CloneFlags::CLONE_NEWNS),
        ];
        let (users, networks, ipcs, roots, devices) = Default::default();
        let (keeps_ipc, keeps_roots) = (keeps_ipc(plan), cell_root::can_be_kept(plan, trees));
        Ok(Self { own, users, networks, ipcs, roots, devices, keeps_ipc, keeps_roots, is_away: false })
    }

    /// Whether the slots' IPC namespaces are kept: where no job can make anything in one.
    #[must_use]
    pub fn keeps_ipc(&self) -> bool {
        self.keeps_ipc
    }

    /// The slot's, those that are not there yet or not fit to be used again made anew.
    ///
    /// # Errors
    /// The step that failed. This process may be in one of them then.
    ///
    /// # Safety
    /// The process has one thread.
    pub unsafe fn namespaces(&mut self, plan: &Plan, trees: &[Tree], slot: Slot) -> Result<Namespaces<'_>> {
        if !plan.leaves_out(Layer::UserNamespace) && !self.users.contains_key(&slot) {
            // SAFETY: as the caller vouches.
            let users = unsafe { user_namespace::make(slot, !plan.leaves_out(Layer::UsernsLimit)) }?;
            self.users.insert(slot, users);
        }
        if !plan.leaves_out(Layer::NetworkNamespace) && plan.network != Network::Loopback {
            self.have_network(slot)?;
        }
        if self.keeps_ipc && !self.ipcs.contains_key(&slot) {
            let ipc = self.make(CloneFlags::CLONE_NEWIPC, || open_namespace("ipc"))?;
            self.ipcs.insert(slot, ipc);
        }
        self.wait_for_devices(plan, slot)?;
        if self.keeps_roots {
            self.have_root(plan, trees, slot)?;
        }
        Ok(Namespaces {
            users: self.users.get(&slot).map(AsFd::as_fd),
            mounts: self.roots.get(&slot).map(|root| root.mounts.as_fd()),
            network: self.networks.get(&slot).map(|quiet| quiet.network.as_fd()),
            ipc: self.ipcs.get(&slot).map(AsFd::as_fd),
        })
    }

    fn have_network(&mut self, slot: Slot) -> Result<()> {
        // Sockets that were sent over one another are held by no process and outlive their job until
        // the kernel sweeps: `net/unix/garbage.c`. Their names could be a message to the next.
        if let Some(quiet) = self.networks.get(&slot)
            && !quiet.has_sockets()?
        {
            return Ok(());
        }
        let quiet = self.make(CloneFlags::CLONE_NEWNET, Quiet::open)?;
        self.networks.insert(slot, quiet);
        Ok(())
    }

    fn have_root(&mut self, plan: &Plan, trees: &[Tree], slot: Slot) -> Result<()> {
        if self.roots.get(&slot).is_some_and(|root| !any_locked(&root.files)) {
            return Ok(());
        }
        let path = "/proc/self/ns";
        let namespaces = File::open(path).doing(|| format!("open {path}"))?;
        let root = self.make(CloneFlags::CLONE_NEWNS, || {
            let files = cell_root::enter_kept_root(plan, trees, slot)?;
            let mounts = openat(namespaces, "mnt", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
                .doing(|| "open the slot's mounts")?;
            Ok(Root { mounts, files })
        })?;
        self.roots.insert(slot, root);
        Ok(())
    }

    /// Has the slot's next cell be in another IPC namespace.
    pub fn forget_ipc(&mut self, slot: Slot) {
        self.ipcs.remove(&slot);
    }

    /// Returns when no job holds a lock on the slot's devices any more.
    fn wait_for_devices(&mut self, plan: &Plan, slot: Slot) -> Result<()> {
        let devices = match self.devices.entry(slot) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(cell_root::open_devices(plan, slot)?),
        };
        for _ in 0..LONGEST_WAIT.as_millis() {
            if !any_locked(devices) {
                return Ok(());
            }
            // The end of any socket has the kernel look for those that nobody holds: `net/unix/garbage.c`.
            drop(UnixStream::pair());
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(Error::Short("a job before holds locks on the slot's devices still".to_owned()))
    }

    /// Makes a namespace and what is to be there, and comes back.
    fn make<T>(&mut self, kind: CloneFlags, furnish: impl FnOnce() -> Result<T>) -> Result<T> {
        self.is_away = true;
        unshare(kind).doing(|| format!("unshare {kind:?}"))?;
        let made = furnish()?;
        self.come_back(kind)?;
        self.is_away = false;
        Ok(made)
    }

    fn come_back(&self, kinds: CloneFlags) -> Result<()> {
        let of_kinds = self.own.iter().filter(|(_, kind)| kinds.contains(*kind));
        of_kinds.into_iter().try_for_each(|(own, kind)| setns(own, *kind).doing(|| format!("setns the own {kind:?}")))
    }

    /// Comes back from where something failed: neither a launcher nor a zygote that it starts later stays where a job is.
    ///
    /// # Errors
    /// The call that failed. This process must end then: it is where a job is, or will be.
    pub fn leave(&mut self) -> Result<()> {
        if self.is_away {
            self.come_back(CloneFlags::all())?;
            self.is_away = false;
        }
        Ok(())
    }
}

impl Quiet {
    /// That which this process is in.
    fn open() -> Result<Self> {
        let path = "/proc/self/net/sockstat";
        let sockets = File::open(path).doing(|| format!("open {path}"))?;
        Ok(Self { network: open_namespace("net")?, sockets })
    }

    /// Whether there is a socket in it.
    fn has_sockets(&self) -> Result<bool> {
        let mut told = [0; 64];
        let read = self.sockets.read_at(&mut told, 0).doing(|| "read how many sockets the slot's network has")?;
        Ok(!told[..read].starts_with(b"sockets: used 0\n"))
    }
}

/// Whether anybody holds a lock on any of them, `flock(2)`. No job is there that could take one, and those that `fcntl(2)` takes go with
/// their process.
fn any_locked(files: &[File]) -> bool {
    let take = |file, what| flock(file, what).is_ok();
    !files.iter().all(|file| {
        take(file, FlockOperation::NonBlockingLockExclusive) && take(file, FlockOperation::NonBlockingUnlock)
    })
}
