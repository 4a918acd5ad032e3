//! What is wrong with a policy as a whole though each value is right by itself. Nothing on the host is looked at.

use std::path::Path;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::inside;
use crate::model::ReadOnlyMount;
use crate::paths::{self, Danger};
use crate::seccomp;
use crate::tables::Tables;
use crate::units::{show_size, show_time};
use crate::values::{Origin, Placed, Values};

/// The file systems that a job may write to, where a working directory is made.
pub(crate) const WRITABLE: [&str; 2] = ["/tmp", "/dev/shm"];

/// Reports everything.
pub(crate) fn all(tables: &Tables, problems: &mut Diagnostics) {
    ids(tables, problems);
    for values in tables.runtimes.values() {
        mounts(values, "mounts", "allow_dangerous", problems);
        interpreter(values, problems);
        working_directory(values, problems);
    }
    for (name, values) in &tables.profiles {
        mounts(values, "filesystem.read_only", "filesystem.allow_dangerous", problems);
        sums(name, values, problems);
        files(name, values, problems);
        call_rules(values, problems);
        path_rules(tables, values, problems);
        warm(tables, name, values, problems);
    }
    inside::all(tables, problems);
}

/// A value's place in the file; where it is a default, the top.
pub(crate) fn place(values: &Values, name: &str) -> std::ops::Range<usize> {
    values.span(name).unwrap_or(0..0)
}

fn span_of<T>(item: &Placed<T>) -> std::ops::Range<usize> {
    match &item.origin {
        Origin::Default => 0..0,
        Origin::File(span) => span.clone(),
    }
}

/// Each slot and each parked child needs an id of its own, and the launchers one.
fn ids(tables: &Tables, problems: &mut Diagnostics) {
    let supervisor = &tables.supervisor;
    let (slots, base, count) = (supervisor.whole("slots"), supervisor.whole("uid_base"), supervisor.whole("uid_count"));
    let warm = tables.profiles.values().filter(|values| values.switch("warm"));
    let parked: u64 = warm.map(|values| values.whole("warm.parked")).sum();
    if slots + parked + 1 > count {
        let span = supervisor.span("uid_count").or_else(|| supervisor.span("slots")).unwrap_or(0..0);
        let message =
            format!("{slots} slots, {parked} parked children and the launchers need {} ids", slots + parked + 1);
        let problem = Diagnostic::error(span, message, format!("the range has {count}"));
        problems.push(problem.help("raise uid_count, or lower slots or what is parked"));
    }
    // The last two are not ids: setresuid(2) reads the last as "leave it", and 2^32 - 2 is often nobody's.
    if base + count > u64::from(u32::MAX) - 1 {
        let message = format!("{count} ids from {base} on go beyond the last id that there is");
        problems.push(Diagnostic::error(place(supervisor, "uid_base"), message, "lower it"));
    }
}

/// Nothing dangerous is shown that is not named as such.
fn mounts(values: &Values, key: &str, allowing: &str, problems: &mut Diagnostics) {
    for item in values.mounts(key) {
        let ReadOnlyMount { host, .. } = &item.value;
        let shown = host.display();
        match paths::danger(host) {
            Some(Danger::Never) => {
                let message = format!("{shown} is the host kernel's, and a sandbox has its own");
                problems.push(Diagnostic::error(span_of(item), message, "never shown to a job").help("leave it out"));
                continue;
            }
            Some(Danger::Exposes) if !is_allowed(values, allowing, host) => {
                problems.push(exposing(item, host, allowing));
                continue;
            }
            _ => {}
        }
        if !paths::has_place(&item.value) {
            let message = format!("{} is a file system of the sandbox's own", item.value.inside.display());
            let help = format!("for example \"{shown}:/data\"");
            problems.push(Diagnostic::error(span_of(item), message, "choose another place inside").help(help));
        }
    }
    for item in values.words(allowing) {
        if paths::danger(Path::new(&item.value)) == Some(Danger::Never) {
            let message = format!("{} may not be shown to a job at all", item.value);
            problems.push(Diagnostic::error(span_of(item), message, "never shown to a job").help("leave it out"));
        }
    }
}

