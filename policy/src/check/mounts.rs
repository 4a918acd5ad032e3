//! What mounts and the rules for paths name, as this host has it.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cloister_terms::Mount;

use super::found::Found;
use super::inside;
use super::shown::{Shown, at, warning_at};
use crate::danger::danger;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::keys::{Of, profile, runtime};
use crate::read::{Placed, Values};

/// How many files are looked at in search of sockets and named pipes: enough for an interpreter with its packages.
const MOST_FILES: usize = 100_000;

/// What is shown is there, leads nowhere else, and can be read.
pub(super) fn lead(all: &Shown<'_>, problems: &mut Diagnostics) {
    for item in all.mounts {
        let host = &item.value.host;
        let real = match fs::canonicalize(host) {
            Ok(real) => real,
            Err(error) => {
                let closed = (error.kind() == ErrorKind::PermissionDenied).then(|| closed_above(host)).flatten();
                problems.push(closed.map_or_else(|| missing(item), |directory| unreachable(item, host, directory)));
                continue;
            }
        };
        // What its own name told was told already; here is where links lead.
        let hidden = real != *host && danger(&real).is_some();
        if hidden && !all.allows(host) && !all.allows(&real) {
            let message =
                format!("{} leads to {}, which shows the host's secrets or its state", host.display(), real.display());
            problems.push(all.leads_to(item, message, &real));
            continue;
        }
        reachable(item, &real, problems);
        if all.allows(host) {
            continue;
        }
        let found = Found::below(&real, MOST_FILES);
        for (doors, what) in [
            (&found.sockets, "a Unix socket of the host, which any job could talk to"),
            (&found.pipes, "a named pipe of the host: a job that reads it takes what is written for others"),
        ] {
            for door in doors.iter().filter(|door| !all.allows(door)) {
                let message = format!("{} is {what}", door.display());
                problems.push(all.leads_to(item, message, door));
            }
        }
        if let Some(unlisted) = found.unlisted.filter(|unlisted| !all.allows(unlisted)) {
            let message = format!("{} cannot be listed, and a socket in it would not be seen here", unlisted.display());
            problems.push(all.leads_to(item, message, &unlisted));
        }
        if let Some(open) = &found.open {
            let message = format!("others than the owner may write to {}, which every job sees", open.display());
            let help =
                "what they put there after this check, such as a socket, nobody looks at: chmod go-w, or show a copy";
            problems.push(warning_at(item, message, "shared with who may write").help(help));
        }
        if !found.complete {
            let message = format!("{} holds more than the {MOST_FILES} files that are looked at", real.display());
            let help = "there may be sockets and named pipes of the host among the others: show less of it";
            problems.push(warning_at(item, message, "not looked through").help(help));
        }
    }
}

/// A mount that lies in another has to find its place there, for nothing can be made in what is read-only.
pub(super) fn nested(
    runtime: &Values<runtime::Runtime>,
    profile: &Values<profile::Profile>,
    problems: &mut Diagnostics,
) {
    let all: Vec<_> = runtime
        .of(runtime::MOUNTS)
        .unwrap_or_default()
        .iter()
        .chain(profile.of(profile::FILESYSTEM_READ_ONLY))
        .collect();
    for item in &all {
        let Mount { host, inside } = &item.value;
        let others: Vec<_> = all.iter().map(|other| &other.value).filter(|other| other.inside != *inside).collect();
        let Some(there) = inside::host_path(&others, inside) else { continue };
        let Ok(own) = fs::metadata(host) else { continue };
        let kind = |directory: bool| if directory { "a directory" } else { "a file" };
        let message = match fs::symlink_metadata(&there) {
            // Where a link leads is only known inside.
            Ok(place) if place.is_symlink() || place.is_dir() == own.is_dir() => continue,
            Ok(place) => format!(
                "{} is {}, and {} in its place is {}",
                inside.display(),
                kind(place.is_dir()),
                host.display(),
                kind(own.is_dir())
            ),
            Err(_) => format!(
                "{} has no place: it lies in another mount, and {} does not exist",
                inside.display(),
                there.display()
            ),
        };
        let problem = at(item, message, "cannot be mounted");
        problems.push(
            problem.help(format!("make it on the host, or choose a place inside of its own, such as {OWN_PLACE}")),
        );
    }
}

