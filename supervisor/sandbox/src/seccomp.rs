//! The system call filter of a job: an allow-list in BPF, `seccomp(2)`.
//!
//! The list of names is the policy's; what this file adds are the conditions on arguments that make
//! a name safe to allow, and the ways to refuse: `EPERM` for what is not on the list, `ENOSYS` for what
//! programs probe and fall back from (each call that is newer than what all of them expect to be there),
//! death for another architecture's calls, and for a few listed calls an answer instead of the call.

mod answered;
mod loopback;
mod recorded;
mod rules;

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};

pub use answered::is_unsupported;
pub use recorded::{LISTENER, apply_recorded, compile_recorded};

use crate::bpf::code::{IF_AT_LEAST, IF_EQUAL, JUMP, LOAD, RETURN};
use crate::spec::{CallAction, Network, Spec};
use crate::{Error, Result, search_tree};

/// A compiled filter.
pub type Filter = BpfProgram;

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
/// charged to the host's root; and the record locks of open files (`F_OFD_SETLK`), of which the kernel tells
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

/// Options of any socket. Left out are above all the programs that a socket runs on what it receives
/// (`SO_ATTACH_FILTER` and its kin): compiled into the kernel, and into room that all of the host shares.
const SOCKET_OPTIONS: [libc::c_int; 15] = [
    libc::SO_REUSEADDR,
    libc::SO_REUSEPORT,
    libc::SO_BROADCAST,
    libc::SO_DONTROUTE,
    libc::SO_KEEPALIVE,
    libc::SO_OOBINLINE,
    libc::SO_LINGER,
    libc::SO_SNDBUF,
    libc::SO_RCVBUF,
    libc::SO_SNDTIMEO,
    libc::SO_RCVTIMEO,
    libc::SO_RCVLOWAT,
    libc::SO_PASSCRED,
    libc::SO_PEEK_OFF,
    libc::SO_TIMESTAMP,
];

/// Calls that C libraries try first and do without on older kernels. `clone3` is one because a filter
/// cannot read its flags, which lie in memory.
const PROBED: [i64; 2] = [libc::SYS_clone3, libc::SYS_openat2];

/// The first number that all architectures share (`pidfd_send_signal`, Linux 5.1). What is from here on,
/// C libraries and programs try first and do without on older kernels, for which `ENOSYS` is the sign: with
/// `EPERM` they give up. So such a call is there, or it is as if the kernel were older than it.
const FIRST_PROBED: u32 = 424;

/// The first number of the x32 ABI, `__X32_SYSCALL_BIT`.
const X32: u32 = 0x4000_0000;

/// The native architecture's mark in `struct seccomp_data`.
pub(crate) const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;

/// The newest call this filter knows of (`listns`, Linux 6.19); beyond it a program gets what an
/// older kernel would say.
pub(crate) const NEWEST: u32 = 470;

/// The longest program that the kernel takes, `BPF_MAXINSNS`.
const LONGEST: usize = 4096;

/// What an older kernel says of a call that it does not have.
const NO_SUCH_CALL: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();

const fn step(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

fn small(distance: usize) -> u32 {
    u32::try_from(distance).expect("a program has at most 4096 instructions")
}

/// Compiles a profile's filter.
///
/// What no profile may change comes first, then its rules that refuse or log, in their order, and then
/// the list of what is allowed.
///
/// Calls that are allowed whatever their arguments are found by a search tree, in some ten steps; only
/// the rest goes through the list that `seccompiler` makes. A list of everything would be right as well,
/// but the kernel translates a filter, and runs it once for every number, each time that it is put in
/// force, which is once a job: `seccomp_cache_prepare` in the kernel's `kernel/seccomp.c`.
///
/// # Errors
/// When this is no x86-64, or the program would be too long for the kernel.
pub fn compile(spec: &Spec) -> Result<BpfProgram> {
    let failed = |error| Error::layer("compile the filter", error);
    let mut program = prologue();
    for rule in spec.call_rules.iter().filter(|rule| rule.action != CallAction::Allow) {
        program.extend(rules::block(rule, spec.network).map_err(failed)?);
    }
    program.extend(rules::allowed(spec).and_then(list).map_err(failed)?);
    if program.len() > LONGEST {
        let reason =
            format!("{} instructions, the kernel takes {LONGEST}: allow less or have fewer rules", program.len());
        return Err(Error::layer("compile the filter", reason));
    }
    Ok(program)
}

/// Calls by number, each with the sets of conditions of which one has to hold; none means always.
type Calls = BTreeMap<i64, Vec<SeccompRule>>;

/// The program that allows these calls and refuses all others.
fn list(calls: Calls) -> Result<BpfProgram, seccompiler::BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    if arch != TargetArch::x86_64 {
        return Err(seccompiler::BackendError::InvalidTargetArch(std::env::consts::ARCH.to_owned()));
    }
    let (plain, conditional): (Calls, Calls) = calls.into_iter().partition(|(_, ways)| ways.is_empty());
    let plain = plain.into_keys().filter_map(|number| Some((u32::try_from(number).ok()?, answered::action(number))));
    let mut program = search_tree::answer(&plain.collect());
    program.extend(not_there(conditional.keys().filter_map(|&number| u32::try_from(number).ok())));
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    program.extend(SeccompFilter::new(conditional, refuse, SeccompAction::Allow, arch).and_then(BpfProgram::try_from)?);
    Ok(program)
}

