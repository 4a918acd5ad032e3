//! What is wrong with a policy as a whole though each value is right by itself. Nothing on the host is looked at.

use std::path::Path;

use cloister_terms::{Action, LAST, Mount, NOBODY, READERS};

use super::shown::{Shown, at, is_mounted, is_own};
use super::{inside, place};
use crate::danger::{Danger, danger};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::keys::profile::LOOPBACK;
use crate::keys::{profile, runtime, supervisor};
use crate::read::{Placed, Tables, Values};
use crate::seccomp::{self, Syscall};
use crate::units::show_time;

/// Reports everything.
pub(crate) fn check(tables: &Tables, problems: &mut Diagnostics) {
    ids(tables, problems);
    for values in tables.runtimes.values() {
        mounts(&Shown::by_runtime(values), problems);
        interpreter(values, problems);
    }
    for (name, values) in &tables.profiles {
        mounts(&Shown::by_profile(values), problems);
        sums(name, values, problems);
        files(name, values, problems);
        call_rules(values, problems);
        path_rules(tables, values, problems);
        warm(tables, name, values, problems);
    }
    place::check(tables, problems);
    inside::check(tables, problems);
}

/// Each slot, each parked child and each session needs an id of its own, the launchers one, and what serves one. Of sessions that the file does
/// not speak of there are as many as then have one.
fn ids(tables: &Tables, problems: &mut Diagnostics) {
    let supervisor = &tables.supervisor;
    let [slots, base, count] =
        [supervisor::SLOTS, supervisor::UID_BASE, supervisor::UID_COUNT].map(|key| u64::from(supervisor.of(key)));
    let warm = tables.profiles.values().filter(|values| values.of(profile::WARM));
    let parked: u64 = warm.map(|values| u64::from(values.of(profile::WARM_PARKED))).sum();
    let said = supervisor.span(supervisor::SESSIONS);
    let sessions = said.map_or(0, |_| u64::from(supervisor.of(supervisor::SESSIONS)));
    let needed = slots + parked + sessions + 2;
    if needed > count {
        let span =
            supervisor.span(supervisor::UID_COUNT).or_else(|| supervisor.span(supervisor::SLOTS)).unwrap_or(0..0);
        let also = if sessions > 0 { format!(", {sessions} sessions") } else { String::new() };
        let message = format!(
            "{slots} slots, {parked} parked children{also}, the launchers and the supervisor need {needed} ids"
        );
        let problem = Diagnostic::error(span, message, format!("the range has {count}"));
        let sessions = if sessions > 0 { ", sessions" } else { "" };
        problems.push(problem.help(format!("raise uid_count, or lower slots{sessions} or what is parked")));
    }
    if base + count > u64::from(LAST.0) + 1 {
        let message = format!("{count} ids from {base} on go beyond the last id that there is");
        problems.push(Diagnostic::error(supervisor.place(supervisor::UID_BASE), message, "lower it"));
    } else if let Some(taken) = READERS.into_iter().find(|reader| (base..base + count).contains(&reader.0.into())) {
        let message = format!("the id {taken} is one as which policies are read, and so no job's");
        let problem =
            Diagnostic::error(supervisor.place(supervisor::UID_BASE), message, format!("{count} ids from here"));
        problems.push(problem.help("choose a uid_base above it"));
    } else if (base..base + count).contains(&NOBODY.0.into()) {
        let message = format!("the id {NOBODY} is nobody's, and so no job's");
        let problem =
            Diagnostic::error(supervisor.place(supervisor::UID_BASE), message, format!("{count} ids from here"));
        problems.push(problem.help("choose a uid_base above it, or a smaller uid_count"));
    }
}

/// Nothing dangerous is shown that is not named as such.
fn mounts(all: &Shown<'_>, problems: &mut Diagnostics) {
    for item in all.mounts {
        let Mount { host, .. } = &item.value;
        let shown = host.display();
        match danger(host) {
            Some(Danger::Never) => {
                let message = format!("{shown} is the host kernel's, and a sandbox has its own");
                problems.push(at(item, message, "never shown to a job").help("leave it out"));
                continue;
            }
            Some(Danger::Exposes) if !all.allows(host) => {
                problems.push(exposing(item, host, all.allowing));
                continue;
            }
            _ => {}
        }
        if !item.value.has_place() {
            let message = format!("{} is a file system of the sandbox's own", item.value.inside.display());
            let help = format!("for example \"{shown}:/data\"");
            problems.push(at(item, message, "choose another place inside").help(help));
        }
    }
    for item in all.allowed {
        if danger(Path::new(&item.value)) == Some(Danger::Never) {
            let message = format!("{} may not be shown to a job at all", item.value);
            problems.push(at(item, message, "never shown to a job").help("leave it out"));
        }
    }
}

/// The problem of a mount that shows what it should not.
fn exposing(item: &Placed<Mount>, host: &Path, allowing: &str) -> Diagnostic {
    let shown = host.display();
    let message = format!("{shown} would show the host's secrets or its state to every job");
    let help = format!(
        "copy what jobs need to a directory of its own and name that; if you do want it shown, say so with \
         {allowing} = [\"{shown}\"]"
    );
    at(item, message, "too much").help(help)
}

fn interpreter(values: &Values<runtime::Runtime>, problems: &mut Diagnostics) {
    let path = Path::new(values.of(runtime::INTERPRETER).unwrap_or_default());
    let mounts = values.of(runtime::MOUNTS);
    let linked =
        path.iter().nth(1).is_some_and(|first| values.of(runtime::LINKS).contains_key(&*first.to_string_lossy()));
    if !path.is_absolute() || linked || mounts.is_none_or(|mounts| is_mounted(mounts, path)) {
        return;
    }
    let message = format!("the interpreter {} is in none of the runtime's mounts", path.display());
    let problem = Diagnostic::error(values.place(runtime::INTERPRETER), message, "a path inside the sandbox");
    problems.push(problem.help("mount the directory that it is in, or name it as the sandbox has it"));
}

