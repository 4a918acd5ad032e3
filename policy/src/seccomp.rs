//! System calls by name, the named groups, and the calls that no policy may allow.

use syscalls::Sysno;

/// A system call of x86-64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Syscall(Sysno);

impl Syscall {
    /// The call of this name, as the manual pages have it.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        name.parse().ok().map(Self)
    }

    /// The call of this number.
    #[must_use]
    pub fn by_number(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(Sysno::new).map(Self)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Its number on x86-64.
    #[must_use]
    pub fn number(self) -> i64 {
        i64::from(self.0.id())
    }

    /// The names of all calls.
    pub fn names() -> impl Iterator<Item = &'static str> {
        // By number, for the crate's own iterator leaves out the last.
        (0..=i64::from(Sysno::last().id())).filter_map(Self::by_number).map(Self::name)
    }
}

/// The groups, each with what it is for. A member that starts with `@` is another group.
pub const GROUPS: [(&str, &str, &[&str]); 10] = [
    (
        "@python",
        "what CPython, the C library, NumPy, pandas and multiprocessing use",
        &["@basic", "@files", "@memory", "@processes", "@signals", "@threads", "@time", "@events", "@sockets"],
    ),
    (
        "@basic",
        "reading, writing and knowing oneself",
        &[
            "close",
            "close_range",
            "dup",
            "dup2",
            "dup3",
            "fcntl",
            "getegid",
            "geteuid",
            "getgid",
            "getgroups",
            "getpgid",
            "getpgrp",
            "getpid",
            "getppid",
            "getrandom",
            "getresgid",
            "getresuid",
            "getsid",
            "gettid",
            "getuid",
            "ioctl",
            "lseek",
            "pipe",
            "pipe2",
            "pread64",
            "preadv",
            "preadv2",
            "pwrite64",
            "pwritev",
            "pwritev2",
            "read",
            "readv",
            "sendfile",
            "splice",
            "sysinfo",
            "tee",
            "umask",
            "uname",
            "vmsplice",
            "write",
            "writev",
        ],
    ),
    (
        "@files",
        "files and directories, as far as mounts and Landlock let",
        &[
            "access",
            "chdir",
            "chmod",
            "chown",
            "copy_file_range",
            "creat",
            "faccessat",
            "faccessat2",
            "fadvise64",
            "fallocate",
            "fchdir",
            "fchmod",
            "fchmodat",
            "fchmodat2",
            "fchown",
            "fchownat",
            "fdatasync",
            "fgetxattr",
            "flistxattr",
            "flock",
            "fremovexattr",
            "fsetxattr",
            "fstat",
            "fstatfs",
            "fsync",
            "ftruncate",
            "futimesat",
            "getcwd",
            "getdents",
            "getdents64",
            "getxattr",
            "lchown",
            "lgetxattr",
            "link",
            "linkat",
            "listxattr",
            "llistxattr",
            "lremovexattr",
            "lsetxattr",
            "lstat",
            "mkdir",
            "mkdirat",
            "newfstatat",
            "open",
            "openat",
            "readahead",
            "readlink",
            "readlinkat",
            "removexattr",
            "rename",
            "renameat",
            "renameat2",
            "rmdir",
            "setxattr",
            "stat",
            "statfs",
            "statx",
            "symlink",
            "symlinkat",
            "sync_file_range",
            "truncate",
            "unlink",
            "unlinkat",
            "utime",
            "utimensat",
            "utimes",
        ],
    ),
    (
        "@memory",
        "mapping and sharing memory",
        &[
            "brk",
            "get_mempolicy",
            "madvise",
            "membarrier",
            "memfd_create",
            "mincore",
            "mlock",
            "mlock2",
            "mmap",
            "mprotect",
            "mremap",
            "msync",
            "munlock",
            "munmap",
            "pkey_alloc",
            "pkey_free",
            "pkey_mprotect",
            "remap_file_pages",
        ],
    ),
    (
        "@processes",
        "starting processes and waiting for them",
        &[
            "arch_prctl",
            "capget",
            "clone",
            "execve",
            "execveat",
            "exit",
            "exit_group",
            "fork",
            "getcpu",
            "getpriority",
            "getrlimit",
            "getrusage",
            "ioprio_get",
            "pidfd_open",
            "prctl",
            "prlimit64",
            "sched_get_priority_max",
            "sched_get_priority_min",
            "sched_getaffinity",
            "sched_getattr",
            "sched_getparam",
            "sched_getscheduler",
            "sched_rr_get_interval",
            "sched_setaffinity",
            "sched_yield",
            "setpgid",
            "setpriority",
            "setrlimit",
            "setsid",
            "times",
            "vfork",
            "wait4",
            "waitid",
        ],
    ),
    (
        "@signals",
        "signals within the sandbox",
        &[
            "alarm",
            "kill",
            "pause",
            "pidfd_send_signal",
            "restart_syscall",
            "rt_sigaction",
            "rt_sigpending",
            "rt_sigprocmask",
            "rt_sigqueueinfo",
            "rt_sigreturn",
            "rt_sigsuspend",
            "rt_sigtimedwait",
            "rt_tgsigqueueinfo",
            "sigaltstack",
            "signalfd",
            "signalfd4",
            "tgkill",
            "tkill",
        ],
    ),
    (
        "@threads",
        "threads and what they wait on",
        &["futex", "futex_waitv", "get_robust_list", "rseq", "set_robust_list", "set_tid_address"],
    ),
    (
        "@time",
        "reading clocks, sleeping, timers",
        &[
            "clock_getres",
            "clock_gettime",
            "clock_nanosleep",
            "getitimer",
            "gettimeofday",
            "nanosleep",
            "setitimer",
            "time",
            "timer_create",
            "timer_delete",
            "timer_getoverrun",
            "timer_gettime",
            "timer_settime",
            "timerfd_create",
            "timerfd_gettime",
            "timerfd_settime",
        ],
    ),
    (
        "@events",
        "waiting for many things at once",
        &[
            "epoll_create",
            "epoll_create1",
            "epoll_ctl",
            "epoll_pwait",
            "epoll_pwait2",
            "epoll_wait",
            "eventfd",
            "eventfd2",
            "poll",
            "ppoll",
            "pselect6",
            "select",
        ],
    ),
    (
        "@sockets",
        "Unix sockets in the sandbox, with a loopback network TCP and UDP; no other family whatever a policy says",
        &[
            "accept",
            "accept4",
            "bind",
            "connect",
            "getpeername",
            "getsockname",
            "getsockopt",
            "listen",
            "recvfrom",
            "recvmmsg",
            "recvmsg",
            "sendmmsg",
            "sendmsg",
            "sendto",
            "setsockopt",
            "shutdown",
            "socket",
            "socketpair",
        ],
    ),
];

