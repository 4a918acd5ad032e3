//! The system calls that a policy may allow by their own names alone.

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