/// The problem of a mount that shows what it should not.
fn exposing(item: &Placed<ReadOnlyMount>, host: &Path, allowing: &str) -> Diagnostic {
    let shown = host.display();
    let message = format!("{shown} would show the host's secrets or its state to every job");
    let help = format!(
        "copy what jobs need to a directory of its own and name that; if you do want it shown, say so with \
         {allowing} = [\"{shown}\"]"
    );
    Diagnostic::error(span_of(item), message, "too much").help(help)
}

/// Whether the list of dangerous paths names this one.
pub(crate) fn is_allowed(values: &Values, allowing: &str, host: &Path) -> bool {
    values.words(allowing).iter().any(|word| Path::new(&word.value) == host)
}

/// The problem of a mount that leads to something that it should not, as the host has it.
pub(crate) fn leads_to(item: &Placed<ReadOnlyMount>, message: String, what: &Path, allowing: &str) -> Diagnostic {
    let help = format!("if you do want it shown, say so with {allowing} = [\"{}\"]", what.display());
    Diagnostic::error(span_of(item), message, "too much").help(help)
}

/// An error at an item of a list.
pub(crate) fn at<T>(item: &Placed<T>, message: String, label: &str) -> Diagnostic {
    Diagnostic::error(span_of(item), message, label)
}

/// A warning at an item of a list.
pub(crate) fn warning_at<T>(item: &Placed<T>, message: String, label: &str) -> Diagnostic {
    Diagnostic::warning(span_of(item), message, label)
}

fn interpreter(values: &Values, problems: &mut Diagnostics) {
    let path = Path::new(values.text("interpreter"));
    let linked = path.iter().nth(1).is_some_and(|first| values.pairs("links").contains_key(&*first.to_string_lossy()));
    if !path.is_absolute() || linked || values.get("mounts").is_none() || is_mounted(values, "mounts", path) {
        return;
    }
    let message = format!("the interpreter {} is in none of the runtime's mounts", path.display());
    let problem = Diagnostic::error(place(values, "interpreter"), message, "a path inside the sandbox");
    problems.push(problem.help("mount the directory that it is in, or name it as the sandbox has it"));
}

fn working_directory(values: &Values, problems: &mut Diagnostics) {
    let path = Path::new(values.text("working_directory"));
    if WRITABLE.iter().any(|writable| path.starts_with(writable)) || is_mounted(values, "mounts", path) {
        return;
    }
    let message = format!("the working directory {} is not in the sandbox", path.display());
    let problem = Diagnostic::error(place(values, "working_directory"), message, "a path inside the sandbox");
    problems.push(problem.help("choose /tmp, a directory below it, or one in the runtime's mounts"));
}

fn is_mounted(values: &Values, key: &str, path: &Path) -> bool {
    values.mounts(key).iter().any(|mount| path.starts_with(&mount.value.inside))
}

/// Sums that cannot be: a limit that another one makes unreachable.
fn sums(name: &str, values: &Values, problems: &mut Diagnostics) {
    let (memory, tmp, shm) = (values.bytes("memory"), values.bytes("filesystem.tmp"), values.bytes("filesystem.shm"));
    if tmp.0.saturating_add(shm.0) > memory.0 {
        let message = format!(
            "/tmp ({}) and /dev/shm ({}) together hold more than the memory of profile {name:?}, in which they count",
            show_size(tmp),
            show_size(shm)
        );
        let span = values.span("memory").unwrap_or_else(|| place(values, "filesystem.tmp"));
        let problem = Diagnostic::warning(span, message, show_size(memory));
        problems.push(problem.help("a job that fills them gets memory_limit where \"no space left\" is meant"));
    }
    let (wall, cpu, cpus) = (values.time("wall_time"), values.time("cpu_time"), values.thousandths("cpus"));
    let most = wall.mul_f64(f64::from(cpus) / 1000.0);
    if cpu > most {
        let message = format!(
            "profile {name:?} cannot use {} of CPU time: its wall time of {} with cpus = {:?} ends it first",
            show_time(cpu),
            show_time(wall),
            f64::from(cpus) / 1000.0
        );
        let span = values.span("cpu_time").unwrap_or_else(|| place(values, "wall_time"));
        problems.push(Diagnostic::warning(span, message, format!("{} at most", show_time(most))));
    }
    let allows = |call: &str| {
        let words = values.words("seccomp.allow");
        seccomp::resolve(words.iter().map(|word| word.value.as_str())).iter().any(|allowed| allowed.name() == call)
    };
    if values.text("network") == "loopback" && !allows("socket") {
        let message = format!("profile {name:?} has a loopback network, but may not make sockets");
        let problem = Diagnostic::warning(place(values, "network"), message, "of no use");
        problems.push(problem.help("allow @sockets too, or leave the network at \"none\""));
    }
}

