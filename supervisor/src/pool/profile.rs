//! From a policy's profile to what the sandbox, the control group and a job's driver need of it.

use std::path::{Path, PathBuf};

use cloister_protocol::OUT;
use cloister_sandbox::cgroup::Limits;
use cloister_sandbox::devices::Devices;
use cloister_sandbox::etc::ACCOUNT;
use cloister_sandbox::spec::{Mount, Spec, Tmpfs};
use cloister_terms::{Children, Policy, Profile, Runtime, WRITABLE, Warm};

use crate::job::bounds::Bounds;
use crate::job::interpreter;
use crate::link::launcher::IMPORT_TIME;

/// What the launcher of a profile is told.
pub fn spec(policy: &Policy, profile: &Profile, devices: Option<&Devices>) -> Spec {
    let runtime = &policy.runtimes[&profile.runtime];
    // Whole seconds, and a second line only: the exact limit is enforced on the group.
    let mut cpu_seconds = profile.cpu_time.as_secs() + 2;
    let ahead = kept(profile.warm.as_ref(), Children::Started).map(|warm| (warm, cpu_seconds));
    if ahead.is_some() {
        cpu_seconds += IMPORT_TIME.as_secs();
    }
    let mounts: Vec<_> = runtime.mounts.iter().chain(&profile.filesystem.read_only).cloned().collect();
    let place = place(&profile.working_directory, &mounts);
    Spec {
        command: interpreter::command(runtime, ahead),
        compiler: interpreter::compiler(runtime),
        environment: environment(runtime, profile),
        out: place.files.join(OUT),
        own_directory: place.own,
        mounts,
        links: runtime.links.clone(),
        devices: devices.map(|devices| devices.directory().to_owned()),
        hostname: profile.hostname.clone(),
        tmp: Tmpfs { bytes: profile.filesystem.tmp, inodes: profile.filesystem.tmp_inodes },
        shm: Tmpfs { bytes: profile.filesystem.shm, inodes: profile.filesystem.shm_inodes },
        rlimits: profile.rlimits,
        cpu_seconds,
        working_directory: profile.working_directory.clone(),
        network: profile.network,
        syscalls: profile.syscalls.iter().map(|call| call.number()).collect(),
        call_rules: profile.call_rules.clone(),
        path_rules: profile.path_rules.clone(),
        landlock_min_abi: policy.supervisor.landlock_min_abi,
    }
}

/// Where the files of a request are put, and whether that is a directory made for them.
struct Place {
    files: PathBuf,
    own: Option<PathBuf>,
}

/// They are put into the working directory, if that is one of the job's own.
fn place(working_directory: &Path, mounts: &[Mount]) -> Place {
    let directory = working_directory.to_owned();
    if WRITABLE.iter().any(|writable| directory.starts_with(writable)) {
        Place { files: directory, own: None }
    } else if mounts.iter().any(|mount| directory.starts_with(&mount.inside)) {
        Place { files: PathBuf::from(WRITABLE[0]), own: None }
    } else {
        Place { files: directory.clone(), own: Some(directory) }
    }
}

/// Variables by which libraries are told how many threads or processes are of use to them.
const THREADS: [&str; 7] = [
    "LOKY_MAX_CPU_COUNT",
    "MKL_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
];

/// The environment of every job: what is always set, and the runtime's own, which comes before what is usual.
fn environment(runtime: &Runtime, profile: &Profile) -> Vec<String> {
    let always = [("PATH", "/usr/bin"), ("HOME", "/tmp"), ("TMPDIR", "/tmp"), ("LANG", "C.UTF-8")];
    // More threads than there is time for are in each other's way, on a host with many processors by far.
    let threads = profile.cpus.0.div_ceil(1000).to_string();
    let usual = [("USER", ACCOUNT), ("LOGNAME", ACCOUNT)];
    let usual = usual.into_iter().chain(THREADS.map(|name| (name, threads.as_str())));
    let own = runtime.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let usual = usual.filter(|(name, _)| !runtime.environment.contains_key(*name));
    always.into_iter().chain(usual).chain(own).map(|(name, value)| format!("{name}={value}")).collect()
}

/// What is kept warm, if its children come to be in this way.
#[must_use]
pub fn kept(warm: Option<&Warm>, children: Children) -> Option<&Warm> {
    warm.filter(|warm| warm.children == children)
}

/// What the control group of a slot is set to.
pub fn limits(profile: &Profile) -> Limits {
    Limits {
        memory: profile.memory,
        swap: profile.swap,
        processes: profile.processes,
        cpus: profile.cpus,
        cpu_weight: profile.cpu_weight,
        ends_together: true,
    }
}

/// What is enforced on a job from outside.
pub fn bounds(policy: &Policy, profile: &Profile) -> Bounds {
    Bounds {
        language: interpreter::language(&policy.runtimes[&profile.runtime]),
        wall: profile.wall_time,
        cpu: profile.cpu_time,
        millicpus: profile.cpus.0,
        script_bytes: profile.script_bytes.0,
        result_bytes: profile.result_bytes.0,
        stdout_bytes: profile.stdout_bytes.0,
        stderr_bytes: profile.stderr_bytes.0,
        files_in: profile.files_in,
        files_in_bytes: profile.files_in_bytes.0,
        files_out: profile.files_out,
        files_out_bytes: profile.files_out_bytes.0,
        tools: profile.tools,
        sessions: profile.sessions,
        may_lower_timeout: profile.may_lower_timeout,
    }
}
