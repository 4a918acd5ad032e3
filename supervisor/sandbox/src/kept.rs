//! Namespaces that a slot keeps from job to job, because a job can leave nothing in them: those of network and of IPC.
//!
//! Making one costs more than most of a cell, and so does its end: `copy_ipcs` in the kernel's `ipc/namespace.c` makes a file
//! system for each. Two jobs never share one at a time, and one in which sockets or objects of System V are found is not used again.

use std::collections::HashMap;
use std::io::Read;
use std::os::fd::OwnedFd;

use cloister_terms::Network;
use nix::sched::{CloneFlags, setns, unshare};

use crate::error::{Context, Result};
use crate::forker::open_namespace;
use crate::spec::Slot;
use crate::weaker::{Layer, Plan};
use crate::{loopback, sys};

/// The calls that make something in an IPC namespace, all of which a policy has to name: `ipc_namespaces(7)`.
const MAKERS: [i64; 4] = [libc::SYS_mq_open, libc::SYS_msgget, libc::SYS_semget, libc::SYS_shmget];

/// The slots' namespaces, made when first needed, and the launcher's own, in which it stays.
pub struct Kept {
    own: [OwnedFd; 2],
    networks: HashMap<Slot, OwnedFd>,
    ipcs: HashMap<Slot, OwnedFd>,
    keeps_ipc: bool,
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
    pub fn new(plan: &Plan) -> Result<Self> {
        let own = [open_namespace("net")?, open_namespace("ipc")?];
        Ok(Self { own, networks: HashMap::new(), ipcs: HashMap::new(), keeps_ipc: keeps_ipc(plan) })
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
    pub fn leave(&self, plan: &Plan) -> Result<()> {
        let [network, ipc] = &self.own;
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

/// Whether there is a Unix socket in this process's network namespace, `proc_net(5)`.
fn has_sockets() -> Result<bool> {
    let path = "/proc/self/net/unix";
    // The first line is a heading of half as much, and what follows comes with it: seq_read_iter() in fs/seq_file.c.
    let mut listed = [0; 128];
    let read =
        std::fs::File::open(path).and_then(|mut file| file.read(&mut listed)).doing(|| format!("read {path}"))?;
    Ok(listed[..read].split_inclusive(|&byte| byte == b'\n').nth(1).is_some())
}
