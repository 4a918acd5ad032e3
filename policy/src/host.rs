//! Looks at this host for what a policy names.

use std::fs;
use std::ops::Range;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::checks::{self, WRITABLE, is_allowed, place};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::inside;
use crate::model::{Bytes, ReadOnlyMount};
use crate::paths;
use crate::tables::Tables;
use crate::units::show_size;
use crate::values::{Placed, Values};

/// How many files are looked at in search of sockets and named pipes: enough for an interpreter with its packages.
const MOST_FILES: usize = 100_000;

/// Reports everything.
pub(crate) fn check(tables: &Tables, problems: &mut Diagnostics) {
    for values in tables.runtimes.values() {
        mounts(values, "mounts", "allow_dangerous", problems);
        is_mounted(values, "interpreter", problems);
        let directory = Path::new(values.text("working_directory"));
        if !WRITABLE.iter().any(|writable| directory.starts_with(writable)) {
            is_mounted(values, "working_directory", problems);
        }
    }
    for values in tables.profiles.values() {
        mounts(values, "filesystem.read_only", "filesystem.allow_dangerous", problems);
        if let Some(runtime) = tables.runtimes.get(values.text("runtime")) {
            nested(runtime, values, problems);
            ruled(runtime, values, problems);
        }
    }
    memory(tables, problems);
    cpus(tables, problems);
    accounts(tables, problems);
}

/// The id that this process runs as.
pub(crate) fn own_uid() -> Option<u32> {
    fs::metadata("/proc/self").ok().map(|metadata| metadata.uid())
}

fn mounts(values: &Values, key: &str, allowing: &str, problems: &mut Diagnostics) {
    for item in values.mounts(key) {
        let host = &item.value.host;
        let Ok(real) = fs::canonicalize(host) else {
            problems.push(missing(item));
            continue;
        };
        // What its own name told was told already; here is where links lead.
        let hidden = real != *host && paths::danger(&real).is_some();
        if hidden && !is_allowed(values, allowing, host) && !is_allowed(values, allowing, &real) {
            let message =
                format!("{} leads to {}, which shows the host's secrets or its state", host.display(), real.display());
            problems.push(checks::leads_to(item, message, &real, allowing));
            continue;
        }
        reachable(item, &real, problems);
        if is_allowed(values, allowing, host) {
            continue;
        }
        let found = Found::below(&real, MOST_FILES);
        for (doors, what) in [
            (&found.sockets, "a Unix socket of the host, which any job could talk to"),
            (&found.pipes, "a named pipe of the host: a job that reads it takes what is written for others"),
        ] {
            for door in doors.iter().filter(|door| !is_allowed(values, allowing, door)) {
                let message = format!("{} is {what}", door.display());
                problems.push(checks::leads_to(item, message, door, allowing));
            }
        }
        if let Some(open) = &found.open {
            let message = format!("others than the owner may write to {}, which every job sees", open.display());
            let help =
                "what they put there after this check, such as a socket, nobody looks at: chmod go-w, or show a copy";
            problems.push(checks::warning_at(item, message, "shared with who may write").help(help));
        }
        if !found.complete {
            let message = format!("{} holds more than the {MOST_FILES} files that are looked at", real.display());
            let help = "there may be sockets and named pipes of the host among the others: show less of it";
            problems.push(checks::warning_at(item, message, "not looked through").help(help));
        }
    }
}

/// A mount that lies in another has to find its place there, for nothing can be made in what is read-only.
fn nested(runtime: &Values, profile: &Values, problems: &mut Diagnostics) {
    let all: Vec<_> = runtime.mounts("mounts").iter().chain(profile.mounts("filesystem.read_only")).collect();
    for item in &all {
        let ReadOnlyMount { host, inside } = &item.value;
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
        let problem = checks::at(item, message, "cannot be mounted");
        problems.push(
            problem.help(format!("make it on the host, or choose a place inside of its own, such as {OWN_PLACE}")),
        );
    }
}

/// A place inside that no runtime has.
const OWN_PLACE: &str = "/data";

/// A rule is for something that is there.
fn ruled(runtime: &Values, profile: &Values, problems: &mut Diagnostics) {
    let shown = inside::shown(runtime, profile);
    for item in profile.path_rules("landlock.rules") {
        let path = &item.value.path;
        let Some(host) = inside::host_path(&shown, path) else { continue };
        if fs::symlink_metadata(&host).is_err() {
            let message = format!("{} is not there: {} does not exist on this host", path.display(), host.display());
            problems
                .push(checks::at(item, message, "not in the sandbox").help("take the rule out, or correct the path"));
        }
    }
}

