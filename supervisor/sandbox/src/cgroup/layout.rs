//! Where this process may make control groups: below its own, which `/proc/self/cgroup` names, where `/proc/self/mountinfo`
//! shows that. Never beside it or above, where groups would be nobody's, or another's: `cgroups(7)`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::delegation;
use super::mounts::{Mount, Version, mounts, own_group};
use crate::error::{Context, Error, Result};

/// The controllers that every job is held by.
const NEEDED: [&str; 3] = ["memory", "pids", "cpu"];

/// Where groups of our own are made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Layout {
    /// This process's group in each controller's hierarchy; some may share one.
    V1 {
        /// Memory limit and peak.
        memory: PathBuf,
        /// Number of processes.
        pids: PathBuf,
        /// Share of CPU.
        cpu: PathBuf,
        /// CPU time used.
        cpuacct: PathBuf,
        /// What stops all in a group, where there is that: `admin-guide/cgroup-v1/freezer-subsystem`.
        freezer: Option<PathBuf>,
    },
    /// All in one.
    V2 {
        /// The group that this process has for itself, or the root of the whole hierarchy if it is in that.
        base: PathBuf,
        /// Whether it is a group, in which no process may stay beside those below.
        delegated: bool,
    },
}

impl Layout {
    /// Finds the hierarchies: version 2 if it has every controller, else version 1.
    ///
    /// # Errors
    /// Names the controllers that neither version offers, or says why no groups can be made below this process's own.
    pub fn detect() -> Result<Self> {
        let read = |path: &str| fs::read_to_string(path).doing(|| format!("read {path}"));
        let (mounts, own) = (read("/proc/self/mountinfo")?, read("/proc/self/cgroup")?);
        Self::from_mountinfo(&mounts, &own, controllers)?.narrowed(&mounts, &own)
    }

    /// Version 2 narrowed to the group that this process has for itself, if it is in one.
    fn narrowed(self, mountinfo: &str, own: &str) -> Result<Self> {
        let Self::V2 { base: point, .. } = &self else { return Ok(self) };
        let mount = mounts(mountinfo).into_iter().find(|mount| mount.point == *point).expect("it was found there");
        let Some(base) = delegation::find(&mount, own)? else { return Ok(self) };
        let offered = controllers(&base);
        match NEEDED.iter().find(|needed| !offers(&offered, needed)) {
            None => Ok(Self::V2 { base, delegated: true }),
            Some(missing) => Err(Error::layer(
                format_args!("find the cgroup controllers in {}", base.display()),
                format_args!("{missing} was not delegated (systemd: Delegate=cpu memory pids)"),
            )),
        }
    }

    fn from_mountinfo(mountinfo: &str, own: &str, controllers_of: impl Fn(&Path) -> String) -> Result<Self> {
        let mounts = mounts(mountinfo);
        let complete = |mount: &&Mount| {
            let offered = controllers_of(&mount.point);
            NEEDED.iter().all(|needed| offers(&offered, needed))
        };
        if let Some(second) = mounts.iter().filter(|mount| mount.version == Version::V2).find(complete) {
            return Ok(Self::V2 { base: second.point.clone(), delegated: false });
        }
        let find = |name: &str| {
            let mount = mounts.iter().find(|mount| mount.has(name)).ok_or_else(|| {
                Error::layer(
                    "find the cgroup controllers",
                    format_args!("{name} is offered neither by version 2 nor by version 1; boot with it enabled"),
                )
            })?;
            mount.shows(&own_group(own, name).unwrap_or_else(|| "/".into()))
        };
        let [memory, pids, cpu, cpuacct] = [find("memory")?, find("pids")?, find("cpu")?, find("cpuacct")?];
        Ok(Self::V1 { memory, pids, cpu, cpuacct, freezer: find("freezer").ok() })
    }

    /// Which version this is.
    #[must_use]
    pub fn version(&self) -> Version {
        match self {
            Self::V1 { .. } => Version::V1,
            Self::V2 { .. } => Version::V2,
        }
    }

