//! Where this process may make control groups: below its own, which `/proc/self/cgroup` names, where `/proc/self/mountinfo`
//! shows that. Never beside it or above, where groups would be nobody's, or another's: `cgroups(7)`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

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

/// Where groups of our own are made.
#[derive(Clone, Debug)]
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

/// A hierarchy, or a part of one, and where it is shown.
#[derive(Debug)]
pub(super) struct Mount {
    pub(super) version: Version,
    pub(super) point: PathBuf,
    /// The group that is shown there.
    root: PathBuf,
    controllers: Vec<String>,
}

impl Mount {
    fn has(&self, controller: &str) -> bool {
        self.version == Version::V1 && self.controllers.iter().any(|name| name == controller)
    }

    /// Where a group is, that is named as `/proc/self/cgroup` does.
    ///
    /// # Errors
    /// When the mount shows another part of the hierarchy.
    pub(super) fn shows(&self, group: &Path) -> Result<PathBuf> {
        // Upwards leads a name of a group that is outside of this process's cgroup namespace.
        let upwards = group.components().any(|part| part == Component::ParentDir);
        match group.strip_prefix(&self.root) {
            Ok(below) if below.as_os_str().is_empty() => Ok(self.point.clone()),
            Ok(below) if !upwards => Ok(self.point.join(below)),
            _ => Err(Error::layer(
                format_args!("find this process's control group {}", group.display()),
                format_args!(
                    "{} shows the groups below {} and not that one: mount the hierarchy in the cgroup namespace of this process",
                    self.point.display(),
                    self.root.display()
                ),
            )),
        }
    }
}

/// The hierarchies that are shown, in their order.
fn mounts(mountinfo: &str) -> Vec<Mount> {
    mountinfo.lines().filter_map(mount).collect()
}

/// One line: proc_pid_mountinfo(5).
fn mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut after = after.split(' ');
    let version = match after.next()? {
        "cgroup2" => Version::V2,
        "cgroup" => Version::V1,
        _ => return None,
    };
    let controllers = after.nth(1).unwrap_or_default().split(',').map(str::to_owned).collect();
    let mut fields = before.split(' ').skip(3);
    Some(Mount { version, root: decoded(fields.next()?), point: decoded(fields.next()?), controllers })
}

/// This process's group in the hierarchy of a controller, or in version 2 for the empty name: proc_pid_cgroup(5).
pub(super) fn own_group(listed: &str, controller: &str) -> Option<PathBuf> {
    listed.lines().find_map(|line| {
        let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|name| name == controller).then(|| group.into())
    })
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

    const OWN: &str = "6:cpu,cpuacct:/a/b\n5:pids:/\n4:memory:/limited\n0::/a\n";

    #[test]
    fn groups_are_made_below_the_own_one_of_each_hierarchy() {
        let own = |mountinfo: &str| Layout::from_mountinfo(mountinfo, OWN, |_| String::new());
        let Ok(Layout::V1 { memory, pids, cpu, cpuacct }) = own(HYBRID) else { panic!("version 1 is complete") };
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
            assert_eq!(super::decoded(as_it_is), std::path::PathBuf::from(as_it_is));
        }
    }

    #[test]
    fn a_missing_controller_is_named() {
        let without = HYBRID.replace("rw,pids", "rw,misc");
        let error = Layout::from_mountinfo(&without, OWN, |_| String::new()).expect_err("pids is missing");
        assert!(error.to_string().contains("pids is offered neither"), "{error}");
    }
}