/// What sandboxes are built from is looked up with ids that have no rights on the host but those that all have.
fn reachable(item: &Placed<ReadOnlyMount>, real: &Path, problems: &mut Diagnostics) {
    let lacks = |path: &Path, bits| fs::metadata(path).is_ok_and(|metadata| metadata.mode() & bits != bits);
    if let Some(closed) = real.ancestors().skip(1).find(|directory| lacks(directory, 0o001)) {
        let message = format!("{} lies in {}, through which only some may pass", real.display(), closed.display());
        let help = format!("jobs' ids have no rights of their own: chmod o+x {}, or move it", closed.display());
        problems.push(checks::at(item, message, "cannot be mounted").help(help));
    } else if lacks(real, if real.is_dir() { 0o005 } else { 0o004 }) {
        let message = format!("{} may not be read by everybody, and so by no job", real.display());
        let help = format!("jobs' ids have no rights of their own: chmod o+rX {}", real.display());
        problems.push(checks::warning_at(item, message, "closed to jobs").help(help));
    }
}

fn missing(item: &Placed<ReadOnlyMount>) -> Diagnostic {
    let host = &item.value.host;
    let problem = checks::at(item, format!("{} does not exist on this host", host.display()), "not found");
    match host.ancestors().skip(1).find(|path| path.exists()) {
        Some(there) if there != Path::new("/") => problem.help(format!("{} does exist", there.display())),
        _ => problem,
    }
}

/// What lies at and below a path that a job should not meet; a few of each kind if there are many.
struct Found {
    sockets: Vec<PathBuf>,
    pipes: Vec<PathBuf>,
    /// A directory that others than its owner may write to.
    open: Option<PathBuf>,
    /// Whether all of it was looked at.
    complete: bool,
}

impl Found {
    fn below(path: &Path, most_files: usize) -> Self {
        const MOST: usize = 3;
        let mut found = Self { sockets: Vec::new(), pipes: Vec::new(), open: None, complete: true };
        let (mut looked_at, mut waiting) = (0, vec![path.to_owned()]);
        while let Some(path) = waiting.pop() {
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            let kind = metadata.file_type();
            if kind.is_socket() {
                found.sockets.push(path);
            } else if kind.is_fifo() {
                found.pipes.push(path);
            } else if kind.is_dir() {
                if found.open.is_none() && is_open(&metadata) {
                    found.open = Some(path.clone());
                }
                for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
                    looked_at += 1;
                    // Only what can be one or hold one is worth another look.
                    if entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_socket() || kind.is_fifo()) {
                        waiting.push(entry.path());
                    }
                }
            }
            if found.sockets.len() + found.pipes.len() >= MOST {
                break;
            }
            if looked_at > most_files {
                found.complete = false;
                break;
            }
        }
        found.sockets.sort();
        found.pipes.sort();
        found
    }
}

/// Whether others than the owner and root's group may make files in a directory.
fn is_open(directory: &fs::Metadata) -> bool {
    let mode = directory.mode();
    mode & 0o002 != 0 || (mode & 0o020 != 0 && directory.gid() != 0)
}

/// A path of the runtime's has to be in what is mounted.
fn is_mounted(values: &Values, key: &str, problems: &mut Diagnostics) {
    let path = Path::new(values.text(key));
    let mounted = values.mounts("mounts").iter().map(|item| &item.value);
    let hosts = mounted.filter_map(|mount| {
        Some(mount.host.join(path.strip_prefix(&mount.inside).ok().filter(|rest| !rest.as_os_str().is_empty())?))
    });
    let hosts: Vec<PathBuf> = hosts.collect();
    // A missing mount was reported, and what links lead to is only known inside.
    let Some(host) = hosts.first() else { return };
    if hosts.iter().all(|host| fs::symlink_metadata(host).is_err()) && values.mounts("mounts").iter().all(is_there) {
        let message = format!("{} is not there: {} does not exist on this host", path.display(), host.display());
        problems.push(Diagnostic::error(place(values, key), message, "not in the mounts"));
    }
}

fn is_there(item: &Placed<ReadOnlyMount>) -> bool {
    item.value.host.exists()
}