/// A place inside that no runtime has.
const OWN_PLACE: &str = "/data";

/// A rule is for something that is there.
pub(super) fn ruled(
    runtime: &Values<runtime::Runtime>,
    profile: &Values<profile::Profile>,
    problems: &mut Diagnostics,
) {
    let shown = inside::shown(runtime, profile);
    for item in profile.of(profile::LANDLOCK_RULES) {
        let path = &item.value.path;
        let Some(host) = inside::host_path(&shown, path) else { continue };
        if fs::symlink_metadata(&host).is_err() {
            let message = format!("{} is not there: {} does not exist on this host", path.display(), host.display());
            problems.push(at(item, message, "not in the sandbox").help("take the rule out, or correct the path"));
        }
    }
}

/// What sandboxes are built from is looked up with ids that have no rights on the host but those that all have.
fn reachable(item: &Placed<Mount>, real: &Path, problems: &mut Diagnostics) {
    if let Some(closed) = closed_above(real) {
        problems.push(unreachable(item, real, closed));
    } else if lacks(real, if real.is_dir() { 0o005 } else { 0o004 }) {
        let message = format!("{} may not be read by everybody, and so by no job", real.display());
        let help = format!("jobs' ids have no rights of their own: chmod o+rX {}", real.display());
        problems.push(warning_at(item, message, "closed to jobs").help(help));
    }
}

fn lacks(path: &Path, bits: u32) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.mode() & bits != bits)
}

/// The directory above a path, the lowest that can be seen, through which only some may pass.
fn closed_above(path: &Path) -> Option<&Path> {
    path.ancestors().skip(1).find(|directory| lacks(directory, 0o001))
}

fn unreachable(item: &Placed<Mount>, path: &Path, closed: &Path) -> Diagnostic {
    let message = format!("{} lies in {}, through which only some may pass", path.display(), closed.display());
    let help = format!("jobs' ids have no rights of their own: chmod o+x {}, or move it", closed.display());
    at(item, message, "cannot be mounted").help(help)
}

fn missing(item: &Placed<Mount>) -> Diagnostic {
    let host = &item.value.host;
    let problem = at(item, format!("{} does not exist on this host", host.display()), "not found");
    match host.ancestors().skip(1).find(|path| path.exists()) {
        Some(there) if there != Path::new("/") => problem.help(format!("{} does exist", there.display())),
        _ => problem,
    }
}

/// A path of the runtime's has to be in what is mounted.
pub(super) fn is_mounted<V>(
    values: &Values<runtime::Runtime>,
    key: Of<runtime::Runtime, V>,
    path: &Path,
    problems: &mut Diagnostics,
) {
    let mounts = values.of(runtime::MOUNTS).unwrap_or_default();
    let mounted = mounts.iter().map(|item| &item.value);
    let hosts = mounted.filter_map(|mount| {
        Some(mount.host.join(path.strip_prefix(&mount.inside).ok().filter(|rest| !rest.as_os_str().is_empty())?))
    });
    let hosts: Vec<PathBuf> = hosts.collect();
    // A missing mount was reported, and what links lead to is only known inside.
    let Some(host) = hosts.first() else { return };
    if hosts.iter().all(|host| fs::symlink_metadata(host).is_err()) && mounts.iter().all(is_there) {
        let message = format!("{} is not there: {} does not exist on this host", path.display(), host.display());
        problems.push(Diagnostic::error(values.place(key), message, "not in the mounts"));
    }
}

fn is_there(item: &Placed<Mount>) -> bool {
    item.value.host.exists()
}
