//! The `[profile.NAME]` tables and what they inherit.
//!
//! `extends` starts from another profile's effective values instead of the built-in defaults. A list
//! replaces the inherited one, except the two that name permissions: `seccomp.allow` and
//! `filesystem.read_only` add to it, and an entry with `-` in front takes one away.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::model::{Bytes, Filesystem, Network, Profile, ReadOnlyMount, Rlimits, Warm};
use crate::paths;
use crate::seccomp::{self, GROUPS, NEVER, Syscall};
use crate::section::{Entry, Section};
use crate::units;

const MIB: u64 = 1 << 20;

/// The built-in values, which the shipped file repeats line by line.
fn built_in() -> Profile {
    Profile {
        name: String::new(),
        runtime: "python".to_owned(),
        wall_time: Duration::from_secs(10),
        cpu_time: Duration::from_secs(10),
        memory: Bytes(512 * MIB),
        processes: 64,
        millicpus: 1000,
        network: Network::None,
        hostname: "cloister".to_owned(),
        script_bytes: Bytes(MIB),
        result_bytes: Bytes(8 * MIB),
        stdout_bytes: Bytes(MIB),
        stderr_bytes: Bytes(MIB),
        filesystem: Filesystem {
            tmp: Bytes(64 * MIB),
            tmp_inodes: 4096,
            shm: Bytes(64 * MIB),
            shm_inodes: 1024,
            read_only: Vec::new(),
        },
        rlimits: Rlimits { open_files: 256, file_size: Bytes(64 * MIB), stack: Bytes(8 * MIB) },
        syscalls: seccomp::group("@python").expect("the group is built in"),
        warm: None,
    }
}

/// Reads all profiles, parents before children.
pub(crate) fn read_all(section: &Section<'_>) -> BTreeMap<String, Profile> {
    let mut waiting: Vec<_> = section.sections();
    let names: BTreeSet<&str> = waiting.iter().map(|(name, _, _)| *name).collect();
    let mut done: BTreeMap<String, Profile> = BTreeMap::new();
    // Each round takes those whose parent is known; a round that takes none has only cycles left.
    while !waiting.is_empty() {
        let before = waiting.len();
        let mut later = Vec::new();
        for (name, span, section) in waiting {
            match parent(&section, &names, &done) {
                Parent::Later => later.push((name, span, section)),
                Parent::Known(parent) => {
                    done.insert(name.to_owned(), read(name, &span, section, *parent));
                }
            }
        }
        if later.len() == before {
            for (_, span, section) in &later {
                let problem =
                    Diagnostic::error(span.clone(), "profiles extend one another in a circle", "part of the circle");
                section.problems().borrow_mut().push(problem.help("take `extends` out of one of them"));
            }
            break;
        }
        waiting = later;
    }
    done
}

enum Parent {
    Known(Box<Profile>),
    Later,
}

fn parent(section: &Section<'_>, names: &BTreeSet<&str>, done: &BTreeMap<String, Profile>) -> Parent {
    let Some(entry) = section.get("extends") else { return Parent::Known(Box::new(built_in())) };
    let Some(name) = entry.text() else { return Parent::Known(Box::new(built_in())) };
    if let Some(profile) = done.get(name) {
        return Parent::Known(Box::new(profile.clone()));
    }
    if names.contains(name) {
        return Parent::Later;
    }
    let help = match did_you_mean(name, names.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("profiles are: {}", names.iter().copied().collect::<Vec<_>>().join(", ")),
    };
    let _: Option<()> = entry.refuse_with(format!("there is no profile {name:?} to extend"), "unknown profile", help);
    Parent::Known(Box::new(built_in()))
}

fn read(name: &str, span: &Range<usize>, section: Section<'_>, from: Profile) -> Profile {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || !name.chars().all(plain) {
        let label = "letters, digits, `-` and `_` only";
        let problem = Diagnostic::error(span.clone(), format!("{name:?} is no name for a profile"), label);
        section.problems().borrow_mut().push(problem);
    }
    let size = |key, least, fallback: Bytes| section.read(key, |entry| size(entry, least)).unwrap_or(fallback);
    let time = |key, fallback| section.read(key, time).unwrap_or(fallback);
    let profile = Profile {
        name: name.to_owned(),
        runtime: section.read("runtime", Entry::text).map_or(from.runtime, str::to_owned),
        wall_time: time("wall_time", from.wall_time),
        cpu_time: time("cpu_time", from.cpu_time),
        memory: size("memory", 16 * MIB, from.memory),
        processes: section.read("processes", |entry| entry.integer(1, 65_536)).map_or(from.processes, small),
        millicpus: section.read("cpus", |entry| entry.number(0.01, 1024.0)).map_or(from.millicpus, thousandths),
        network: section.read("network", network).unwrap_or(from.network),
        hostname: section.read("hostname", hostname).unwrap_or(from.hostname),
        script_bytes: size("script_bytes", 1, from.script_bytes),
        result_bytes: size("result_bytes", 1, from.result_bytes),
        stdout_bytes: size("stdout_bytes", 0, from.stdout_bytes),
        stderr_bytes: size("stderr_bytes", 0, from.stderr_bytes),
        filesystem: filesystem(section.section("filesystem"), from.filesystem),
        rlimits: rlimits(section.section("rlimits"), from.rlimits),
        syscalls: syscalls(section.section("seccomp"), from.syscalls),
        warm: section.get("warm").map_or(from.warm, warm),
    };
    section.finish();
    profile
}

