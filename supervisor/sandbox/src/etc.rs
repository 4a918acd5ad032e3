//! `/etc` as a sandbox has it: a few files that are made up, for programs that look there for what every host has, and
//! nothing of the host's.
//!
//! They are a slot's own, of which one cell at a time sees them: a lock or a mark on a file that others see would be theirs too. What a
//! profile shows at one of these places, or around it, is there instead.

use std::fs;
use std::path::{Path, PathBuf};

use cloister_terms::Network;

use crate::error::{Context, Result};
use crate::spec::{JOB_ID, Spec};

/// The one account: the job's user, and its group.
pub const ACCOUNT: &str = "sandbox";

/// The directory.
const ETC: &str = "/etc";

/// Accounts: passwd(5).
const PASSWD: &str = "/etc/passwd";

/// Groups: group(5).
const GROUP: &str = "/etc/group";

/// Where names are looked up that no name service is asked for: hosts(5).
const HOSTS: &str = "/etc/hosts";

/// Makes the files in a root that is being made.
///
/// # Errors
/// The file that could not be written.
pub(crate) fn make(root: &Path, spec: &Spec) -> Result<()> {
    make_for(root, spec, &[JOB_ID])
}

/// The same for a launcher, whose interpreters have root's id: to what they import, that is the account too.
///
/// # Errors
/// The file that could not be written.
pub(crate) fn make_for_launcher(root: &Path, spec: &Spec) -> Result<()> {
    make_for(root, spec, &[JOB_ID, 0])
}

/// What a job may read for it: the directory where nothing else is shown in it, and else the files.
pub(crate) fn readable(spec: &Spec) -> Vec<&'static Path> {
    let others = spec.mounts.iter().any(|mount| mount.inside.starts_with(ETC));
    let files = files(spec);
    if others || files.is_empty() { files } else { vec![Path::new(ETC)] }
}

/// The files that are made.
pub(crate) fn files(spec: &Spec) -> Vec<&'static Path> {
    let wanted = [Some(PASSWD), Some(GROUP), (spec.network == Network::Loopback).then_some(HOSTS)];
    let led_elsewhere = spec.links.iter().any(|(name, _)| Path::new("/").join(name) == Path::new(ETC));
    let covered = |file: &&Path| {
        led_elsewhere
            || spec.mounts.iter().any(|mount| file.starts_with(&mount.inside) || mount.inside.starts_with(file))
    };
    wanted.into_iter().flatten().map(Path::new).filter(|file| !covered(file)).collect()
}

fn make_for(root: &Path, spec: &Spec, ids: &[u32]) -> Result<()> {
    let inside = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
    let files = files(spec);
    if !files.is_empty() {
        let directory = inside(Path::new(ETC));
        fs::create_dir_all(&directory).doing(|| format!("mkdir {}", directory.display()))?;
    }
    files.into_iter().try_for_each(|file| {
        let path: PathBuf = inside(file);
        fs::write(&path, content(file, spec, ids)).doing(|| format!("write {}", path.display()))
    })
}

fn content(file: &Path, spec: &Spec, ids: &[u32]) -> String {
    match file.to_str() {
        Some(PASSWD) => {
            let home = spec.environment.iter().find_map(|pair| pair.strip_prefix("HOME=")).unwrap_or("/");
            // No shell is there to log in to.
            ids.iter().map(|id| format!("{ACCOUNT}:x:{id}:{id}::{home}:/usr/sbin/nologin\n")).collect()
        }
        Some(GROUP) => ids.iter().map(|id| format!("{ACCOUNT}:x:{id}:\n")).collect(),
        _ => format!("127.0.0.1 localhost {}\n::1 localhost\n", spec.hostname),
    }
}
