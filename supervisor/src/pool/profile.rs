//! From a policy's profile to what the sandbox, the control group and a job's driver need of it.

use std::path::Path;

use cloister_policy::rules::{self, Access, Action};
use cloister_policy::{Children, Network, Policy, Profile, Warm};
use cloister_protocol::OUT;
use cloister_sandbox::cgroup::Limits;
use cloister_sandbox::devices::Devices;
use cloister_sandbox::root;
use cloister_sandbox::spec::{self, CallRule, Mount, PathRule, Rlimits, Spec, Tmpfs};

use crate::job::bounds::Bounds;
use crate::job::interpreter;
use crate::link::launcher::IMPORT_TIME;

/// What the launcher of a profile is told.
pub fn spec(policy: &Policy, profile: &Profile, devices: Option<&Devices>) -> Spec {
    let runtime = &policy.runtimes[&profile.runtime];
    let mut environment: Vec<String> =
        ["PATH=/usr/bin", "HOME=/tmp", "TMPDIR=/tmp", "LANG=C.UTF-8"].map(str::to_owned).to_vec();
    environment.extend(runtime.environment.iter().map(|(name, value)| format!("{name}={value}")));
    let mount =
        |mount: &cloister_policy::ReadOnlyMount| Mount { host: mount.host.clone(), inside: mount.inside.clone() };
    // Whole seconds, and a second line only: the exact limit is enforced on the group.
    let mut cpu_seconds = profile.cpu_time.as_secs() + 2;
    let ahead = kept(profile.warm.as_ref(), Children::Started).map(|warm| (warm, cpu_seconds));
    if ahead.is_some() {
        cpu_seconds += IMPORT_TIME.as_secs();
    }
    Spec {
        command: interpreter::command(runtime, ahead),
        environment,
        mounts: runtime.mounts.iter().chain(&profile.filesystem.read_only).map(mount).collect(),
        links: runtime.links.clone(),
        devices: devices.map(|devices| devices.directory().to_owned()),
        hostname: profile.hostname.clone(),
        tmp: Tmpfs { bytes: profile.filesystem.tmp.0, inodes: profile.filesystem.tmp_inodes },
        shm: Tmpfs { bytes: profile.filesystem.shm.0, inodes: profile.filesystem.shm_inodes },
        rlimits: Rlimits {
            open_files: profile.rlimits.open_files,
            file_size: profile.rlimits.file_size.0,
            stack: profile.rlimits.stack.0,
            cpu_seconds,
            address_space: profile.rlimits.address_space.0,
            data: profile.rlimits.data.0,
            processes: profile.rlimits.processes,
            pending_signals: profile.rlimits.pending_signals,
            message_queues: profile.rlimits.message_queues.0,
        },
        working_directory: runtime.working_directory.clone(),
        out: files_directory(&runtime.working_directory).join(OUT),
        network: match profile.network {
            Network::None => spec::Network::None,
            Network::Loopback => spec::Network::Loopback,
        },
        syscalls: profile.syscalls.iter().map(|call| call.number()).collect(),
        call_rules: profile.call_rules.iter().map(call_rule).collect(),
        path_rules: profile.path_rules.iter().map(path_rule).collect(),
        landlock_min_abi: policy.supervisor.landlock_min_abi,
    }
}

/// Where the files of a request are put: the working directory, if that is on a file system of the job's own.
fn files_directory(working_directory: &Path) -> &Path {
    if root::writable_root(working_directory).is_some() { working_directory } else { Path::new("/tmp") }
}

fn call_rule(rule: &rules::CallRule) -> CallRule {
    CallRule {
        number: rule.call.number(),
        conditions: rule.when.iter().map(condition).collect(),
        action: match rule.action {
            Action::Allow => spec::CallAction::Allow,
            Action::Log => spec::CallAction::Log,
            Action::Errno(errno) => spec::CallAction::Errno(errno.number()),
            Action::Kill => spec::CallAction::Kill,
        },
    }
}

fn condition(condition: &rules::Condition) -> spec::Condition {
    spec::Condition {
        argument: condition.argument,
        narrow: condition.narrow,
        comparison: match (condition.comparison, condition.mask) {
            (rules::Comparison::Equal, Some(mask)) => spec::Comparison::EqualIn(mask),
            (rules::Comparison::Equal, None) => spec::Comparison::Equal,
            (rules::Comparison::NotEqual, _) => spec::Comparison::NotEqual,
            (rules::Comparison::Less, _) => spec::Comparison::Less,
            (rules::Comparison::AtMost, _) => spec::Comparison::AtMost,
            (rules::Comparison::More, _) => spec::Comparison::More,
            (rules::Comparison::AtLeast, _) => spec::Comparison::AtLeast,
        },
        value: condition.value,
    }
}

fn path_rule(rule: &rules::PathRule) -> PathRule {
    let grants = |access| rule.access.contains(&access);
    PathRule {
        path: rule.path.clone(),
        read: grants(Access::Read),
        list: grants(Access::List),
        execute: grants(Access::Execute),
        write: grants(Access::Write),
    }
}

/// What is kept warm, if its children come to be in this way.
#[must_use]
pub fn kept(warm: Option<&Warm>, children: Children) -> Option<&Warm> {
    warm.filter(|warm| warm.children == children)
}

/// What the control group of a slot is set to.
pub fn limits(profile: &Profile) -> Limits {
    Limits {
        memory: profile.memory.0,
        swap: profile.swap.0,
        processes: profile.processes,
        millicpus: profile.millicpus,
        cpu_weight: profile.cpu_weight,
    }
}

/// What is enforced on a job from outside.
pub fn bounds(policy: &Policy, profile: &Profile) -> Bounds {
    Bounds {
        language: interpreter::language(&policy.runtimes[&profile.runtime]),
        wall: profile.wall_time,
        cpu: profile.cpu_time,
        millicpus: profile.millicpus,
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
