//! From the values of a file without errors to the policy.

use std::path::PathBuf;

use cloister_terms::{
    Children, Filesystem, Network, Policy, Profile, Rlimits, Runner, Runtime, SessionLimits, Supervisor, ToolLimits,
    Uid, Warm,
};

use crate::keys::profile::{self as key, LOOPBACK, STARTED, TIMEOUT};
use crate::keys::{runtime, supervisor};
use crate::read::{Placed, Tables, Values};
use crate::seccomp;

/// What the supervisor works from.
pub(crate) fn build(tables: &Tables, digest: String) -> Policy {
    let runtimes = tables.runtimes.iter().map(|(name, values)| (name.clone(), build_runtime(values))).collect();
    let profiles =
        tables.profiles.iter().map(|(name, values)| (name.clone(), build_profile(tables, name, values))).collect();
    Policy { supervisor: build_supervisor(tables), runtimes, profiles, digest }
}

fn build_supervisor(tables: &Tables) -> Supervisor {
    let values = &tables.supervisor;
    Supervisor {
        slots: values.of(supervisor::SLOTS),
        queue: values.of(supervisor::QUEUE),
        queue_wait: values.of(supervisor::QUEUE_WAIT),
        answers: values.of(supervisor::ANSWERS),
        sessions: session_count(tables),
        sessions_memory: values.of(supervisor::SESSIONS_MEMORY),
        uid_base: Uid(values.of(supervisor::UID_BASE)),
        uid_count: values.of(supervisor::UID_COUNT),
        landlock_min_abi: values.of(supervisor::LANDLOCK_MIN_ABI),
    }
}

/// How many sessions there may be: where the file does not say it, no more than there are ids for.
fn session_count(tables: &Tables) -> u32 {
    let values = &tables.supervisor;
    let sessions = values.of(supervisor::SESSIONS);
    if values.span(supervisor::SESSIONS).is_some() {
        return sessions;
    }
    let warm = tables.profiles.values().filter(|values| values.of(key::WARM));
    let others = warm.fold(values.of(supervisor::SLOTS), |sum, values| sum.saturating_add(values.of(key::WARM_PARKED)));
    let left = values.of(supervisor::UID_COUNT).saturating_sub(others.saturating_add(2));
    sessions.min(left)
}

fn build_runtime(values: &Values<runtime::Runtime>) -> Runtime {
    let link = |(name, target): (&String, &String)| (name.clone(), PathBuf::from(target));
    Runtime {
        interpreter: PathBuf::from(values.of(runtime::INTERPRETER).unwrap_or_default()),
        runner: if values.of(runtime::RUNNER) == runtime::OWN { Runner::Own } else { Runner::Python },
        mounts: plain(values.of(runtime::MOUNTS).unwrap_or_default()),
        links: values.of(runtime::LINKS).iter().map(link).collect(),
        environment: values.of(runtime::ENVIRONMENT).clone(),
        // Of these only the host can tell.
        python: None,
        packages: Vec::new(),
        modules: Vec::new(),
    }
}

fn build_profile(tables: &Tables, name: &str, values: &Values<key::Profile>) -> Profile {
    let directory = values.of(key::WORKING_DIRECTORY);
    let runtimes = tables.runtimes.get(values.of(key::RUNTIME)).map(|runtime| runtime.of(runtime::WORKING_DIRECTORY));
    Profile {
        name: name.to_owned(),
        runtime: values.of(key::RUNTIME).to_owned(),
        working_directory: PathBuf::from(directory.or(runtimes).unwrap_or_default()),
        wall_time: values.of(key::WALL_TIME),
        cpu_time: values.of(key::CPU_TIME),
        memory: values.of(key::MEMORY),
        swap: values.of(key::SWAP),
        processes: values.of(key::PROCESSES),
        cpus: values.of(key::CPUS),
        cpu_weight: values.of(key::CPU_WEIGHT),
        network: if values.of(key::NETWORK) == LOOPBACK { Network::Loopback } else { Network::None },
        hostname: values.of(key::HOSTNAME).to_owned(),
        script_bytes: values.of(key::SCRIPT_BYTES),
        result_bytes: values.of(key::RESULT_BYTES),
        stdout_bytes: values.of(key::STDOUT_BYTES),
        stderr_bytes: values.of(key::STDERR_BYTES),
        files_in: values.of(key::FILES_IN),
        files_in_bytes: values.of(key::FILES_IN_BYTES),
        files_out: values.of(key::FILES_OUT),
        files_out_bytes: values.of(key::FILES_OUT_BYTES),
        tools: tools(values),
        sessions: sessions(values),
        may_lower_timeout: values.of(key::MAY_LOWER).iter().any(|word| word.value == TIMEOUT),
        filesystem: Filesystem {
            tmp: values.of(key::FILESYSTEM_TMP),
            tmp_inodes: values.of(key::FILESYSTEM_TMP_INODES),
            shm: values.of(key::FILESYSTEM_SHM),
            shm_inodes: values.of(key::FILESYSTEM_SHM_INODES),
            read_only: plain(values.of(key::FILESYSTEM_READ_ONLY)),
        },
        rlimits: rlimits(values),
        syscalls: seccomp::resolve(values.of(key::SECCOMP_ALLOW).iter().map(|word| word.value.as_str())),
        call_rules: plain(values.of(key::SECCOMP_RULES)),
        path_rules: plain(values.of(key::LANDLOCK_RULES)),
        warm: values.of(key::WARM).then(|| warm(values)),
    }
}

fn rlimits(values: &Values<key::Profile>) -> Rlimits {
    Rlimits {
        open_files: values.of(key::RLIMITS_OPEN_FILES),
        file_size: values.of(key::RLIMITS_FILE_SIZE),
        stack: values.of(key::RLIMITS_STACK),
        address_space: values.of(key::RLIMITS_ADDRESS_SPACE),
        data: values.of(key::RLIMITS_DATA),
        processes: values.of(key::RLIMITS_PROCESSES),
        pending_signals: values.of(key::RLIMITS_PENDING_SIGNALS),
        message_queues: values.of(key::RLIMITS_MESSAGE_QUEUES),
    }
}

fn tools(values: &Values<key::Profile>) -> ToolLimits {
    ToolLimits {
        wait: values.of(key::TOOLS_WAIT),
        total: values.of(key::TOOLS_TOTAL),
        most: values.of(key::TOOLS_MOST),
        bytes: values.of(key::TOOLS_BYTES),
    }
}

fn sessions(values: &Values<key::Profile>) -> SessionLimits {
    SessionLimits {
        most: values.of(key::SESSIONS_MOST),
        idle: values.of(key::SESSIONS_IDLE),
        lifetime: values.of(key::SESSIONS_LIFETIME),
        interrupt_wait: values.of(key::SESSIONS_INTERRUPT_WAIT),
    }
}

fn warm(values: &Values<key::Profile>) -> Warm {
    Warm {
        imports: plain(values.of(key::WARM_IMPORTS)),
        parked: values.of(key::WARM_PARKED),
        renew: values.of(key::WARM_RENEW),
        memory: values.of(key::WARM_MEMORY),
        idle: values.of(key::WARM_IDLE),
        children: if values.of(key::WARM_CHILDREN) == STARTED { Children::Started } else { Children::Forked },
    }
}

/// The items of a list without their places.
fn plain<T: Clone>(items: &[Placed<T>]) -> Vec<T> {
    items.iter().map(|item| item.value.clone()).collect()
}
