//! Namespaces that a slot keeps from job to job, because a job can leave nothing in them: those of network and of IPC, and that of mounts
//! which its cells have copies of.
//!
//! Making one costs more than most of a cell, and so does its end: `copy_ipcs` in the kernel's `ipc/namespace.c` makes a file
//! system for each, and each file system that goes has all processors waited for. Two jobs never share one at a time, and one in which
//! sockets or objects of System V are found is not used again. What the kept root holds is read-only, and no job ever is in it. But a lock
//! on a file outlives its job for as long as the file is on its way between sockets that nobody holds, of which the kernel is rid some
//! time later: a root with one is not used again, and devices, which cannot be made again, are waited for.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
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
use crate::spec::Slot;
use crate::weaker::{Layer, Plan};
use crate::{cell_root, loopback, sys};

/// The calls that make something in an IPC namespace, all of which a policy has to name: `ipc_namespaces(7)`.
const MAKERS: [i64; 4] = [libc::SYS_mq_open, libc::SYS_msgget, libc::SYS_semget, libc::SYS_shmget];

/// How long the devices of a slot are waited for: the kernel takes milliseconds.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// The slots' namespaces, made when first needed, and the launcher's own, in which it stays.
pub struct Kept {
    own: [OwnedFd; 3],
    networks: HashMap<Slot, OwnedFd>,
    ipcs: HashMap<Slot, OwnedFd>,
    roots: HashMap<Slot, Root>,
    /// What of the slots' own devices a job may open.
    devices: HashMap<Slot, Vec<File>>,
    keeps_ipc: bool,
    keeps_roots: bool,
    /// Whether this process is among the mounts of a root that it makes.
    is_away: bool,
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
        let own = [open_namespace("net")?, open_namespace("ipc")?, open_namespace("mnt")?];
        let (networks, ipcs, roots, devices) = Default::default();
        let (keeps_ipc, keeps_roots) = (keeps_ipc(plan), cell_root::can_be_kept(plan, trees));
        Ok(Self { own, networks, ipcs, roots, devices, keeps_ipc, keeps_roots, is_away: false })
    }

    /// The mounts that the slot's cells begin with, if they are kept.
    ///
    /// # Errors
    /// The step that failed. This process may be among them then.
    pub fn root(&mut self, plan: &Plan, trees: &[Tree], slot: Slot) -> Result<Option<BorrowedFd<'_>>> {
        self.wait_for_devices(plan, slot)?;
        if !self.keeps_roots {
            return Ok(None);
        }
        if self.roots.get(&slot).is_none_or(|root| any_locked(&root.files)) {
            let path = "/proc/self/ns";
            let namespaces = File::open(path).doing(|| format!("open {path}"))?;
            unshare(CloneFlags::CLONE_NEWNS).doing(|| "unshare CLONE_NEWNS")?;
            self.is_away = true;
            let files = cell_root::enter_kept_root(plan, trees, slot)?;
            let mounts = openat(namespaces, "mnt", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
                .doing(|| "open the slot's mounts")?;
            self.come_back()?;
            self.roots.insert(slot, Root { mounts, files });
        }
        Ok(self.roots.get(&slot).map(|root| root.mounts.as_fd()))
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

    fn come_back(&mut self) -> Result<()> {
        setns(&self.own[2], CloneFlags::CLONE_NEWNS).doing(|| "setns the own mounts")?;
        self.is_away = false;
        Ok(())
    }

    /// Whether the slots' IPC namespaces are kept: where no job can make anything in one.
    #[must_use]
    pub fn keeps_ipc(&self) -> bool {
        self.keeps_ipc
    }

    /// Goes into the slot's, or into new ones where something is left in them.
    ///
    /// # Errors
    /// The call that failed. This process may be in one of them then.
    pub fn enter(&mut self, plan: &Plan, slot: Slot) -> Result<()> {
        if !plan.leaves_out(Layer::NetworkNamespace) {
            self.enter_network(plan.network, slot)?;
        }
        if self.keeps_ipc { self.enter_ipc(slot) } else { Ok(()) }
    }

    /// Comes back: neither a launcher nor a zygote that it starts later stays where a job is.
    ///
    /// # Errors
    /// The call that failed. This process must end then: it is where a job is, or will be.
    pub fn leave(&mut self, plan: &Plan) -> Result<()> {
        if self.is_away {
            self.come_back()?;
        }
        let [network, ipc, _] = &self.own;
        if !plan.leaves_out(Layer::NetworkNamespace) {
            setns(network, CloneFlags::CLONE_NEWNET).doing(|| "setns the own network")?;
        }
        if !self.keeps_ipc {
            return Ok(());
        }
        setns(ipc, CloneFlags::CLONE_NEWIPC).doing(|| "setns the own IPC namespace")
    }

    fn enter_network(&mut self, network: Network, slot: Slot) -> Result<()> {
        if network == Network::Loopback {
            // What a job leaves behind in one with an interface, such as ports that linger, is the next one's
            // to find, so that each gets a new one.
            unshare(CloneFlags::CLONE_NEWNET).doing(|| "unshare CLONE_NEWNET")?;
            return loopback::bring_up();
        }
        if let Some(network) = self.networks.get(&slot) {
            setns(network, CloneFlags::CLONE_NEWNET).doing(|| "setns the slot's network")?;
            // Sockets that were sent over one another are held by no process and outlive their job until
            // the kernel sweeps: `net/unix/garbage.c`. Their names could be a message to the next.
            if !has_sockets()? {
                return Ok(());
            }
        }
        unshare(CloneFlags::CLONE_NEWNET).doing(|| "unshare CLONE_NEWNET")?;
        self.networks.insert(slot, open_namespace("net")?);
        Ok(())
    }

    fn enter_ipc(&mut self, slot: Slot) -> Result<()> {
        if let Some(ipc) = self.ipcs.get(&slot) {
            setns(ipc, CloneFlags::CLONE_NEWIPC).doing(|| "setns the slot's IPC namespace")?;
            // None can be made; what is made all the same is nobody else's. Queues of POSIX nobody can count.
            if sys::system_v_objects().doing(|| "count System V objects")? == 0 {
                return Ok(());
            }
        }
        unshare(CloneFlags::CLONE_NEWIPC).doing(|| "unshare CLONE_NEWIPC")?;
        self.ipcs.insert(slot, open_namespace("ipc")?);
        Ok(())
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

/// Whether there is a Unix socket in this process's network namespace, `proc_net(5)`.
fn has_sockets() -> Result<bool> {
    let path = "/proc/self/net/unix";
    // The first line is a heading of half as much, and what follows comes with it: seq_read_iter() in fs/seq_file.c.
    let mut listed = [0; 128];
    let read = File::open(path).and_then(|mut file| file.read(&mut listed)).doing(|| format!("read {path}"))?;
    Ok(listed[..read].split_inclusive(|&byte| byte == b'\n').nth(1).is_some())
}
