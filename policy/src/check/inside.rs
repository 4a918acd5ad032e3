//! Whether what a policy puts into a sandbox has its place there: mounts, links, and rules for paths. What is refused
//! here would keep each sandbox from being built; what is warned of would do nothing. Only what the file tells.

use std::path::{Path, PathBuf};

use cloister_terms::{Access, Mount, OUT, PathRule, WRITABLE};

use super::place;
use super::shown::{at, first, is_own, shown, warning_at};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::keys::{profile, runtime};
use crate::read::{Placed, Tables, Values};

/// Names in the root that are the sandbox's own.
const OWN: [&str; 4] = ["cell", "dev", "proc", "tmp"];

/// The letters with which the variables begin that an interpreter reads, and reads not when it is isolated: python(1).
const INTERPRETERS: &str = "PYTHON";

/// The one of them that a module reads for itself: `zoneinfo`.
const READ_ANYWAY: &str = "PYTHONTZPATH";

/// Reports everything.
pub(super) fn check(tables: &Tables, problems: &mut Diagnostics) {
    for values in tables.runtimes.values() {
        links(values, problems);
        variables(values, problems);
    }
    for values in tables.profiles.values() {
        let Some(runtime) = tables.runtimes.get(values.of(profile::RUNTIME)) else { continue };
        mounts_behind_links(runtime, values, problems);
        path_rules(runtime, values, problems);
        interpreter(runtime, values, problems);
    }
}

/// Where on the host that is which lies at a path inside; of two mounts at one place the later covers the other.
pub(super) fn host_path(shown: &[&Mount], inside: &Path) -> Option<PathBuf> {
    let around = shown.iter().filter(|mount| inside.starts_with(&mount.inside));
    let mount = around.max_by_key(|mount| mount.inside.components().count())?;
    let rest = inside.strip_prefix(&mount.inside).ok()?;
    Some(if rest.as_os_str().is_empty() { mount.host.clone() } else { mount.host.join(rest) })
}

fn links(runtime: &Values<runtime::Runtime>, problems: &mut Diagnostics) {
    for name in runtime.of(runtime::LINKS).keys() {
        let mounts = runtime.of(runtime::MOUNTS).unwrap_or_default();
        let message = if OWN.contains(&name.as_str()) {
            format!("/{name} is a directory of the sandbox's own, so it cannot be a link")
        } else if let Some(mount) = mounts.iter().find(|mount| first(&mount.value.inside) == Some(name)) {
            format!("/{name} cannot be a link, for {} is mounted there", mount.value.inside.display())
        } else {
            continue;
        };
        let problem = Diagnostic::error(runtime.place(runtime::LINKS), message, format!("`{name}` is taken"));
        problems.push(problem.help("leave the link out, or give it another name"));
    }
}

/// A directory that would be made for a mount where the runtime has a link.
fn mounts_behind_links(
    runtime: &Values<runtime::Runtime>,
    profile: &Values<profile::Profile>,
    problems: &mut Diagnostics,
) {
    let links = runtime.of(runtime::LINKS);
    for item in profile.of(profile::FILESYSTEM_READ_ONLY) {
        let inside = &item.value.inside;
        let Some((name, target)) = first(inside).and_then(|name| links.get_key_value(name)) else { continue };
        let message = format!("{} lies behind the link /{name} of the runtime", inside.display());
        let problem = at(item, message, "no place for a mount");
        let rest = inside.strip_prefix(format!("/{name}")).unwrap_or(inside);
        let there = Path::new("/").join(target).join(rest);
        problems.push(problem.help(format!("name it as it is: {}:{}", item.value.host.display(), there.display())));
    }
}

fn variables(runtime: &Values<runtime::Runtime>, problems: &mut Diagnostics) {
    let unread = |name: &&String| name.starts_with(INTERPRETERS) && *name != READ_ANYWAY;
    for name in runtime.of(runtime::ENVIRONMENT).keys().filter(unread) {
        let message = format!("the interpreter of a script is isolated (-I) and does not read {name}");
        let help = match name.as_str() {
            "PYTHONPATH" | "PYTHONHOME" => {
                "mount what scripts should import to where they look for it, in the runtime's site-packages: a name of \
                 filesystem.read_only with its place inside"
            }
            _ => "leave it out, or let scripts do by themselves what it would do",
        };
        problems.push(Diagnostic::warning(runtime.place(runtime::ENVIRONMENT), message, "does nothing").help(help));
    }
}

