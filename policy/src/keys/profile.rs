//! The keys of `[profile.NAME]`: what a job may do and use.

use std::time::Duration;

use cloister_terms::{Bytes, MOST_SESSIONS, Millicpus};

use super::key::More;
use super::typed::{
    CallRules, KIB, MIB, Mounts, PathRules, Text, Words, absent, call_rules, calls, choice, choices, count, cpus,
    host_name, key, modules, mounts, path, path_rules, paths, size, size_from, size_or_unlimited, small, switch, table,
    table_name, time, whole, whole_or_unlimited,
};

/// The choice of a network in which the loopback interface is up.
pub(crate) const LOOPBACK: &str = "loopback";

/// The choice of children of which each is an interpreter of its own.
pub(crate) const STARTED: &str = "started";

/// The field of a request that may lower a limit.
pub(crate) const TIMEOUT: &str = "timeout_ms";

table! {
/// The keys of `[profile.NAME]`.
PROFILE of Profile {
    EXTENDS: Option<Text> = absent(
        "extends",
        table_name(),
        "The profile whose values hold where this one says nothing; without it the defaults do.",
    );
    RUNTIME: Text = key("runtime", table_name(), "\"python\"", More::Neither, "The interpreter: the NAME of a [runtime.NAME].");
    WORKING_DIRECTORY: Option<Text> = absent(
        "working_directory",
        path(),
        "Where a job starts, in place of the runtime's `working_directory`: such as /mnt/data or /home/user, where \
         scripts were told to look for their files. It is made, and shares the bounds of /tmp.",
    );
    WALL_TIME: Duration = key(
        "wall_time",
        time(1, 24),
        "\"10s\"",
        More::Looser,
        "Time from request to answer. At its end everything in the sandbox is dead.",
    );
    CPU_TIME: Duration = key("cpu_time", time(1, 24), "\"10s\"", More::Looser, "CPU time of all processes of the job together.");
    MEMORY: Bytes = key(
        "memory",
        size_from(16 * MIB),
        "\"512MiB\"",
        More::Looser,
        "Memory of all processes together; /tmp, /dev/shm and pipes count.",
    );
    SWAP: Bytes = key("swap", size_from(0), "\"0B\"", More::Looser, "Swap on top of `memory`.");
    PROCESSES: u32 = key("processes", small(1, 65_536), "64", More::Looser, "Processes and threads at once.");
    CPUS: Millicpus = key(
        "cpus",
        cpus(10, 1_024_000),
        "1.0",
        More::Looser,
        "The most CPU time at once, in CPUs: 0.5 is half a CPU.",
    );
    CPU_WEIGHT: u32 = key(
        "cpu_weight",
        small(1, 10_000),
        "100",
        More::Looser,
        "The job's share of CPU time against others when there is not enough for all; 200 is twice what 100 gets.",
    );
    NETWORK: Text = key(
        "network",
        choice(&["none", LOOPBACK]),
        "\"none\"",
        More::Looser,
        "\"none\": a network namespace with no interface up. \"loopback\": one of the job's own in which 127.0.0.1 and \
         ::1 work, with TCP and UDP. Nothing outside the sandbox can be reached either way.",
    );
    HOSTNAME: Text = key("hostname", host_name(), "\"cloister\"", More::Neither, "The host name inside.");
    SCRIPT_BYTES: Bytes = key("script_bytes", size_from(1), "\"1MiB\"", More::Looser, "The largest script; larger requests get 413.");
    RESULT_BYTES: Bytes = key(
        "result_bytes",
        size_from(1),
        "\"8MiB\"",
        More::Looser,
        "The largest result, in bytes of JSON; beyond it the answer is result_too_large.",
    );
    STDOUT_BYTES: Bytes = key(
        "stdout_bytes",
        size_from(0),
        "\"1MiB\"",
        More::Looser,
        "Standard output that is kept. What is printed beyond it is dropped, and the answer says so.",
    );
    STDERR_BYTES: Bytes = key("stderr_bytes", size_from(0), "\"1MiB\"", More::Looser, "Standard error that is kept, likewise.");
    FILES_IN: u64 = key("files_in", whole(0, 65_536), "256", More::Looser, "Files that a request may bring; more get 413.");
    FILES_IN_BYTES: Bytes = key(
        "files_in_bytes",
        size_from(0),
        "\"8MiB\"",
        More::Looser,
        "What is in them together; they also have to fit in `filesystem.tmp`, and the request in the gateway's --max-body.",
    );
    FILES_OUT: u64 = key(
        "files_out",
        whole(0, 4096),
        "64",
        More::Looser,
        "Files that a script leaves in `out`, or that `files_out` of a request names, and that are returned. Beyond it they are named without their content, and \
         the answer says so.",
    );
    FILES_OUT_BYTES: Bytes = key("files_out_bytes", size_from(0), "\"8MiB\"", More::Looser, "What is in them together, likewise.");
    TOOLS_WAIT: Duration = key(
        "tools.wait",
        time(1, 24),
        "\"1m\"",
        More::Looser,
        "How long a script waits for what its call of a tool of the client's returns; then the call fails, in the script. \
         Wall time stands still meanwhile, as far as the job computes nothing.",
    );
    TOOLS_TOTAL: Duration = key("tools.total", time(1, 24), "\"5m\"", More::Looser, "How long a job waits for all of its calls together; at its end everything in the sandbox is dead.");
    TOOLS_MOST: u32 = key("tools.most", small(0, 100_000), "200", More::Looser, "Calls of tools that a job may make; more of them fail, in the script.");
    TOOLS_BYTES: Bytes = key("tools.bytes", size_from(64), "\"1MiB\"", More::Looser, "The largest arguments of a call, and the largest value that one returns, in bytes of JSON.");
    SESSIONS_MOST: u32 = key("sessions.most", small(0, MOST_SESSIONS), "64", More::Looser, "Sessions of the profile that a key may have open; more get 429, and with 0 all do.");
    SESSIONS_IDLE: Duration = key("sessions.idle", time(1000, 24 * 30), "\"10m\"", More::Looser, "How long a session stays without a cell; a request may ask for less.");
    SESSIONS_LIFETIME: Duration = key("sessions.lifetime", time(1000, 24 * 30), "\"12h\"", More::Looser, "How long a session stays at all, whatever comes.");
    SESSIONS_INTERRUPT_WAIT: Duration = key(
        "sessions.interrupt_wait",
        time(1, 1),
        "\"2s\"",
        More::Looser,
        "How long a cell that was interrupted may go on; then it is ended, and the session is as it was before it.",
    );
    MAY_LOWER: Words = key(
        "may_lower",
        choices(&[TIMEOUT]),
        "[\"timeout_ms\"]",
        More::Neither,
        "Limits that a request may lower for itself, by the names of its fields. None can be raised.",
    );
    WARM: bool = key(
        "warm",
        switch(),
        "false",
        More::Neither,
        "Whether interpreters are kept warm: modules imported and children parked ahead of requests. With `false` an \
         interpreter is started for each job, when its request comes.",
    );
    WARM_IMPORTS: Words = key("warm.imports", modules(), "[]", More::Neither, "Modules that are imported ahead of requests.");
    WARM_PARKED: u32 = key("warm.parked", count(1, 4096), "4", More::Neither, "Children that wait for requests.");
    WARM_CHILDREN: Text = key(
        "warm.children",
        choice(&[STARTED, "forked"]),
        "\"forked\"",
        More::Neither,
        "\"forked\": from one process that did the imports, with which all of them share the address-space layout and the \
         secret behind `hash(str)`; a place is filled in milliseconds. \"started\": each is an interpreter that does the \
         imports itself, so that it shares neither; they take their time and memory for each job, ahead of its request.",
    );
    WARM_RENEW: Duration = key(
        "warm.renew",
        time(1, 24 * 30),
        "\"1h\"",
        More::Neither,
        "How often the process that children are forked from is replaced, and the address-space layout with it. For \
         children that are started there is none.",
    );
    WARM_MEMORY: Option<Bytes> = absent(
        "warm.memory",
        size_from(0),
        "What processes may hold that import, beside this one's modules, what scripts are seen to import most, of the packages \
         that the runtime brings: what no two of them share. All profiles together have as much as one of them may. Without \
         it a quarter of the host's memory, and none where a control group of version 2 bounds the service's, as in a container; with \"0B\" there are none.",
    );
    WARM_IDLE: Duration = key("warm.idle", time(1, 24 * 30), "\"10m\"", More::Neither, "How long such a process stays that nothing is asked of.");
    FILESYSTEM_TMP: Bytes = key("filesystem.tmp", size_from(4 * KIB), "\"64MiB\"", More::Looser, "Size of /tmp: working directory and home. A working directory elsewhere counts in it too.");
    FILESYSTEM_TMP_INODES: u64 = key("filesystem.tmp_inodes", whole(8, 100_000_000), "4096", More::Looser, "Files and directories in /tmp.");
    FILESYSTEM_SHM: Bytes = key("filesystem.shm", size_from(4 * KIB), "\"64MiB\"", More::Looser, "Size of /dev/shm: the shared memory of multiprocessing.");
    FILESYSTEM_SHM_INODES: u64 = key("filesystem.shm_inodes", whole(8, 100_000_000), "1024", More::Looser, "Files in /dev/shm.");
    FILESYSTEM_READ_ONLY: Mounts = key(
        "filesystem.read_only",
        mounts(),
        "[]",
        More::Looser,
        "More paths of the host, read-only, nosuid and nodev: \"/host/path\" or \"/host/path:/path/inside\".",
    );
    FILESYSTEM_ALLOW_DANGEROUS: Words = key(
        "filesystem.allow_dangerous",
        paths(),
        "[]",
        More::Looser,
        "Host paths that `read_only` may name although they show secrets or sockets of the host.",
    );
    RLIMITS_OPEN_FILES: u64 = key("rlimits.open_files", whole(16, 65_536), "256", More::Looser, "Open files of a process (RLIMIT_NOFILE).");
    RLIMITS_FILE_SIZE: Bytes = key("rlimits.file_size", size_from(4 * KIB), "\"64MiB\"", More::Looser, "The largest file (RLIMIT_FSIZE).");
    RLIMITS_STACK: Bytes = key("rlimits.stack", size_from(256 * KIB), "\"64MiB\"", More::Looser, "Stack of a process's first thread (RLIMIT_STACK).");
    RLIMITS_ADDRESS_SPACE: Bytes = key(
        "rlimits.address_space",
        size_or_unlimited(64 * MIB),
        "\"unlimited\"",
        More::Looser,
        "Address space of a process (RLIMIT_AS). Numeric libraries reserve much more than they use; `memory` is the \
         limit that counts.",
    );
    RLIMITS_DATA: Bytes = key("rlimits.data", size_or_unlimited(16 * MIB), "\"unlimited\"", More::Looser, "Heap and private mappings of a process (RLIMIT_DATA).");
    RLIMITS_PROCESSES: u64 = key(
        "rlimits.processes",
        whole_or_unlimited(1, 65_536),
        "\"unlimited\"",
        More::Looser,
        "Processes and threads of the job's own id (RLIMIT_NPROC), a second line behind `processes`.",
    );
    RLIMITS_PENDING_SIGNALS: u64 = key(
        "rlimits.pending_signals",
        whole(0, 65_536),
        "256",
        More::Looser,
        "Queued signals and timers (RLIMIT_SIGPENDING). Beyond the job's own they count as those of the host's root.",
    );
    RLIMITS_MESSAGE_QUEUES: Bytes = key(
        "rlimits.message_queues",
        size(0, 800 * KIB),
        "\"0B\"",
        More::Looser,
        "POSIX message queues (RLIMIT_MSGQUEUE). Their calls are in no group and have to be allowed too.",
    );
    #[expect(dead_code, reason = "there is but one value")]
    RLIMITS_CORE: Bytes = key(
        "rlimits.core",
        size(0, 0),
        "\"0B\"",
        More::Looser,
        "Core files (RLIMIT_CORE). Always none: one would be written outside the limits of the sandbox.",
    );
    #[expect(dead_code, reason = "there is but one value")]
    RLIMITS_LOCKED_MEMORY: Bytes = key(
        "rlimits.locked_memory",
        size(0, 0),
        "\"0B\"",
        More::Looser,
        "Memory that cannot be reclaimed (RLIMIT_MEMLOCK). Always none.",
    );
    #[expect(dead_code, reason = "there is but one value")]
    RLIMITS_NICE: u64 = key(
        "rlimits.nice",
        whole(0, 0),
        "0",
        More::Looser,
        "How far a process may raise its own priority (RLIMIT_NICE). Always not at all; `cpu_weight` sets the share.",
    );
    #[expect(dead_code, reason = "there is but one value")]
    RLIMITS_REALTIME_PRIORITY: u64 = key(
        "rlimits.realtime_priority",
        whole(0, 0),
        "0",
        More::Looser,
        "Real-time priority (RLIMIT_RTPRIO). Always none: such a process could hold a CPU for ever.",
    );
    SECCOMP_ALLOW: Words = key(
        "seccomp.allow",
        calls(),
        "[\"@python\"]",
        More::Looser,
        "Groups and single system calls that are allowed; `cloister policy syscalls` lists the groups. All others get \
         EPERM.",
    );
    SECCOMP_RULES: CallRules = key(
        "seccomp.rules",
        call_rules(),
        "[]",
        More::Neither,
        "What becomes of single calls, by their arguments. Refusals and logging come first, in the order of the list; \
         then `seccomp.allow` and the rules that allow. \"-name\" takes away the inherited rules for a call.",
    );
    LANDLOCK_RULES: PathRules = key(
        "landlock.rules",
        path_rules(),
        "[]",
        More::Neither,
        "What Landlock grants below a path, in place of what it would: read, list and execute on read-only paths, \
         read, list and write on /tmp and /dev/shm. \"-/path\" takes away an inherited rule.",
    );
}
}