/// Calls that change mounts, namespaces, other processes, the kernel or the machine, that tell of these, or that reach
/// other jobs: `inotify` tells what these open of the runtime, and has few instances for all of the host; `cachestat`
/// tells what they have read; `sync` makes all wait for the host's disks, and `ioprio_set` goes ahead of others there;
/// rings of `io_setup` count against the host. Of `clone3` and `openat2` a filter cannot read the flags. The rest are
/// the kernel's own, or none at all on x86-64. A policy that names one is refused: no program that belongs in a
/// sandbox needs it.
///
/// Every call that is known is in a group, here or in [`NAMED`], and a test sees to that: a newer table of calls is
/// not taken before somebody has decided.
pub const NEVER: &[&str] = &[
    "acct",
    "add_key",
    "adjtimex",
    "afs_syscall",
    "bpf",
    "cachestat",
    "chroot",
    "clock_adjtime",
    "clock_settime",
    "clone3",
    "create_module",
    "delete_module",
    "epoll_ctl_old",
    "epoll_wait_old",
    "fanotify_init",
    "fanotify_mark",
    "file_setattr",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "get_kernel_syms",
    "get_thread_area",
    "getpmsg",
    "init_module",
    "inotify_add_watch",
    "inotify_init",
    "inotify_init1",
    "inotify_rm_watch",
    "io_cancel",
    "io_destroy",
    "io_getevents",
    "io_pgetevents",
    "io_setup",
    "io_submit",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "ioprio_set",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "listmount",
    "lookup_dcookie",
    "lsm_get_self_attr",
    "lsm_list_modules",
    "lsm_set_self_attr",
    "memfd_secret",
    "migrate_pages",
    "mknod",
    "mknodat",
    "modify_ldt",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "name_to_handle_at",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "open_tree_attr",
    "openat2",
    "perf_event_open",
    "personality",
    "pidfd_getfd",
    "pivot_root",
    "process_madvise",
    "process_mrelease",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "putpmsg",
    "query_module",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "seccomp",
    "security",
    "set_thread_area",
    "setdomainname",
    "setfsgid",
    "setfsuid",
    "setgid",
    "setgroups",
    "sethostname",
    "setns",
    "setregid",
    "setresgid",
    "setresuid",
    "setreuid",
    "settimeofday",
    "setuid",
    "setxattrat",
    "statmount",
    "swapoff",
    "swapon",
    "sync",
    "syncfs",
    "_sysctl",
    "sysfs",
    "syslog",
    "tuxcall",
    "umount2",
    "unshare",
    "uprobe",
    "uretprobe",
    "uselib",
    "userfaultfd",
    "ustat",
    "vhangup",
    "vserver",
];

