//! System calls that neither `nix` nor `rustix` wraps. One call a function, nothing else.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::unistd::Pid;

/// The flag of `clone3(2)` that lies beyond the 32 bits of the C constant's type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// What a `clone3` returned, as `fork(2)` does: once in each process.
pub enum Forked {
    /// In the new process.
    Child,
    /// In the caller: the child and a pidfd of it (close-on-exec).
    Parent {
        /// The child's id in the caller's PID namespace.
        pid: Pid,
        /// Refers to the child for as long as it is open, whatever becomes of the id.
        pidfd: OwnedFd,
    },
}

/// Has the C library give large blocks back to the kernel as soon as they are freed, whatever it has seen so far, and
/// keep no heap a thread: `mallopt(3)`, `M_MMAP_THRESHOLD` and `M_ARENA_MAX`. Without it a process that once held much
/// keeps it. The end of the heap is given back when much of it is free, and not with every request, which takes and frees as
/// much again: `M_TRIM_THRESHOLD`. Where the C library is another, nothing is done.
pub fn give_back_large_blocks() {
    #[cfg(target_env = "gnu")]
    for (parameter, value) in
        [(libc::M_MMAP_THRESHOLD, 128 * 1024), (libc::M_TRIM_THRESHOLD, 1024 * 1024), (libc::M_ARENA_MAX, 2)]
    {
        // SAFETY: two numbers that the manual page allows; it takes the allocator's own lock.
        unsafe { libc::mallopt(parameter, value) };
    }
}

/// `clone3(2)` with `CLONE_PIDFD`, a copied address space and `SIGCHLD` at the end.
///
/// `namespaces` holds `CLONE_NEW*` flags; with `cgroup`, a directory of a version 2 hierarchy, the
/// child starts in it (`CLONE_INTO_CGROUP`) and never migrates.
///
/// # Errors
/// The kernel's errno.
///
/// # Safety
/// The caller has one thread. With more, the child could find a lock (the allocator's, say) held
/// for ever by a thread that does not exist in it.
pub unsafe fn clone3(namespaces: libc::c_int, cgroup: Option<&OwnedFd>) -> io::Result<Forked> {
    let mut pidfd: RawFd = -1;
    // SAFETY: clone_args is plain integers, for which zero is a valid value.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = (namespaces | libc::CLONE_PIDFD) as u64;
    arguments.pidfd = &raw mut pidfd as u64;
    arguments.exit_signal = libc::SIGCHLD as u64;
    if let Some(directory) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = directory.as_raw_fd() as u64;
    }
    // SAFETY: the structure and the pidfd it points to live until the call returns, its size is
    // passed with it, and no CLONE_VM is asked for, so that the child has a stack of its own.
    let returned = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) };
    match returned {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        pid => {
            // SAFETY: the kernel has just made this descriptor for us alone.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            let pid = Pid::from_raw(i32::try_from(pid).expect("a process id fits in pid_t"));
            Ok(Forked::Parent { pid, pidfd })
        }
    }
}

/// Sets attributes of the mount that `mount` refers to, and of those below it when `recursive`:
/// `mount_setattr(2)`.
///
/// # Errors
/// The kernel's errno.
pub fn mount_setattr(mount: impl AsFd, set: u64, propagation: u64, recursive: bool) -> io::Result<()> {
    let attributes = libc::mount_attr { attr_set: set, attr_clr: 0, propagation, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a NUL-terminated literal, the structure outlives the call and its size is given.
    let returned = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if returned == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Joins a new, empty session keyring: `keyctl(2)`, `KEYCTL_JOIN_SESSION_KEYRING`.
///
/// # Errors
/// The kernel's errno; `ENOSYS` on a kernel without keyrings.
pub fn join_new_session_keyring() -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: a null name asks for an anonymous keyring; no memory is passed.
    let returned =
        unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>()) };
    if returned == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Closes every descriptor from `first` up: `close_range(2)`.
///
/// # Errors
/// The kernel's errno.
///
/// # Safety
/// No object that owns such a descriptor is used or dropped afterwards.
pub unsafe fn close_from(first: RawFd) -> io::Result<()> {
    // SAFETY: the caller vouches that nothing owns these descriptors any more.
    let returned = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) };
    if returned == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The same in a table of descriptors of this process's own, which is a copy of one that it shares with others, and of which nothing is
/// copied that would be closed: `CLOSE_RANGE_UNSHARE`.
///
/// # Errors
/// The kernel's errno.
///
/// # Safety
/// No object that owns such a descriptor is used or dropped afterwards in this process.
pub unsafe fn close_from_alone(first: RawFd) -> io::Result<()> {
    // SAFETY: the caller vouches that nothing here owns these descriptors any more.
    let returned = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_UNSHARE) };
    if returned == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sets and locks the securebits: `prctl(2)`, `PR_SET_SECUREBITS`.