/// Slots whose memory could not all be had at once.
fn memory(tables: &Tables, problems: &mut Diagnostics) {
    let Some(total) = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_memory(&text)) else { return };
    let slots = tables.supervisor.whole("slots");
    let largest = tables.profiles.iter().max_by_key(|(_, values)| values.bytes("memory"));
    let Some((name, values)) = largest else { return };
    let each = values.bytes("memory");
    let all = Bytes(each.0.saturating_mul(slots));
    if all > total {
        let message = format!(
            "{slots} slots of {} each (profile {name:?}) are {}, more than the {} that this host has",
            show_size(each),
            show_size(all),
            show_size(Bytes(total.0 >> 20 << 20))
        );
        let span = tables.supervisor.span("slots").unwrap_or_else(|| place(values, "memory"));
        let help = "fine where jobs seldom use their whole memory; otherwise lower one of them";
        problems.push(Diagnostic::warning(span, message, "together too much").help(help));
    }
}

/// `MemTotal` of proc_meminfo(5), in bytes.
fn total_memory(meminfo: &str) -> Option<Bytes> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024).map(Bytes)
}

fn cpus(tables: &Tables, problems: &mut Diagnostics) {
    let Ok(here) = std::thread::available_parallelism() else { return };
    for (name, values) in &tables.profiles {
        let wanted = f64::from(values.thousandths("cpus")) / 1000.0;
        if values.span("cpus").is_some() && values.thousandths("cpus").div_ceil(1000) as usize > here.get() {
            let message = format!("profile {name:?} may use {wanted:?} CPUs, this host has {here}");
            problems.push(Diagnostic::warning(place(values, "cpus"), message, "more than there are"));
        }
    }
}

/// No account may have an id that jobs run as: it could send signals to them, and they to it.
fn accounts(tables: &Tables, problems: &mut Diagnostics) {
    let base = tables.supervisor.whole("uid_base");
    let ids = base..base + tables.supervisor.whole("uid_count");
    let (span, label) = (place(&tables.supervisor, "uid_base"), format!("{} ids from here", ids.end - base));
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    for (file, what) in [("/etc/passwd", "account"), ("/etc/group", "group")] {
        for (name, id) in in_use(&read(file), &ids) {
            let message = format!("the {what} {name:?} has the id {id}, which is in the range that jobs run as");
            let problem = Diagnostic::error(span.clone(), message, label.clone());
            problems.push(problem.help("choose another uid_base"));
        }
    }
    for file in ["/etc/subuid", "/etc/subgid"] {
        for (name, first) in given_out(&read(file), &ids) {
            let message = format!("{file} gives ids from {first} on to {name:?}, which overlap with those of jobs");
            problems.push(Diagnostic::warning(span.clone(), message, label.clone()).help("choose another uid_base"));
        }
    }
}

/// Accounts or groups with one of these ids: passwd(5), group(5).
fn in_use(file: &str, ids: &Range<u64>) -> Vec<(String, u64)> {
    let read = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((name, fields.nth(1)?.parse().ok()?))
    };
    file.lines().filter_map(read).filter(|(_, id)| ids.contains(id)).collect()
}

/// Who was given ids that overlap with these, and from where on: subuid(5).
fn given_out(file: &str, ids: &Range<u64>) -> Vec<(String, u64)> {
    let read = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let (first, count): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.trim().parse().ok()?);
        (first < ids.end && ids.start < first.saturating_add(count)).then_some((name, first))
    };
    file.lines().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::{Bytes, Found, given_out, in_use, total_memory};

    #[test]
    fn a_search_that_ends_early_says_so() {
        let directory = std::env::temp_dir().join(format!("policy-many-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("writable");
        for number in 0..10 {
            std::fs::write(directory.join(number.to_string()), "").expect("writable");
        }
        assert!(Found::below(&directory, 10).complete);
        assert!(!Found::below(&directory, 9).complete);
        std::fs::remove_dir_all(&directory).expect("made above");
    }

    #[test]
    fn accounts_and_what_was_given_out_are_found_by_their_ids() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\nbroken\nx:y:z\n";
        assert_eq!(in_use(passwd, &(1000..1001)), [("ada".to_owned(), 1000)]);
        assert_eq!(in_use(passwd, &(1..1000)), []);
        let subuid = "ada:100000:65536\nbob:300000:10\nbroken:1\n";
        assert_eq!(given_out(subuid, &(165_535..200_000)), [("ada".to_owned(), 100_000)]);
        assert_eq!(given_out(subuid, &(165_536..300_000)), []);
        assert_eq!(given_out(subuid, &(0..u64::MAX)).len(), 2);
    }

    #[test]
    fn the_memory_of_a_host_is_read_in_bytes() {
        assert_eq!(total_memory("MemTotal:        2048 kB\nMemFree: 1 kB\n"), Some(Bytes(2 << 20)));
        assert_eq!(total_memory("nonsense"), None);
    }
}
