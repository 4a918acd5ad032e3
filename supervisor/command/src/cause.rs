//! Why the kernel refused a step that this host can do: what a container, a service or a rule of the host has taken away
//! from this process, told apart by what it can read of itself; and what gives it back, for a pod as its line of YAML.
//!
//! It only reads. What it says of a refusal is only what it has seen a reason for.

use std::fs;
use std::path::PathBuf;

use caps::{CapSet, Capability};
use cloister_sandbox::cgroup::{Layout, Version};
use cloister_supervisor::confine::KEPT;
use cloister_supervisor::id_map::IdMap;
use nix::unistd::{AccessFlags, access};

/// Where all of it is found.
pub const ANOTHER_HOST: &str =
    "use a virtual machine or a physical one with Debian 12 or newer, such as on GCE, or a node of GKE without gVisor";

/// System calls that a filter may refuse to who would otherwise succeed, as the sandbox names its steps.
const CALLS: [&str; 16] = [
    "clone3",
    "unshare",
    "setns",
    "mount",
    "umount",
    "pivot_root",
    "open_tree",
    "move_mount",
    "mount_setattr",
    "fsopen",
    "fsconfig",
    "fsmount",
    "sethostname",
    "setdomainname",
    "keyctl",
    "mknod",
];

const EPERM: &str = "(os error 1)";
const EACCES: &str = "(os error 13)";
const ENOSYS: &str = "(os error 38)";

/// What was done to this process, as it was before it confined itself.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// Its system calls go through a filter.
    filtered: bool,
    /// What is mounted over parts of its `/proc`.
    covered: Vec<String>,
    /// The profile of AppArmor that it is under.
    apparmor: Option<String>,
    /// It is in a user namespace that has not all ids.
    few_ids: bool,
}

impl Surroundings {
    /// Reads it; before [`confine`](cloister_supervisor::confine::confine), which adds a filter.
    #[must_use]
    pub fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self {
            filtered: is_filtered(),
            covered: covered(&read("/proc/self/mountinfo")),
            apparmor: profile(&label()),
            few_ids: !IdMap::own().is_hosts(),
        }
    }

    /// A refusal, with what is behind it where that can be seen.
    #[must_use]
    pub fn explain(&self, refusal: &str) -> String {
        match self.cause(refusal) {
            Some(cause) => format!("{refusal}: {cause}"),
            None => refusal.to_owned(),
        }
    }

    fn cause(&self, refusal: &str) -> Option<String> {
        let said = |errno: &str| refusal.ends_with(errno);
        if said(EACCES) && self.few_ids && refusal.contains("enter the cgroup") {
            return Some(format!(
                "control groups of version 1 cannot be ruled from inside of a user namespace: hostUsers: true, or {ANOTHER_HOST}"
            ));
        }
        let call = call(refusal)?;
        if call == "fsmount" && said(EPERM) && !self.covered.is_empty() {
            return Some(format!(
                "the container's /proc is masked ({}), and then the kernel lets nobody mount another: \
                 securityContext.procMount: Unmasked (podman: --security-opt unmask=ALL)",
                shortened(&self.covered)
            ));
        }
        // A filter says EPERM or ENOSYS, a profile of AppArmor mostly EACCES.
        if let Some(profile) = self.apparmor.as_ref().filter(|_| said(EACCES) || (said(EPERM) && !self.filtered)) {
            return Some(format!(
                "the AppArmor profile {profile} refuses {call}: \
                 securityContext.appArmorProfile: {{type: Unconfined}}, or one of type Localhost that allows it"
            ));
        }
        if self.filtered && (said(EPERM) || said(ENOSYS)) {
            return Some(format!(
                "the container's or the service's own filter of system calls refuses {call}: securityContext.seccompProfile: \
                 {{type: Localhost, localhostProfile: cloister.json}}, which is image/seccomp.json of the source, or {ANOTHER_HOST}"
            ));
        }
        None
    }
}

/// The capabilities that the supervisor needs and this process has not, and how a pod gets them.
///
/// # Errors
/// Which are missing.
pub fn capabilities() -> Result<(), String> {
    let held = caps::read(None, CapSet::Effective).unwrap_or_default();
    // Where there is nothing to take out of the bounding set it takes no power to do so.
    let bounded = caps::read(None, CapSet::Bounding).unwrap_or_default().iter().all(|bound| KEPT.contains(bound));
    let needed = |capability: &&Capability| **capability != Capability::CAP_SETPCAP || !bounded;
    let missing: Vec<_> = KEPT.iter().filter(needed).filter(|needed| !held.contains(*needed)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let named = |capabilities: &[String]| capabilities.join(", ");
    let missing: Vec<_> = missing.iter().map(ToString::to_string).collect();
    let all: Vec<_> = KEPT.iter().map(|capability| capability.to_string().replace("CAP_", "")).collect();
    Err(format!(
        "{} missing: securityContext.capabilities: {{drop: [ALL], add: [{}]}} (systemd: CapabilityBoundingSet=)",
        named(&missing),
        named(&all)
    ))
}

/// Whether groups can be made, as far as the mount decides it.
///
/// # Errors
/// Where it is mounted read-only, and how a pod gets it otherwise.
pub fn writable(layout: &Layout) -> Result<(), String> {
    let read_only = |path: &PathBuf| access(path, AccessFlags::W_OK) == Err(nix::errno::Errno::EROFS);
    let Some(path) = layout.mounts().into_iter().find(read_only) else { return Ok(()) };
    let mended = match layout.version() {
        Version::V1 => {
            "volumes: [{name: cgroup, hostPath: {path: /sys/fs/cgroup}}] and volumeMounts: [{name: cgroup, mountPath: /sys/fs/cgroup}] \
             (podman: -v /sys/fs/cgroup:/sys/fs/cgroup:rw)"
        }
        Version::V2 => {
            "a node whose runtime has writable cgroups (containerd 2.1: cgroup_writable = true), or \
             securityContext.privileged: true (podman: --security-opt unmask=ALL)"
        }
    };
    Err(format!("{}, {} is mounted read-only, as in a container: {mended}", layout.version(), path.display()))
}

/// Whether system calls of this process go through a seccomp filter, which may hide what the kernel has: `proc_pid_status(5)`.
#[must_use]
pub fn is_filtered() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("\nSeccomp:\t2"))
}

