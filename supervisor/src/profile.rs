//! From a policy's profile to what the sandbox, the control group and a job's driver need of it.

use std::path::Path;
use std::time::Duration;

use cloister_policy::{Children, Policy, Profile, Warm};
use cloister_protocol::OUT;
use cloister_sandbox::cgroup::Limits;
use cloister_sandbox::devices::Devices;
use cloister_sandbox::root;
use cloister_sandbox::spec::{Layer, Spec, Tmpfs};

use crate::launcher::IMPORT_TIME;

/// The Python part of a job, part of this program so that the two can never differ.
const RUNNER: &str = include_str!("../zygote/runner.py");

/// The Python part of a zygote.
const ZYGOTE: &str = include_str!("../zygote/zygote.py");

/// Bounds of one job that are enforced from outside the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Time from request to verdict.
    pub wall: Duration,
    /// CPU time of all processes.
    pub cpu: Duration,
    /// How fast CPU time can be used up: thousandths of a CPU.
    pub millicpus: u32,
    /// Largest script.
    pub script_bytes: u64,
    /// Largest result.
    pub result_bytes: u64,
    /// Standard output kept.
    pub stdout_bytes: u64,
    /// Standard error kept.
    pub stderr_bytes: u64,
    /// Files that a request may bring.
    pub files_in: u64,
    /// What is in them together.
    pub files_in_bytes: u64,
    /// Files that are returned.
    pub files_out: u64,
    /// What is in them together.
    pub files_out_bytes: u64,
    /// Whether a request may lower its wall time.
    pub may_lower_timeout: bool,
}

/// What the launcher of a profile is told.
pub fn spec(policy: &Policy, profile: &Profile, without: &[Layer], devices: Option<&Devices>) -> Spec {
    let runtime = &policy.runtimes[&profile.runtime];
    let interpreter = runtime.interpreter.to_string_lossy().into_owned();
    let mut environment: Vec<String> =
        ["PATH=/usr/bin", "HOME=/tmp", "TMPDIR=/tmp", "LANG=C.UTF-8"].map(str::to_owned).to_vec();
    environment.extend(runtime.environment.iter().map(|(name, value)| format!("{name}={value}")));
    let mut command = [&interpreter, "-I", "-X", "utf8", "-B", "-c", RUNNER].map(String::from).to_vec();
    // Whole seconds, and a second line only: the exact limit is enforced on the group.
    let mut cpu_seconds = profile.cpu_time.as_secs() + 2;
    if let Some(warm) = kept(profile.warm.as_ref(), Children::Started) {
        command.extend(["ahead".to_owned(), cpu_seconds.to_string()]);
        command.extend(warm.imports.iter().cloned());
        cpu_seconds += IMPORT_TIME.as_secs();
    }
    Spec {
        command,
        environment,
        mounts: runtime.mounts.iter().chain(&profile.filesystem.read_only).cloned().collect(),
        links: runtime.links.clone(),
        devices: devices.map(|devices| devices.directory().to_owned()),
        hostname: profile.hostname.clone(),
        tmp: Tmpfs { bytes: profile.filesystem.tmp, inodes: profile.filesystem.tmp_inodes },
        shm: Tmpfs { bytes: profile.filesystem.shm, inodes: profile.filesystem.shm_inodes },
        rlimits: profile.rlimits,
        cpu_seconds,
        working_directory: runtime.working_directory.clone(),
        out: files_directory(&runtime.working_directory).join(OUT),
        network: profile.network,
        syscalls: profile.syscalls.iter().map(|call| call.number()).collect(),
        call_rules: profile.call_rules.clone(),
        path_rules: profile.path_rules.clone(),
        landlock_min_abi: policy.supervisor.landlock_min_abi,
        without: without.to_vec(),
        recorded: false,
    }
}

/// Where the files of a request are put: the working directory, if that is on a file system of the job's own.
fn files_directory(working_directory: &Path) -> &Path {
    if root::writable_root(working_directory).is_some() { working_directory } else { Path::new("/tmp") }
}

/// What is kept warm, if its children come to be in this way.
#[must_use]
pub fn kept(warm: Option<&Warm>, children: Children) -> Option<&Warm> {
    warm.filter(|warm| warm.children == children)
}

/// The command of a zygote of this profile: as a job's, with another program.
pub fn zygote_command(spec: &Spec, imports: &[String]) -> Vec<String> {
    let (_, interpreter) = spec.command.split_last().expect("a command is never empty");
    let own = [ZYGOTE, RUNNER].map(str::to_owned);
    interpreter.iter().cloned().chain(own).chain(imports.iter().cloned()).collect()
}

/// What the control group of a slot is set to.
pub fn limits(profile: &Profile) -> Limits {
    Limits {
        memory: profile.memory,
        swap: profile.swap,
        processes: profile.processes,
        cpus: profile.cpus,
        cpu_weight: profile.cpu_weight,
    }
}

/// What is enforced on a job from outside.
pub fn bounds(profile: &Profile) -> Bounds {
    Bounds {
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
        may_lower_timeout: profile.may_lower_timeout,
    }
}