/// Calls that are in no group and that a policy may name by themselves, with why they harm nobody.
pub const NAMED: &[(&str, &[&str])] = &[
    (
        "objects of the job's own IPC namespace, which are counted as its memory or bounded by rlimits.message_queues",
        &[
            "mq_getsetattr",
            "mq_notify",
            "mq_open",
            "mq_timedreceive",
            "mq_timedsend",
            "mq_unlink",
            "msgctl",
            "msgget",
            "msgrcv",
            "msgsnd",
            "semctl",
            "semget",
            "semop",
            "semtimedop",
            "shmat",
            "shmctl",
            "shmdt",
            "shmget",
        ],
    ),
    (
        "the caller's own scheduling, which without privilege and with a limit of zero on priorities can only be lowered",
        &["sched_setattr", "sched_setparam", "sched_setscheduler"],
    ),
    ("locking of memory, of which the limit is zero", &["mlockall", "munlockall"]),
    ("where the caller's own memory lies", &["mbind", "set_mempolicy", "set_mempolicy_home_node"]),
    ("more protection for the caller's own mappings", &["map_shadow_stack", "mseal"]),
    ("the parts of futex(2) and futex_waitv(2)", &["futex_requeue", "futex_wait", "futex_wake"]),
    ("newer forms of what @files has", &["file_getattr", "getxattrat", "listxattrat", "removexattrat"]),
    ("the caller's capabilities, of which it has none and can get none", &["capset"]),
];

/// The members of a group, those of groups inside it included.
#[must_use]
pub fn group(name: &str) -> Option<Vec<Syscall>> {
    let (_, _, members) = GROUPS.iter().find(|(group, _, _)| *group == name)?;
    let mut calls = Vec::new();
    for member in *members {
        match group(member) {
            Some(inner) => calls.extend(inner),
            None => calls.extend(Syscall::by_name(member)),
        }
    }
    calls.sort_unstable();
    calls.dedup();
    Some(calls)
}

/// The calls that a list of groups and calls comes to, read from its first entry to its last; `-` takes away.
#[must_use]
pub fn resolve<'a>(entries: impl IntoIterator<Item = &'a str>) -> Vec<Syscall> {
    let mut calls = std::collections::BTreeSet::new();
    for entry in entries {
        let (away, name) = entry.strip_prefix('-').map_or((false, entry), |name| (true, name));
        let named = group(name).unwrap_or_else(|| Syscall::by_name(name).into_iter().collect());
        if away {
            named.iter().for_each(|call| {
                calls.remove(call);
            });
        } else {
            calls.extend(named);
        }
    }
    calls.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::{GROUPS, NAMED, NEVER, Syscall, group};

    #[test]
    fn of_every_call_it_is_decided_whether_a_policy_may_allow_it() {
        assert!(Syscall::names().any(|call| call == syscalls::Sysno::last().name()), "the newest is among them");
        let named = |call: &str| NAMED.iter().any(|(_, calls)| calls.contains(&call));
        let grouped = |call: &str| GROUPS.iter().any(|(_, _, members)| members.contains(&call));
        let undecided: Vec<_> =
            Syscall::names().filter(|call| !NEVER.contains(call) && !named(call) && !grouped(call)).collect();
        assert!(undecided.is_empty(), "put these into a group, into NEVER or into NAMED: {undecided:?}");
        let twice: Vec<_> = NEVER.iter().filter(|call| named(call) || grouped(call)).collect();
        assert!(twice.is_empty(), "may never be allowed and are: {twice:?}");
        let listed = NEVER.iter().chain(NAMED.iter().flat_map(|(_, calls)| *calls));
        let unknown: Vec<_> = listed.filter(|name| Syscall::by_name(name).is_none()).collect();
        assert!(unknown.is_empty(), "no calls: {unknown:?}");
    }

    #[test]
    fn every_name_in_a_group_is_a_call_or_a_group_and_none_is_forbidden() {
        for (name, _, members) in GROUPS {
            for member in members {
                assert!(group(member).is_some() || Syscall::by_name(member).is_some(), "{member} in {name}");
                assert!(!NEVER.contains(member), "{member} in {name}");
            }
        }
    }

    #[test]
    fn names_and_numbers_are_those_of_the_kernel() {
        assert_eq!(Syscall::by_name("read").map(Syscall::number), Some(0));
        assert_eq!(Syscall::by_name("openat").map(Syscall::number), Some(257));
        assert_eq!(Syscall::by_name("reed"), None);
    }
}
