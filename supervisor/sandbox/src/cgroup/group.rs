//! One group, of either version: making it, writing to its files, ending what is in it, removing it.

use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::time::{Duration, Instant};

use cloister_terms::Uid;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::error::{Context, Result};

/// Makes a group, unless it is there.
pub(crate) fn make(directory: &Path) -> Result<()> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(error).doing(|| format!("mkdir {}", directory.display()))
        }
        _ => Ok(()),
    }
}

/// Writes one value to one of a group's files.
pub(crate) fn write(path: &Path, value: impl AsRef<str>) -> Result<()> {
    let value = value.as_ref();
    fs::write(path, value).doing(|| format!("write {value} to {}", path.display()))
}

/// Puts a process into a group.
pub(crate) fn attach(group: &Path, pid: u32) -> Result<()> {
    write(&group.join("cgroup.procs"), pid.to_string())
}

/// Has the groups in a group held by the controllers that every job is held by.
pub(crate) fn enable_controllers(group: &Path) -> Result<()> {
    write(&group.join("cgroup.subtree_control"), "+cpu +memory +pids")
}

/// Ends what lives below a group, deepest first, and removes it.
pub(crate) fn remove_below(group: &Path) -> Result<()> {
    let children = match fs::read_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.doing(|| format!("read {}", group.display()))?,
    };
    children.flatten().filter(|entry| entry.path().is_dir()).try_for_each(|child| remove_tree(&child.path()))
}

/// The same, and the group itself.
pub(crate) fn remove_tree(group: &Path) -> Result<()> {
    remove_below(group)?;
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        end_processes(group);
        match fs::remove_dir(group) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // Version 1 has no event for an emptied group; ends take milliseconds.
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
            Err(error) => return Err(error).doing(|| format!("rmdir {}", group.display())),
        }
    }
}

/// Sends SIGKILL to all in a group: at once where the kernel can (`cgroup.kill`), else one by one.
pub(crate) fn end_processes(group: &Path) {
    if fs::write(group.join("cgroup.kill"), "1").is_err() {
        end_each(group);
    }
}

/// Ends the processes of a group and no other: a number that was read may be another process's by now, so each is taken
/// hold of (`pidfd_open(2)`) and ended only if it is in the group still, which then is the one that is held.
fn end_each(group: &Path) {
    let held: Vec<_> = members(group)
        .into_iter()
        .filter(|pid| *pid > 1)
        .filter_map(|pid| Some((pid, pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?)))
        .collect();
    let still = members(group);
    for (_, process) in held.iter().filter(|(pid, _)| still.contains(pid)) {
        let _ = pidfd_send_signal(process, Signal::KILL);
    }
}

fn members(group: &Path) -> Vec<i32> {
    let listed = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    listed.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Opens a group's directory, for a process that is to start in it.
pub(crate) fn open_directory(group: &Path) -> Result<OwnedFd> {
    fs::File::open(group).map(OwnedFd::from).doing(|| format!("open {}", group.display()))
}

/// Whether a group's file exists, which tells what this kernel can do.
pub(crate) fn has(group: &Path, file: &str) -> bool {
    fs::metadata(group.join(file)).is_ok_and(|metadata| metadata.mode() != 0)
}

/// Puts a process into a group by the file that was opened for it.
pub(crate) fn let_in(door: OwnedFd, pid: u32) -> Result<()> {
    fs::File::from(door).write_all(pid.to_string().as_bytes()).doing(|| format!("write {pid} to cgroup.procs"))
}

/// Hands a group to whom it is to serve, with those of these files that it has.
pub(crate) fn hand_over(group: &Path, files: &[&str], to: Uid) -> Result<()> {
    let files = files.iter().map(|file| group.join(file)).filter(|file| file.exists());
    files.chain([group.to_owned()]).try_for_each(|path| hand_over_file(&path, to))
}

/// Hands a file of a group over.
pub(crate) fn hand_over_file(path: &Path, to: Uid) -> Result<()> {
    chown(path, Some(to.0), Some(to.0)).doing(|| format!("chown {} to {to}", path.display()))
}

/// Hands the file by which processes enter a group to a launcher's root.
pub(crate) fn delegate(group: &Path, uid: Uid) -> Result<()> {
    let procs = group.join("cgroup.procs");
    chown(&procs, Some(uid.0), None).doing(|| format!("chown {} to {uid}", procs.display()))
}

/// Opens a file by which processes enter a group.
///
/// # Errors
/// The call that failed.
pub fn open_door(path: &Path) -> Result<OwnedFd> {
    fs::File::options().write(true).open(path).map(OwnedFd::from).doing(|| format!("open {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::end_each;

    /// A directory stands for a group, of which it has the one file that is read.
    #[test]
    fn without_cgroup_kill_each_process_of_a_group_is_ended_and_what_is_gone_harms_nobody() {
        let group = std::env::temp_dir().join(format!("group-{}", std::process::id()));
        fs::create_dir_all(&group).expect("writable");
        let start = || Command::new("sleep").arg("600").spawn().expect("sleep is there");
        let (mut member, mut other, mut gone) = (start(), start(), start());
        gone.kill().expect("ours");
        gone.wait().expect("ours");
        fs::write(group.join("cgroup.procs"), format!("0\n1\n{}\n{}\n", gone.id(), member.id())).expect("writable");
        end_each(&group);
        assert!(!member.wait().expect("ours").success());
        assert!(other.try_wait().expect("ours").is_none());
        other.kill().expect("ours");
        other.wait().expect("ours");
        fs::remove_dir_all(&group).expect("ours");
    }
}