/// Rules for paths that no sandbox has when a job begins, and rules that change nothing.
fn path_rules(runtime: &Values<runtime::Runtime>, profile: &Values<profile::Profile>, problems: &mut Diagnostics) {
    let shown = shown(runtime, profile);
    let rules = profile.of(profile::LANDLOCK_RULES);
    for item in rules {
        let PathRule { path, access } = &item.value;
        let own = is_own(path);
        if !own && !shown.iter().any(|mount| path.starts_with(&mount.inside)) {
            // What is in no sandbox at all was told.
            continue;
        }
        if own && !is_made(runtime, profile, path) {
            let message = format!("{} does not exist when a job begins", path.display());
            let help =
                "rules are for what is there before the script: /tmp, /dev/shm, the working directory and out/ in it";
            problems.push(at(item, message, "not there yet").help(help));
            continue;
        }
        let granted = granted_around(path, &shown, rules);
        let Some((outer, words)) = granted.filter(|(_, granted)| access.iter().all(|one| granted.contains(one))) else {
            continue;
        };
        let words = words.iter().map(Access::to_string).collect::<Vec<_>>().join(", ");
        let message = format!("{} lies in {}, where {words} is granted to all", path.display(), outer.display());
        let help = format!(
            "a rule takes nothing away from what lies around it: give {} a rule that grants less, and rules to what is in it",
            outer.display()
        );
        problems.push(warning_at(item, message, "no effect").help(help));
    }
}

/// Whether a path on a job's own file systems is there before its script is.
fn is_made(runtime: &Values<runtime::Runtime>, profile: &Values<profile::Profile>, path: &Path) -> bool {
    let directory = place::directory(runtime, profile);
    let elsewhere = is_own(directory) || place::made(runtime, profile).is_some();
    let out = if elsewhere { directory } else { Path::new("/tmp") }.join(OUT);
    out.starts_with(path) || WRITABLE.iter().any(|own| path == Path::new(own))
}

/// What is granted around a path: the nearest that grants something, and all that those around it grant.
fn granted_around(path: &Path, shown: &[&Mount], rules: &[Placed<PathRule>]) -> Option<(PathBuf, Vec<Access>)> {
    let mut nearest = None;
    let mut all = Vec::new();
    for around in path.ancestors().skip(1) {
        let granted = granted_at(around, shown, rules);
        if !granted.is_empty() && nearest.is_none() {
            nearest = Some(around.to_owned());
        }
        all.extend(granted.into_iter().filter(|access| !all.contains(access)).collect::<Vec<_>>());
    }
    Some((nearest?, all))
}

/// What is granted at a path itself, and so to all that lies below.
fn granted_at(path: &Path, shown: &[&Mount], rules: &[Placed<PathRule>]) -> Vec<Access> {
    if let Some(rule) = rules.iter().find(|rule| rule.value.path == path) {
        return rule.value.access.clone();
    }
    if shown.iter().any(|mount| mount.inside == path) {
        return vec![Access::Read, Access::List, Access::Execute];
    }
    if WRITABLE.iter().any(|own| path == Path::new(own)) {
        return vec![Access::Read, Access::List, Access::Write];
    }
    Vec::new()
}

/// An interpreter that rules keep from being started.
fn interpreter(runtime: &Values<runtime::Runtime>, profile: &Values<profile::Profile>, problems: &mut Diagnostics) {
    let (path, shown) = (Path::new(runtime.of(runtime::INTERPRETER).unwrap_or_default()), shown(runtime, profile));
    let rules = profile.of(profile::LANDLOCK_RULES);
    let mut granted: Vec<_> = granted_at(path, &shown, rules);
    granted.extend(granted_around(path, &shown, rules).map(|(_, access)| access).unwrap_or_default());
    let around = rules.iter().filter(|rule| path.starts_with(&rule.value.path));
    let Some(nearest) = around.max_by_key(|rule| rule.value.path.components().count()) else { return };
    if ![Access::Read, Access::Execute].iter().all(|needed| granted.contains(needed)) {
        let message = format!("the interpreter {} may not be read and executed", path.display());
        let help = format!("grant read, list and execute to what it needs below {}", nearest.value.path.display());
        problems.push(at(nearest, message, "keeps every script from starting").help(help));
    }
}
