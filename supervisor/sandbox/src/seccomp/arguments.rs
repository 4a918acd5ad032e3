//! What the arguments of a call must be in any profile: the conditions that make a name safe to allow.

use cloister_terms::Network;
use seccompiler::{BackendError, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition};

use super::sockets;
use super::ways::{Ways, equal, without};

/// `CLONE_NEW*` of `clone(2)`, and `CLONE_PARENT`, which would hand a child to the process outside.
const CLONE_REFUSED: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_PARENT) as u64;

const CLONE_THREAD: u64 = libc::CLONE_THREAD as u64;

/// Terminal and descriptor queries that C libraries and Python make of any file. All other requests,
/// `TIOCSTI` and `TIOCLINUX` first among them, are refused.
///
/// `FICLONE` is there for what the kernel says of a copy that the file system cannot share: from 3.14 on Python
/// falls back on that, and on no refusal, in `Path.copy`.
const IOCTLS: [u64; 10] = [
    libc::TCGETS,
    libc::TIOCGWINSZ,
    libc::TIOCGPGRP,
    libc::FIONBIO,
    libc::FIONREAD,
    libc::FIOCLEX,
    libc::FIONCLEX,
    libc::FIOASYNC,
    libc::FICLONE,
    libc::FICLONERANGE,
];

/// `PR_SET_VMA`, by which allocators name their areas.
const PR_SET_VMA: libc::c_int = 0x5356_4d41;

/// Process controls that change nothing but the caller's name, alarm slack and own end.
const PRCTLS: [libc::c_int; 11] = [
    libc::PR_SET_PDEATHSIG,
    libc::PR_GET_PDEATHSIG,
    libc::PR_GET_DUMPABLE,
    libc::PR_SET_NAME,
    libc::PR_GET_NAME,
    libc::PR_GET_SECCOMP,
    libc::PR_CAPBSET_READ,
    libc::PR_GET_SECUREBITS,
    libc::PR_SET_TIMERSLACK,
    libc::PR_GET_NO_NEW_PRIVS,
    PR_SET_VMA,
];

/// What may be asked of a descriptor. Left out are leases and `F_NOTIFY`, which would tell a job what
/// other jobs open in the runtime's directories; `F_SETPIPE_SZ`, for the pipes that a job is born with are
/// charged to the supervisor's account; and the record locks of open files (`F_OFD_SETLK`), of which the kernel tells
/// nobody whose they are, while it counts no lock's memory. `F_SETFL` has a condition of its own.
const FCNTLS: [libc::c_int; 15] = [
    libc::F_DUPFD,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_GETLK,
    libc::F_SETLK,
    libc::F_SETLKW,
    libc::F_GETOWN,
    libc::F_SETOWN,
    F_GETSIG,
    F_SETSIG,
    libc::F_GETPIPE_SZ,
    libc::F_ADD_SEALS,
    libc::F_GET_SEALS,
];

/// Which signal tells of a ready descriptor, `fcntl(2)`.
const F_SETSIG: libc::c_int = 10;
const F_GETSIG: libc::c_int = 11;

/// What the arguments must be in any case, whatever a profile says.
pub(super) fn conditions(number: i64, network: Network) -> Result<Ways, BackendError> {
    let one = |condition: Result<SeccompCondition, _>| Ok(vec![vec![condition?]]);
    let any = |argument, values: &[u64]| {
        values.iter().map(|&value| Ok(vec![equal(argument, value)?])).collect::<Result<Ways, _>>()
    };
    match number {
        libc::SYS_fcntl => fcntls(),
        // Around the page cache, at the speed and the expense of the host's disk.
        libc::SYS_open => one(without(1, SeccompCmpArgLen::Dword, libc::O_DIRECT as u64)),
        libc::SYS_openat => one(without(2, SeccompCmpArgLen::Dword, libc::O_DIRECT as u64)),
        // RWF_NOWAIT tells what of a shared file is in memory, RWF_DSYNC makes a disk wait.
        libc::SYS_preadv2 => one(equal(5, 0)),
        // What a job may write to is its own, and in memory.
        libc::SYS_pwritev2 => any(5, &[0, libc::RWF_NOWAIT as u64]),
        // Pages that the kernel merges tell of equal ones in other processes: the kernel's admin-guide/mm/ksm.
        libc::SYS_madvise => {
            one(SeccompCondition::new(2, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, libc::MADV_MERGEABLE as u64))
        }
        libc::SYS_setsockopt if network == Network::Loopback => sockets::loopback_options(),
        libc::SYS_setsockopt => sockets::options(),
        // Huge pages are set aside by the host and counted by no memory limit: hugetlbpage in the
        // kernel's admin-guide.
        libc::SYS_mmap => one(without(3, SeccompCmpArgLen::Dword, libc::MAP_HUGETLB as u64)),
        libc::SYS_memfd_create => one(without(1, SeccompCmpArgLen::Dword, u64::from(libc::MFD_HUGETLB))),
        // Who can drop the runtime's pages from memory can see which of them other jobs bring back.
        libc::SYS_fadvise64 => {
            one(SeccompCondition::new(3, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, libc::POSIX_FADV_DONTNEED as u64))
        }
        libc::SYS_clone => clones(),
        libc::SYS_socket if network == Network::Loopback => sockets::loopback(),
        libc::SYS_socket | libc::SYS_socketpair => one(equal(0, libc::AF_UNIX as u64)),
        libc::SYS_ioctl => any(1, &IOCTLS),
        libc::SYS_prctl => any(0, &PRCTLS.map(|option| option as u64)),
        // Out-of-band data on Unix sockets was a way into the kernel: CVE-2025-38236.
        libc::SYS_sendto | libc::SYS_recvfrom | libc::SYS_sendmmsg | libc::SYS_recvmmsg => {
            one(without(3, SeccompCmpArgLen::Dword, libc::MSG_OOB as u64))
        }
        libc::SYS_sendmsg | libc::SYS_recvmsg => one(without(2, SeccompCmpArgLen::Dword, libc::MSG_OOB as u64)),
        _ => Ok(Vec::new()),
    }
}

/// What may be asked of a descriptor, and flags but `O_DIRECT`.
fn fcntls() -> Result<Ways, BackendError> {
    let mut ways = FCNTLS.iter().map(|&command| Ok(vec![equal(1, command as u64)?])).collect::<Result<Ways, _>>()?;
    ways.push(vec![equal(1, libc::F_SETFL as u64)?, without(2, SeccompCmpArgLen::Dword, libc::O_DIRECT as u64)?]);
    Ok(ways)
}

/// Threads, and processes that do not share their table of descriptors: record locks belong to the table, and
/// what holds one must be found by the process that took it.
fn clones() -> Result<Ways, BackendError> {
    let refused = |bits: u64| without(0, SeccompCmpArgLen::Qword, bits);
    let thread = SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(CLONE_THREAD), CLONE_THREAD)?;
    Ok(vec![vec![refused(CLONE_REFUSED | libc::CLONE_FILES as u64)?], vec![refused(CLONE_REFUSED)?, thread]])
}
