//! Which builds are in use on this host: those that some process has mounted. A supervisor's launchers have what their jobs see,
//! for as long as one of these runs, and nobody has to be asked.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cloister_policy::packages::{BuildId, PACKAGES};

/// The builds that are mounted somewhere, each with the processes that have it. Of another user's it is not told.
pub fn mounted() -> BTreeMap<BuildId, Vec<u32>> {
    let mut found: BTreeMap<BuildId, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(mounts) = fs::read(entry.path().join("mountinfo")) else { continue };
        for id in builds(&String::from_utf8_lossy(&mounts)) {
            let processes = found.entry(id).or_default();
            if processes.last() != Some(&process) {
                processes.push(process);
            }
        }
    }
    found
}

/// The builds in a list of mounts, by which part of a file system each mount is: `proc_pid_mountinfo(5)`.
fn builds(mountinfo: &str) -> Vec<BuildId> {
    let roots = mountinfo.lines().filter_map(|line| line.split(' ').nth(3));
    roots.filter_map(|root| build(Path::new(root))).collect()
}

fn build(root: &Path) -> Option<BuildId> {
    let (last, rest) = (root.file_name()?, root.parent()?);
    (last == PACKAGES).then(|| BuildId::of(rest.file_name()?.to_str()?)).flatten()
}

#[cfg(test)]
mod tests {
    use super::builds;

    #[test]
    fn a_build_is_seen_by_its_mount() {
        let id = "0123456789abcdef0123456789abcdef";
        let mounts = format!(
            "1 0 8:1 / / rw - ext4 /dev/vda rw\n2 1 8:1 /var/lib/cloister/runtimes/{id}/packages /usr/lib/x ro - ext4 /dev/vda rw\n\
             3 1 8:1 /var/lib/cloister/runtimes/{id} /x ro - ext4 x rw\n4 1 8:1 /x/packages /y rw - ext4 x rw\n"
        );
        assert_eq!(builds(&mounts).iter().map(|id| id.as_str()).collect::<Vec<_>>(), [id]);
        assert_eq!(builds(""), []);
    }
}