/// What is kept warm is Python's: a program that serves requests itself imports nothing.
fn warm(tables: &Tables, name: &str, values: &Values, problems: &mut Diagnostics) {
    let own = tables.runtimes.get(values.text("runtime")).is_some_and(|runtime| runtime.text("runner") == "own");
    if own && values.switch("warm") {
        let message = format!("profile {name:?} cannot be kept warm: its runtime has a runner of its own");
        let problem = Diagnostic::error(place(values, "warm"), message, "for runner = \"python\" alone");
        problems.push(problem.help("say warm = false"));
    }
}

/// Files that a request may bring and that have no place.
fn files(name: &str, values: &Values, problems: &mut Diagnostics) {
    let (bytes, tmp) = (values.bytes("files_in_bytes"), values.bytes("filesystem.tmp"));
    if let Some(span) = values.span("files_in_bytes").filter(|_| bytes > tmp) {
        let message =
            format!("profile {name:?} accepts files of {} for a /tmp of {}", show_size(bytes), show_size(tmp));
        let problem = Diagnostic::warning(span, message, format!("{} at most", show_size(tmp)));
        problems.push(problem.help("lower it, or raise filesystem.tmp"));
    }
}

/// Rules that change nothing.
fn call_rules(values: &Values, problems: &mut Diagnostics) {
    let allowed = seccomp::resolve(values.words("seccomp.allow").iter().map(|word| word.value.as_str()));
    for item in values.call_rules("seccomp.rules") {
        let rule = &item.value;
        if rule.action == crate::rules::Action::Allow && allowed.contains(&rule.call) {
            let name = rule.call.name();
            let message = format!("`{name}` is allowed whatever its arguments are, so this rule changes nothing");
            let problem = Diagnostic::warning(span_of(item), message, "no effect");
            problems.push(problem.help(format!("take it out of the list with seccomp.allow = [\"-{name}\"]")));
        }
    }
}

/// Rules for paths that no sandbox of the profile has.
fn path_rules(tables: &Tables, values: &Values, problems: &mut Diagnostics) {
    let Some(runtime) = tables.runtimes.get(values.text("runtime")) else { return };
    for item in values.path_rules("landlock.rules") {
        let path = &item.value.path;
        let own = WRITABLE.iter().any(|own| path.starts_with(own));
        if own || is_mounted(runtime, "mounts", path) || is_mounted(values, "filesystem.read_only", path) {
            continue;
        }
        // What holds of these is tried when the supervisor starts, so it has to be the same in every profile.
        let fixed = ["/dev", "/proc"].iter().any(|fixed| path.starts_with(fixed)) || path == Path::new("/");
        let problem = if fixed {
            let message = format!("what may be done with {} is the same in every sandbox", path.display());
            Diagnostic::error(span_of(item), message, "not for a rule")
        } else {
            let message = format!("{} is in none of the sandbox's mounts", path.display());
            Diagnostic::error(span_of(item), message, "not in the sandbox")
        };
        problems.push(
            problem.help("rules are for paths in the runtime's mounts or filesystem.read_only, /tmp and /dev/shm"),
        );
    }
}