    /// Every directory in which groups of our own are made, each once.
    #[must_use]
    pub fn mounts(&self) -> Vec<PathBuf> {
        let mut mounts = match self {
            Self::V1 { memory, pids, cpu, cpuacct, freezer } => {
                [memory, pids, cpu, cpuacct].into_iter().chain(freezer).cloned().collect()
            }
            Self::V2 { base, .. } => vec![base.clone()],
        };
        mounts.sort();
        mounts.dedup();
        mounts
    }
}

fn controllers(group: &Path) -> String {
    fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default()
}

fn offers(offered: &str, controller: &str) -> bool {
    offered.split_whitespace().any(|name| name == controller)
}

#[cfg(test)]
mod tests {
    use super::{Layout, Version};

    const HYBRID: &str = "\
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
37 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";

    const OWN: &str = "6:cpu,cpuacct:/a/b\n5:pids:/\n4:memory:/limited\n0::/a\n";

    #[test]
    fn groups_are_made_below_the_own_one_of_each_hierarchy() {
        let own = |mountinfo: &str| Layout::from_mountinfo(mountinfo, OWN, |_| String::new());
        let Ok(Layout::V1 { memory, pids, cpu, cpuacct, freezer: None }) = own(HYBRID) else {
            panic!("version 1 is complete")
        };
        assert_eq!((memory, pids), ("/sys/fs/cgroup/memory/limited".into(), "/sys/fs/cgroup/pids".into()));
        assert_eq!((&cpu, &cpuacct), (&"/sys/fs/cgroup/cpu,cpuacct/a/b".into(), &cpu));
        // A container's own part is shown at the mount point, and of another part nothing is said.
        let part = HYBRID.replace("0:32 / ", "0:32 /limited ");
        let Ok(Layout::V1 { memory, .. }) = own(&part) else { panic!("the part is the own one") };
        assert_eq!(memory, std::path::Path::new("/sys/fs/cgroup/memory"));
        let outside = Layout::from_mountinfo(HYBRID, "4:memory:/../limited", |_| String::new());
        assert!(outside.is_err_and(|error| error.to_string().contains("control group /../limited")));
        for other in ["/limit", "/other", "/..", "/limited/below"] {
            let error = own(&HYBRID.replace("0:32 / ", &format!("0:32 {other} "))).expect_err("another part");
            assert!(error.to_string().contains("control group /limited"), "{error}");
        }
    }

    #[test]
    fn version_two_is_taken_only_when_it_has_every_controller() {
        let full = |_: &std::path::Path| "cpuset cpu io memory pids".to_owned();
        assert_eq!(Layout::from_mountinfo(HYBRID, OWN, full).map(|layout| layout.version()).ok(), Some(Version::V2));
        let hybrid = Layout::from_mountinfo(HYBRID, OWN, |_| "io".to_owned()).expect("version 1 is complete");
        assert_eq!(hybrid.version(), Version::V1);
        assert_eq!(hybrid.mounts().len(), 3);
    }

    #[test]
    fn a_mount_points_odd_characters_are_what_they_stand_for() {
        let odd = HYBRID.replace("/sys/fs/cgroup/memory", r"/my\040groups\011a\134b\012c\303\244/memory");
        let layout = Layout::from_mountinfo(&odd, "", |_| String::new()).expect("version 1 is complete");
        assert!(layout.mounts().contains(&"/my groups\ta\\b\ncä/memory".into()), "{:?}", layout.mounts());
        for as_it_is in [r"/a\", r"/a\04", r"/a\x40b", r"/a\999"] {
            assert_eq!(super::super::mounts::decoded(as_it_is), std::path::PathBuf::from(as_it_is));
        }
    }

    #[test]
    fn a_missing_controller_is_named() {
        let without = HYBRID.replace("rw,pids", "rw,misc");
        let error = Layout::from_mountinfo(&without, OWN, |_| String::new()).expect_err("pids is missing");
        assert!(error.to_string().contains("pids is offered neither"), "{error}");
    }
}
