//! Where this host keeps its control groups, found in `/proc/self/mountinfo`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::delegation;
use crate::error::{Context, Error, Result};

/// The controllers that every job is held by.
const NEEDED: [&str; 3] = ["memory", "pids", "cpu"];

/// Which version of the interface is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy a controller.
    V1,
    /// The unified hierarchy.
    V2,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        })
    }
}

/// The mount points of the controllers.
#[derive(Clone, Debug)]
pub enum Layout {
    /// Each controller's hierarchy; some may share one.
    V1 {
        /// Memory limit and peak.
        memory: PathBuf,
        /// Number of processes.
        pids: PathBuf,
        /// Share of CPU.
        cpu: PathBuf,
        /// CPU time used.
        cpuacct: PathBuf,
    },
    /// All in one.
    V2 {
        /// Where groups of our own are made: its mount point, or the group that was delegated to us.
        base: PathBuf,
        /// Whether it was delegated.
        delegated: bool,
    },
}

impl Layout {
    /// Finds the hierarchies: version 2 if it has every controller, else version 1.
    ///
    /// # Errors
    /// Names the controllers that neither version offers.
    pub fn detect() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").doing(|| "read /proc/self/mountinfo")?;
        Self::from_mountinfo(&mounts, controllers)?.narrowed()
    }

    /// Version 2 narrowed to what was delegated to this process, if that is how it runs.
    fn narrowed(self) -> Result<Self> {
        let Self::V2 { base: mount, .. } = &self else { return Ok(self) };
        let Some(base) = delegation::find(mount)? else { return Ok(self) };
        let offered = controllers(&base);
        match NEEDED.iter().find(|needed| !offers(&offered, needed)) {
            None => Ok(Self::V2 { base, delegated: true }),
            Some(missing) => Err(Error::layer(
                format_args!("find the cgroup controllers in {}", base.display()),
                format_args!("{missing} was not delegated (systemd: Delegate=cpu memory pids)"),
            )),
        }
    }

    fn from_mountinfo(mountinfo: &str, controllers_of: impl Fn(&Path) -> String) -> Result<Self> {
        let mut first = Vec::new();
        for line in mountinfo.lines() {
            let Some((fields, (kind, options))) = line.split_once(" - ").and_then(|(before, after)| {
                let mut after = after.split(' ');
                let kind = after.next()?;
                Some((before, (kind, after.nth(1).unwrap_or_default())))
            }) else {
                continue;
            };
            let Some(point) = fields.split(' ').nth(4).map(decoded) else { continue };
            match kind {
                "cgroup2" => {
                    let offered = controllers_of(&point);
                    if NEEDED.iter().all(|needed| offers(&offered, needed)) {
                        return Ok(Self::V2 { base: point, delegated: false });
                    }
                }
                "cgroup" => first.extend(options.split(',').map(|name| (name.to_owned(), point.clone()))),
                _ => {}
            }
        }
        let find = |name: &str| {
            first.iter().find(|(controller, _)| controller == name).map(|(_, point)| point.clone()).ok_or_else(|| {
                Error::layer(
                    "find the cgroup controllers",
                    format_args!("{name} is offered neither by version 2 nor by version 1; boot with it enabled"),
                )
            })
        };
        Ok(Self::V1 { memory: find("memory")?, pids: find("pids")?, cpu: find("cpu")?, cpuacct: find("cpuacct")? })
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
            Self::V1 { memory, pids, cpu, cpuacct } => vec![memory.clone(), pids.clone(), cpu.clone(), cpuacct.clone()],
            Self::V2 { base, .. } => vec![base.clone()],
        };
        mounts.sort();
        mounts.dedup();
        mounts
    }
}

/// A path as it is: blanks, tabs, line ends and backslashes stand there as three octal digits. proc_pid_mountinfo(5).
fn decoded(field: &str) -> PathBuf {
    let mut parts = field.split('\\');
    let mut path = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                path.push(byte);
                path.extend(&part.as_bytes()[3..]);
            }
            None => path.extend([b"\\", part.as_bytes()].concat()),
        }
    }
    PathBuf::from(OsString::from_vec(path))
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

    #[test]
    fn version_two_is_taken_only_when_it_has_every_controller() {
        let full = |_: &std::path::Path| "cpuset cpu io memory pids".to_owned();
        assert_eq!(Layout::from_mountinfo(HYBRID, full).map(|layout| layout.version()).ok(), Some(Version::V2));
        let hybrid = Layout::from_mountinfo(HYBRID, |_| "io".to_owned()).expect("version 1 is complete");
        assert_eq!(hybrid.version(), Version::V1);
        assert_eq!(hybrid.mounts().len(), 3);
    }

    #[test]
    fn a_mount_points_odd_characters_are_what_they_stand_for() {
        let odd = HYBRID.replace("/sys/fs/cgroup/memory", r"/my\040groups\011a\134b\012c\303\244/memory");
        let layout = Layout::from_mountinfo(&odd, |_| String::new()).expect("version 1 is complete");
        assert!(layout.mounts().contains(&"/my groups\ta\\b\ncä/memory".into()), "{:?}", layout.mounts());
        for as_it_is in [r"/a\", r"/a\04", r"/a\x40b", r"/a\999"] {
            assert_eq!(super::decoded(as_it_is), std::path::PathBuf::from(as_it_is));
        }
    }

    #[test]
    fn a_missing_controller_is_named() {
        let without = HYBRID.replace("rw,pids", "rw,misc");
        let error = Layout::from_mountinfo(&without, |_| String::new()).expect_err("pids is missing");
        assert!(error.to_string().contains("pids is offered neither"), "{error}");
    }
}