/// Instructions that answer `ENOSYS` to calls from [`FIRST_PROBED`] on that are none of these, and go on after
/// the last instruction otherwise. The number is in the accumulator.
fn not_there(except: impl Iterator<Item = u32>) -> BpfProgram {
    let new: Vec<u32> = except.filter(|&number| number >= FIRST_PROBED).collect();
    let mut program = vec![step(IF_AT_LEAST, 1, 0, FIRST_PROBED), step(JUMP, 0, 0, small(2 * new.len() + 1))];
    for (done, number) in new.iter().enumerate() {
        program.push(step(IF_EQUAL, 0, 1, *number));
        program.push(step(JUMP, 0, 0, small(2 * (new.len() - done) - 1)));
    }
    program.push(step(RETURN, 0, 0, NO_SUCH_CALL));
    program
}

/// Puts the filter in force for this thread and all that descend from it. `no_new_privs` must be set.
///
/// # Errors
/// When the kernel refuses the program.
pub fn apply(program: &BpfProgram) -> Result<()> {
    seccompiler::apply_filter(program).map_err(|error| Error::library("seccomp SECCOMP_SET_MODE_FILTER", &error))
}

/// A filter for a process that waits for its children and does nothing else, such as a cell's init, once it has
/// closed what it was watched by.
///
/// # Errors
/// As [`compile`].
pub fn compile_waiting() -> Result<BpfProgram> {
    const CALLS: [i64; 7] = [
        libc::SYS_close,
        libc::SYS_wait4,
        libc::SYS_exit_group,
        libc::SYS_exit,
        libc::SYS_rt_sigreturn,
        libc::SYS_pause,
        libc::SYS_restart_syscall,
    ];
    let calls = CALLS.into_iter().map(|number| (number, Vec::new())).collect();
    let mut program = prologue();
    program.extend(list(calls).map_err(|error| Error::layer("compile the filter", error))?);
    Ok(program)
}

/// A filter for the supervisor itself and all that descends from it: every family of sockets but Unix
/// is refused, and the calls that no part of it makes. With `loopback`, jobs may have a network of their
/// own, so the two families of the internet pass; the supervisor must then be where these lead nowhere.
///
/// # Errors
/// As [`compile`].
pub fn compile_supervisor(loopback: bool) -> Result<BpfProgram> {
    const NEVER: [i64; 24] = [
        libc::SYS_acct,
        libc::SYS_add_key,
        libc::SYS_bpf,
        libc::SYS_clock_settime,
        libc::SYS_delete_module,
        libc::SYS_finit_module,
        libc::SYS_init_module,
        libc::SYS_io_uring_setup,
        libc::SYS_ioperm,
        libc::SYS_iopl,
        libc::SYS_kexec_file_load,
        libc::SYS_kexec_load,
        libc::SYS_modify_ldt,
        libc::SYS_open_by_handle_at,
        libc::SYS_perf_event_open,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_ptrace,
        libc::SYS_reboot,
        libc::SYS_request_key,
        libc::SYS_settimeofday,
        libc::SYS_swapoff,
        libc::SYS_swapon,
        libc::SYS_userfaultfd,
    ];
    let not_unix = |number| {
        let families: &[i32] =
            if loopback { &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6] } else { &[libc::AF_UNIX] };
        let other = |&family| SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, family as u64);
        let others = families.iter().map(other).collect::<Result<Vec<_>, _>>()?;
        Ok((number, vec![SeccompRule::new(others)?]))
    };
    let rules: BpfProgram = [libc::SYS_socket, libc::SYS_socketpair]
        .map(not_unix)
        .into_iter()
        .chain(NEVER.map(|number| Ok((number, Vec::new()))))
        .collect::<Result<_, seccompiler::BackendError>>()
        .and_then(|rules| {
            let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
            SeccompFilter::new(rules, SeccompAction::Allow, refuse, TargetArch::x86_64)
        })
        .and_then(BpfProgram::try_from)
        .map_err(|error| Error::layer("compile the supervisor's filter", error))?;
    // Other interfaces have other numbers, and so would pass.
    let mut program = native_only();
    program.extend(rules);
    Ok(program)
}

