//! What system calls are for, in a few words.

use cloister_policy::seccomp::{GROUPS, Syscall};

/// What programs use these for. Those that are missing here are told by their group.
const PURPOSES: [(&str, &str); 56] = [
    ("alarm", "a signal after some seconds"),
    ("chmod", "changing who may use a file"),
    ("clone", "starting threads and processes"),
    ("connect", "connecting a socket"),
    ("copy_file_range", "copying files (shutil)"),
    ("epoll_create1", "waiting for many files (asyncio, selectors)"),
    ("eventfd2", "waking another thread"),
    ("execve", "running programs (subprocess)"),
    ("fallocate", "setting aside room for a file"),
    ("flock", "locking a file"),
    ("fork", "starting processes (multiprocessing, os.fork)"),
    ("fsync", "waiting for a file to be on disk"),
    ("getcpu", "which CPU this is"),
    ("getpriority", "how nice a process is"),
    ("getrandom", "random numbers"),
    ("getrusage", "what was used (resource)"),
    ("ioctl", "asking a file or a terminal about itself"),
    ("kill", "sending signals"),
    ("link", "another name for a file"),
    ("madvise", "telling the kernel how memory is used"),
    ("memfd_create", "a file in memory"),
    ("mkdir", "making directories"),
    ("mlockall", "keeping memory from being swapped"),
    ("mmap", "memory, and files as memory"),
    ("mprotect", "changing what memory may be used for"),
    ("mq_getsetattr", "POSIX message queues"),
    ("mq_notify", "POSIX message queues"),
    ("mq_open", "POSIX message queues"),
    ("mq_timedreceive", "POSIX message queues"),
    ("mq_timedsend", "POSIX message queues"),
    ("mq_unlink", "POSIX message queues"),
    ("msgctl", "System V message queues"),
    ("msgget", "System V message queues"),
    ("msgrcv", "System V message queues"),
    ("msgsnd", "System V message queues"),
    ("pidfd_open", "a descriptor of a process (asyncio, subprocess)"),
    ("prctl", "a process's name and properties"),
    ("prlimit64", "reading and setting limits (resource)"),
    ("rename", "renaming files"),
    ("sched_getaffinity", "how many CPUs may be used"),
    ("sched_setscheduler", "scheduling policy (os.sched_setscheduler)"),
    ("sched_yield", "letting others run"),
    ("semctl", "System V semaphores"),
    ("semget", "System V semaphores"),
    ("semop", "System V semaphores"),
    ("setitimer", "a signal at intervals (signal.setitimer)"),
    ("shmat", "System V shared memory"),
    ("shmctl", "System V shared memory"),
    ("shmdt", "System V shared memory"),
    ("shmget", "System V shared memory"),
    ("socket", "making sockets"),
    ("socketpair", "connected sockets (asyncio, multiprocessing)"),
    ("symlink", "symbolic links"),
    ("times", "CPU time used (os.times)"),
    ("unlink", "removing files"),
    ("wait4", "waiting for processes"),
];

/// What a call is for.
#[must_use]
pub fn purpose(call: Syscall) -> String {
    let name = call.name();
    // The first is all of the others together.
    let group = GROUPS[1..].iter().find(|(_, _, members)| members.contains(&name));
    match (PURPOSES.iter().find(|(known, _)| *known == name), group) {
        (Some((_, purpose)), Some((group, ..))) => format!("{purpose}; of {group}"),
        (Some((_, purpose)), None) => format!("{purpose}; in no group"),
        (None, Some((group, purpose, _))) => format!("of {group}: {purpose}"),
        (None, None) => format!("in no group: see the manual page {name}(2)"),
    }
}

#[cfg(test)]
mod tests {
    use cloister_policy::seccomp::{NEVER, Syscall};

    use super::PURPOSES;

    #[test]
    fn purposes_are_those_of_calls_that_can_be_allowed() {
        assert!(PURPOSES.is_sorted());
        for (name, _) in PURPOSES {
            assert!(Syscall::by_name(name).is_some() && !NEVER.contains(&name), "{name}");
        }
    }
}