/// The system call that a refusal is about: of `what was being done: its object: what the kernel said`, the last that
/// begins with one.
fn call(refusal: &str) -> Option<&'static str> {
    let steps = refusal.split(": ").map(|step| step.split(' ').next().unwrap_or_default());
    steps.filter_map(|first| CALLS.into_iter().find(|call| *call == first)).last()
}

/// What lies over `/proc`, but for the empty directories that the kernel has there for it: `mount_too_revealing` in its
/// `fs/namespace.c`.
fn covered(mountinfo: &str) -> Vec<String> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    let over = points.filter(|point| point.starts_with("/proc/") && *point != "/proc/sys/fs/binfmt_misc");
    over.map(str::to_owned).collect()
}

/// What AppArmor has this process be, such as `unconfined`; nothing where there is no AppArmor: apparmor(7).
#[must_use]
pub fn label() -> String {
    fs::read_to_string("/proc/self/attr/apparmor/current").unwrap_or_default()
}

/// The profile of AppArmor in a label such as `containers-default-0.50.1 (enforce)`; or the profiles, of which some are enforced, where
/// that of who started it stays in force beside: `containers-default-0.62.2//&crun (mixed)`.
fn profile(label: &str) -> Option<String> {
    let label = label.trim();
    label.strip_suffix(" (enforce)").or_else(|| label.strip_suffix(" (mixed)")).map(str::to_owned)
}

fn shortened(paths: &[String]) -> String {
    match paths {
        [one, two, _, rest @ ..] => format!("{one}, {two} and {} more", rest.len() + 1),
        few => few.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::{Surroundings, call, covered, profile};

    const CONTAINER: &str = "\
1 0 0:50 / / ro - overlay overlay ro
2 1 0:51 / /proc rw,nosuid - proc proc rw
3 2 0:51 /sys /proc/sys ro - proc proc rw
4 2 0:52 / /proc/kcore rw - tmpfs tmpfs rw
5 2 0:53 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw";

    fn around(filtered: bool, apparmor: bool, mounts: &str) -> Surroundings {
        let apparmor = apparmor.then(|| "containers-default".to_owned());
        Surroundings { filtered, covered: covered(mounts), apparmor, few_ids: false }
    }

    #[test]
    fn a_masked_proc_is_told_from_a_filter() {
        let refusal = "start the launcher of profile \"default\": fsmount proc: Operation not permitted (os error 1)";
        let masked = around(true, false, CONTAINER).explain(refusal);
        assert!(masked.contains("procMount: Unmasked") && masked.contains("(/proc/sys, /proc/kcore)"), "{masked}");
        let filtered = around(true, false, "").explain(refusal);
        assert!(filtered.contains("refuses fsmount: securityContext.seccompProfile"), "{filtered}");
        assert_eq!(around(false, false, "").explain(refusal), refusal);
    }

    #[test]
    fn apparmor_is_told_from_a_filter() {
        let refusal = "clone3 the launcher: Permission denied (os error 13)";
        assert!(around(true, true, "").explain(refusal).contains("profile containers-default refuses clone3"));
        let refusal = "clone3 the launcher: Function not implemented (os error 38)";
        assert!(around(true, true, "").explain(refusal).contains("filter of system calls refuses clone3"));
    }

    #[test]
    fn only_what_is_seen_is_blamed() {
        for refusal in [
            "open_tree /srv/models: No such file or directory (os error 2)",
            "write /proc/7/uid_map (0 1 2): Operation not permitted (os error 1)",
            "mkdir /sys/fs/cgroup/cpu/x: Permission denied (os error 13)",
        ] {
            assert_eq!(around(true, true, CONTAINER).explain(refusal), refusal);
        }
        let denied = "confine a job: enter the cgroup: Permission denied (os error 13)";
        assert!(Surroundings { few_ids: true, ..Surroundings::default() }.explain(denied).contains("hostUsers: true"));
        assert_eq!(around(true, true, CONTAINER).explain(denied), denied);
    }

    #[test]
    fn the_call_is_the_last_step_that_is_one() {
        for (refusal, found) in [
            ("build a cell: sethostname cloister: Operation not permitted (os error 1)", Some("sethostname")),
            ("confine a job: keyctl KEYCTL_JOIN_SESSION_KEYRING: EPERM", Some("keyctl")),
            ("start the launcher of profile \"mount\": pivot_root /tmp: x", Some("pivot_root")),
            ("the interpreter ended while it imported", None),
            ("", None),
        ] {
            assert_eq!(call(refusal), found, "{refusal}");
        }
    }

    #[test]
    fn a_label_is_a_profile_where_it_is_enforced() {
        assert_eq!(profile("containers-default-0.50.1 (enforce)\n").as_deref(), Some("containers-default-0.50.1"));
        assert_eq!(profile("containers-default//&crun (mixed)\n").as_deref(), Some("containers-default//&crun"));
        for free in ["unconfined\n", "", "x (complain)\n"] {
            assert_eq!(profile(free), None);
        }
    }
}