/// The ways in which a call's arguments may be, all conditions of one of them; none means any.
type Ways = Vec<Vec<SeccompCondition>>;

/// What the arguments must be in any case, whatever a profile says.
fn conditions(number: i64, network: Network) -> Result<Ways, seccompiler::BackendError> {
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
        libc::SYS_preadv2 | libc::SYS_pwritev2 => one(equal(5, 0)),
        // Pages that the kernel merges tell of equal ones in other processes: the kernel's admin-guide/mm/ksm.
        libc::SYS_madvise => {
            one(SeccompCondition::new(2, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, libc::MADV_MERGEABLE as u64))
        }
        libc::SYS_setsockopt if network == Network::Loopback => loopback::options(),
        libc::SYS_setsockopt => socket_options(),
        // Huge pages are set aside by the host and counted by no memory limit: hugetlbpage in the
        // kernel's admin-guide.
        libc::SYS_mmap => one(without(3, SeccompCmpArgLen::Dword, libc::MAP_HUGETLB as u64)),
        libc::SYS_memfd_create => one(without(1, SeccompCmpArgLen::Dword, u64::from(libc::MFD_HUGETLB))),
        // Who can drop the runtime's pages from memory can see which of them other jobs bring back.
        libc::SYS_fadvise64 => {
            one(SeccompCondition::new(3, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, libc::POSIX_FADV_DONTNEED as u64))
        }
        libc::SYS_clone => clones(),
        libc::SYS_socket if network == Network::Loopback => loopback::sockets(),
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
fn fcntls() -> Result<Ways, seccompiler::BackendError> {
    let mut ways = FCNTLS.iter().map(|&command| Ok(vec![equal(1, command as u64)?])).collect::<Result<Ways, _>>()?;
    ways.push(vec![equal(1, libc::F_SETFL as u64)?, without(2, SeccompCmpArgLen::Dword, libc::O_DIRECT as u64)?]);
    Ok(ways)
}

/// Threads, and processes that do not share their table of descriptors: record locks belong to the table, and
/// what holds one must be found by the process that took it.
fn clones() -> Result<Ways, seccompiler::BackendError> {
    let refused = |bits: u64| without(0, SeccompCmpArgLen::Qword, bits);
    let thread = SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(CLONE_THREAD), CLONE_THREAD)?;
    Ok(vec![vec![refused(CLONE_REFUSED | libc::CLONE_FILES as u64)?], vec![refused(CLONE_REFUSED)?, thread]])
}

fn socket_options() -> Result<Ways, seccompiler::BackendError> {
    let way = |&option| Ok(vec![equal(1, libc::SOL_SOCKET as u64)?, equal(2, option as u64)?]);
    SOCKET_OPTIONS.iter().map(way).collect()
}

fn equal(argument: u8, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

fn without(argument: u8, width: SeccompCmpArgLen, bits: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, width, SeccompCmpOp::MaskedEq(bits), 0)
}

/// Death for the calls of another architecture, in classic BPF: `seccomp(2)`, `struct seccomp_data`. Leaves the
/// number in the accumulator.
fn native_only() -> BpfProgram {
    const NUMBER: u32 = 0;
    const ARCHITECTURE: u32 = 4;

    vec![
        step(LOAD, 0, 0, ARCHITECTURE),
        step(IF_EQUAL, 1, 0, AUDIT_ARCH_X86_64),
        step(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        step(LOAD, 0, 0, NUMBER),
        step(IF_AT_LEAST, 0, 1, X32),
        step(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
    ]
}

/// The instructions in front of a job's list.
fn prologue() -> BpfProgram {
    let mut program = native_only();
    program.extend([step(IF_AT_LEAST, 0, 1, NEWEST + 1), step(RETURN, 0, 0, NO_SUCH_CALL)]);
    for number in PROBED {
        let number = u32::try_from(number).expect("system call numbers are small and positive");
        program.push(step(IF_EQUAL, 0, 1, number));
        program.push(step(RETURN, 0, 0, NO_SUCH_CALL));
    }
    program
}