/// Sums that cannot be: a limit that another one makes unreachable.
fn sums(name: &str, values: &Values<profile::Profile>, problems: &mut Diagnostics) {
    let (memory, tmp, shm) =
        (values.of(profile::MEMORY), values.of(profile::FILESYSTEM_TMP), values.of(profile::FILESYSTEM_SHM));
    if tmp.0.saturating_add(shm.0) > memory.0 {
        let message = format!(
            "/tmp ({}) and /dev/shm ({}) together hold more than the memory of profile {name:?}, in which they count",
            tmp, shm
        );
        let span = values.span(profile::MEMORY).unwrap_or_else(|| values.place(profile::FILESYSTEM_TMP));
        let problem = Diagnostic::warning(span, message, memory.to_string());
        problems.push(problem.help("a job that fills them gets memory_limit where \"no space left\" is meant"));
    }
    let (wall, cpu, cpus) = (values.of(profile::WALL_TIME), values.of(profile::CPU_TIME), values.of(profile::CPUS));
    let most = wall.mul_f64(cpus.cpus());
    if cpu > most {
        let message = format!(
            "profile {name:?} cannot use {} of CPU time: its wall time of {} with cpus = {:?} ends it first",
            show_time(cpu),
            show_time(wall),
            cpus.cpus()
        );
        let span = values.span(profile::CPU_TIME).unwrap_or_else(|| values.place(profile::WALL_TIME));
        problems.push(Diagnostic::warning(span, message, format!("{} at most", show_time(most))));
    }
    let allows = |call: &str| {
        let words = values.of(profile::SECCOMP_ALLOW);
        seccomp::resolve(words.iter().map(|word| word.value.as_str())).iter().any(|allowed| allowed.name() == call)
    };
    if values.of(profile::NETWORK) == LOOPBACK && !allows("socket") {
        let message = format!("profile {name:?} has a loopback network, but may not make sockets");
        let problem = Diagnostic::warning(values.place(profile::NETWORK), message, "of no use");
        problems.push(problem.help("allow @sockets too, or leave the network at \"none\""));
    }
}

/// What is kept warm is Python's: a program that serves requests itself imports nothing.
fn warm(tables: &Tables, name: &str, values: &Values<profile::Profile>, problems: &mut Diagnostics) {
    let runtime = tables.runtimes.get(values.of(profile::RUNTIME));
    if runtime.is_some_and(|runtime| runtime.of(runtime::RUNNER) == runtime::OWN) && values.of(profile::WARM) {
        let message = format!("profile {name:?} cannot be kept warm: its runtime has a runner of its own");
        let problem = Diagnostic::error(values.place(profile::WARM), message, "for runner = \"python\" alone");
        problems.push(problem.help("say warm = false"));
    }
}

/// Files that a request may bring and that have no place.
fn files(name: &str, values: &Values<profile::Profile>, problems: &mut Diagnostics) {
    let (bytes, tmp) = (values.of(profile::FILES_IN_BYTES), values.of(profile::FILESYSTEM_TMP));
    if let Some(span) = values.span(profile::FILES_IN_BYTES).filter(|_| bytes > tmp) {
        let message = format!("profile {name:?} accepts files of {} for a /tmp of {}", bytes, tmp);
        let problem = Diagnostic::warning(span, message, format!("{tmp} at most"));
        problems.push(problem.help("lower it, or raise filesystem.tmp"));
    }
}

/// Rules that change nothing.
fn call_rules(values: &Values<profile::Profile>, problems: &mut Diagnostics) {
    let allowed = seccomp::resolve(values.of(profile::SECCOMP_ALLOW).iter().map(|word| word.value.as_str()));
    for item in values.of(profile::SECCOMP_RULES) {
        let rule = &item.value;
        let call = Syscall::by_number(rule.number).filter(|call| allowed.contains(call));
        if let Some(name) = call.map(Syscall::name).filter(|_| rule.action == Action::Allow) {
            let message = format!("`{name}` is allowed whatever its arguments are, so this rule changes nothing");
            let problem = Diagnostic::warning(item.span(), message, "no effect");
            problems.push(problem.help(format!("take it out of the list with seccomp.allow = [\"-{name}\"]")));
        }
    }
}

/// Rules for paths that no sandbox of the profile has.
fn path_rules(tables: &Tables, values: &Values<profile::Profile>, problems: &mut Diagnostics) {
    let Some(runtime) = tables.runtimes.get(values.of(profile::RUNTIME)) else { return };
    for item in values.of(profile::LANDLOCK_RULES) {
        let path = &item.value.path;
        let mounts = [runtime.of(runtime::MOUNTS).unwrap_or_default(), values.of(profile::FILESYSTEM_READ_ONLY)];
        if is_own(path) || mounts.iter().any(|mounts| is_mounted(mounts, path)) {
            continue;
        }
        // What holds of these is tried when the supervisor starts, so it has to be the same in every profile.
        let fixed = ["/dev", "/proc"].iter().any(|fixed| path.starts_with(fixed)) || path == Path::new("/");
        let problem = if fixed {
            let message = format!("what may be done with {} is the same in every sandbox", path.display());
            at(item, message, "not for a rule")
        } else {
            let message = format!("{} is in none of the sandbox's mounts", path.display());
            at(item, message, "not in the sandbox")
        };
        problems.push(
            problem.help("rules are for paths in the runtime's mounts or filesystem.read_only, /tmp and /dev/shm"),
        );
    }
}