fn filesystem(section: Section<'_>, from: Filesystem) -> Filesystem {
    let bytes = |key, fallback: Bytes| section.read(key, |entry| size(entry, 4096)).unwrap_or(fallback);
    let inodes = |key, fallback| section.read(key, |entry| entry.integer(8, 100_000_000)).unwrap_or(fallback);
    let read = Filesystem {
        tmp: bytes("tmp", from.tmp),
        tmp_inodes: inodes("tmp_inodes", from.tmp_inodes),
        shm: bytes("shm", from.shm),
        shm_inodes: inodes("shm_inodes", from.shm_inodes),
        read_only: match section.get("read_only") {
            Some(entry) => read_only(entry, from.read_only),
            None => from.read_only,
        },
    };
    section.finish();
    read
}

fn read_only(entry: Entry<'_>, mut paths: Vec<ReadOnlyMount>) -> Vec<ReadOnlyMount> {
    for (text, entry) in entry.texts().unwrap_or_default() {
        if let Some(away) = text.strip_prefix('-') {
            let before = paths.len();
            paths.retain(|mount| mount.inside.to_string_lossy() != away && mount.host.to_string_lossy() != away);
            if paths.len() == before {
                let _: Option<()> = entry
                    .refuse(format!("{away} is not inherited, so it cannot be taken away"), "nothing to take away");
            }
        } else {
            paths.extend(paths::read_only(entry, text));
        }
    }
    paths
}

fn rlimits(section: Section<'_>, from: Rlimits) -> Rlimits {
    let read = Rlimits {
        open_files: section.read("open_files", |entry| entry.integer(16, 65_536)).unwrap_or(from.open_files),
        file_size: section.read("file_size", |entry| size(entry, 4096)).unwrap_or(from.file_size),
        stack: section.read("stack", |entry| size(entry, 256 * 1024)).unwrap_or(from.stack),
    };
    section.finish();
    read
}

fn syscalls(section: Section<'_>, from: Vec<Syscall>) -> Vec<Syscall> {
    let mut calls: BTreeSet<Syscall> = from.into_iter().collect();
    for (text, entry) in section.read("allow", Entry::texts).unwrap_or_default() {
        let (away, name) = text.strip_prefix('-').map_or((false, text), |name| (true, name));
        let Some(named) = named_calls(entry, name, away) else { continue };
        if away {
            named.iter().for_each(|call| {
                calls.remove(call);
            });
        } else {
            calls.extend(named);
        }
    }
    section.finish();
    calls.into_iter().collect()
}

/// The calls behind a name or a group.
fn named_calls(entry: Entry<'_>, name: &str, away: bool) -> Option<Vec<Syscall>> {
    if !away && NEVER.contains(&name) {
        let message = format!("{name} may not be allowed in any profile");
        let help = "calls that change mounts, namespaces, credentials, the kernel or the machine are never allowed";
        return entry.refuse_with(message, "never allowed", help);
    }
    let found =
        if name.starts_with('@') { seccomp::group(name) } else { Syscall::by_name(name).map(|call| vec![call]) };
    if found.is_some() {
        return found;
    }
    let known = GROUPS.iter().map(|(group, _, _)| *group).chain(Syscall::names());
    let help = match did_you_mean(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`cloister-policy syscalls` lists the groups and the calls in them".to_owned(),
    };
    entry.refuse_with(format!("there is no system call or group `{name}`"), "unknown on x86-64", help)
}

/// `false`, or a table.
fn warm(entry: Entry<'_>) -> Option<Warm> {
    if matches!(entry.value.get_ref(), toml::de::DeValue::Boolean(false)) {
        return None;
    }
    let section = entry.as_section("warm".to_owned());
    let imports = section.read("imports", Entry::texts).unwrap_or_default();
    let warm = Warm {
        imports: imports.into_iter().filter_map(|(text, entry)| module(entry, text)).collect(),
        parked: section.read("parked", |entry| entry.integer(1, 4096)).map_or(4, small),
        renew: section.read("renew", time).unwrap_or(Duration::from_secs(3600)),
    };
    section.finish();
    Some(warm)
}

fn module(entry: Entry<'_>, text: &str) -> Option<String> {
    let identifier = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    if text.split('.').all(identifier) {
        return Some(text.to_owned());
    }
    entry.refuse(format!("{text:?} is no module's name"), "expected a name such as \"numpy\" or \"os.path\"")
}

fn network(entry: Entry<'_>) -> Option<Network> {
    match entry.text()? {
        "none" => Some(Network::None),
        other => entry.refuse(format!("there is no network {other:?}"), "expected \"none\""),
    }
}

fn hostname(entry: Entry<'_>) -> Option<String> {
    let name = entry.text()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if (1..=64).contains(&name.len()) && name.chars().all(plain) {
        return Some(name.to_owned());
    }
    entry.refuse(format!("{name:?} is no host name"), "expected 1 to 64 letters, digits, `-` and `.`")
}

fn size(entry: Entry<'_>, least: u64) -> Option<Bytes> {
    let bytes = entry.quantity(units::size, "\"64MiB\"")?;
    if bytes.0 < least || bytes.0 > 1 << 50 {
        return entry.refuse(
            format!("{} bytes is out of range", bytes.0),
            format!("expected at least {least} bytes, at most 1 PiB"),
        );
    }
    Some(bytes)
}

fn time(entry: Entry<'_>) -> Option<Duration> {
    let time = entry.quantity(units::duration, "\"10s\"")?;
    let allowed = Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
    if allowed.contains(&time) {
        return Some(time);
    }
    entry.refuse("the time is out of range", "expected 1ms to 24h")
}

fn small(number: u64) -> u32 {
    u32::try_from(number).expect("the bound that was checked fits")
}

#[expect(clippy::cast_possible_truncation, reason = "the bounds that were checked fit, and none is negative")]
fn thousandths(number: f64) -> u32 {
    (number * 1000.0).round() as u32
}