///
/// # Errors
/// The kernel's errno.
pub fn set_securebits(bits: libc::c_ulong) -> io::Result<()> {
    // SAFETY: no memory is passed.
    let returned = unsafe { libc::prctl(libc::PR_SET_SECUREBITS, bits, 0, 0, 0) };
    if returned == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Bounds what this process may have of a resource, soft and hard alike: `setrlimit(2)`.
///
/// # Errors
/// The kernel's errno.
pub fn limit(resource: libc::__rlimit_resource_t, most: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: the structure is whole, outlives the call and is only read.
    let returned = unsafe { libc::setrlimit(resource, &raw const limit) };
    if returned == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// How many message queues, sets of semaphores and segments of memory of System V there are in this IPC namespace: `msgctl(2)`,
/// `semctl(2)`, `shmctl(2)`.
///
/// # Errors
/// The kernel's errno; a kernel without them has none.
pub fn system_v_objects() -> io::Result<u64> {
    const MSG_INFO: libc::c_int = 12;
    const SHM_INFO: libc::c_int = 14;
    const SEM_INFO: libc::c_int = 19;
    // What is told of each is less than a hundred bytes long.
    let mut told = [[0_u32; 32]; 3];
    let [queues, sets, segments] = told.each_mut().map(|of| of.as_mut_ptr());
    // SAFETY: there is room for what is written, and nothing is asked of any queue.
    let of_queues = unsafe { libc::msgctl(0, MSG_INFO, queues.cast()) };
    // SAFETY: the same, of sets.
    let of_sets = unsafe { libc::semctl(0, 0, SEM_INFO, sets) };
    // SAFETY: the same, of segments.
    let of_segments = unsafe { libc::shmctl(0, SHM_INFO, segments.cast()) };
    let missing = io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS);
    if [of_queues, of_sets, of_segments].contains(&-1) && !missing {
        return Err(io::Error::last_os_error());
    }
    // `msgpool`, `semusz` and `used_ids`: how many there are.
    Ok(u64::from(told[0][0]) + u64::from(told[1][7]) + u64::from(told[2][0]))
}

/// Names the domain of this UTS namespace, which is not that of DNS: `setdomainname(2)`.
///
/// # Errors
/// The kernel's errno.
pub fn set_domain_name(name: &str) -> io::Result<()> {
    // SAFETY: the name lives until the call returns, and its length is passed with it.
    let returned = unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) };
    if returned == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Has every descriptor from this number on closed by the next `execve(2)`: `close_range(2)`.
///
/// # Errors
/// The kernel's errno.
pub fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    let first = libc::c_uint::try_from(first).map_err(io::Error::other)?;
    let flags = libc::c_int::try_from(libc::CLOSE_RANGE_CLOEXEC).expect("a small number");
    // SAFETY: nothing is closed, only marked.
    let returned = unsafe { libc::close_range(first, libc::c_uint::MAX, flags) };
    if returned == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Puts `from` at the number `to`, left open across exec: `dup2(2)`.
///
/// # Errors
/// The kernel's errno.
///
/// # Safety
/// Nothing in this process owns the descriptor `to`.
pub unsafe fn place_fd(from: RawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: both are numbers; the caller vouches for the one that is overwritten.
    let returned = unsafe { libc::dup2(from, to) };
    if returned == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Puts `from` at the number `to`, closed by the next exec: `dup3(2)`.
///
/// # Errors
/// The kernel's errno.
///
/// # Safety
/// As for [`place_fd`].
pub unsafe fn place_fd_until_exec(from: RawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: as for `place_fd`.
    let returned = unsafe { libc::dup3(from, to, libc::O_CLOEXEC) };
    if returned == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The highest signal there is on x86-64: `signal(7)`.
pub const LAST_SIGNAL: libc::c_int = 64;

/// Gives a signal its usual effect: `rt_sigaction(2)`, asked of the kernel itself, for the C library keeps two signals
/// (32 and 33) to itself and refuses to speak of them. What the kernel refuses stays as it is.
pub fn heed_signal(number: libc::c_int) {
    // The kernel's `struct sigaction` on x86-64: SIG_DFL, no flags, no restorer, an empty mask.
    let usual = [0_u64; 4];
    // SAFETY: the structure is whole and outlives the call, nothing is written, and SIG_DFL is no function.
    unsafe {
        libc::syscall(libc::SYS_rt_sigaction, number, usual.as_ptr(), std::ptr::null_mut::<u64>(), size_of::<u64>())
    };
}

/// Gives every signal its usual effect. What is ignored stays so across `execve(2)`: `SIGINT` among them when a shell
/// started the supervisor in the background, and Python would then raise no `KeyboardInterrupt` for it.
pub fn heed_signals() {
    // SIGKILL and SIGSTOP are refused, and have no other effect anyway.
    (1..=LAST_SIGNAL).for_each(heed_signal);
}

/// Ends this process at once, running no destructor and no handler: `_exit(2)`.
pub fn exit_now(code: libc::c_int) -> ! {
    // SAFETY: does not return and touches no memory.
    unsafe { libc::_exit(code) }
}

/// Replaces this process: `execve(2)`. Returns only on failure.
#[must_use]
pub fn execve(path: &CStr, arguments: &[&CStr], environment: &[&CStr]) -> io::Error {
    match nix::unistd::execve(path, arguments, environment) {
        Err(errno) => errno.into(),
    }
}

/// The Landlock ABI that the kernel offers, or why it offers none: `landlock_create_ruleset(2)`.
///
/// # Errors
/// `ENOSYS` when the kernel was built without, `EOPNOTSUPP` when it is not enabled.
pub fn landlock_abi() -> io::Result<u32> {
    const LANDLOCK_CREATE_RULESET_VERSION: libc::c_uint = 1;
    // SAFETY: with this flag the kernel takes a null pointer and a size of zero, and returns a number.
    let returned = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0_usize,
            LANDLOCK_CREATE_RULESET_VERSION,
        )
    };
    u32::try_from(returned).map_err(|_| io::Error::last_os_error())
}
