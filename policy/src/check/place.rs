//! The working directory of a profile's jobs: on a file system of theirs, made for them, or in what is mounted.

use std::path::Path;

use super::shown::{first, is_own, shown};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::keys::{profile, runtime};
use crate::read::{Tables, Values};

/// Names in the root below which nothing is made: the sandbox has something of its own there.
const TAKEN: [&str; 6] = ["cell", "dev", "etc", "lower", "proc", "sys"];

/// Reports those that have no place. One that a profile has of its runtime is the profile's too, for the mounts of both.
pub(super) fn check(tables: &Tables, problems: &mut Diagnostics) {
    let mut told = Vec::new();
    for values in tables.profiles.values() {
        let Some(runtime) = tables.runtimes.get(values.of(profile::RUNTIME)) else { continue };
        if let Some((message, label)) = misplaced(runtime, values) {
            let own = values.of(profile::WORKING_DIRECTORY).is_some();
            let span =
                if own { values.place(profile::WORKING_DIRECTORY) } else { runtime.place(runtime::WORKING_DIRECTORY) };
            if told.contains(&(span.clone(), message.clone())) {
                continue;
            }
            told.push((span.clone(), message.clone()));
            let help = "choose /tmp, a directory below it, a place of its own such as /mnt/data, or one in the mounts";
            problems.push(Diagnostic::error(span, message, label).help(help));
        }
    }
}

/// Where a profile's jobs start.
pub(super) fn directory<'a>(runtime: &'a Values<runtime::Runtime>, profile: &'a Values<profile::Profile>) -> &'a Path {
    let own = profile.of(profile::WORKING_DIRECTORY);
    Path::new(own.unwrap_or_else(|| runtime.of(runtime::WORKING_DIRECTORY)))
}

/// That directory, if it is made for them where nothing else is.
pub(super) fn made<'a>(
    runtime: &'a Values<runtime::Runtime>,
    profile: &'a Values<profile::Profile>,
) -> Option<&'a Path> {
    let directory = directory(runtime, profile);
    let mounted = shown(runtime, profile).iter().any(|mount| directory.starts_with(&mount.inside));
    (!is_own(directory) && !mounted).then_some(directory)
}

/// Why one cannot be made.
fn misplaced(runtime: &Values<runtime::Runtime>, profile: &Values<profile::Profile>) -> Option<(String, &'static str)> {
    let directory = made(runtime, profile)?;
    let told = directory.display();
    let Some(first) = first(directory) else {
        return Some((format!("the working directory cannot be {told}"), "nothing may be written there"));
    };
    if TAKEN.contains(&first) {
        return Some((format!("the working directory {told} would be in the sandbox's own /{first}"), "taken"));
    }
    if runtime.of(runtime::LINKS).contains_key(first) {
        return Some((format!("the working directory {told} lies behind the link /{first} of the runtime"), "a link"));
    }
    let mounts = shown(runtime, profile);
    let inner = mounts.iter().find(|mount| mount.inside.starts_with(directory))?;
    Some((format!("the working directory {told} would hide {}", inner.inside.display()), "something is mounted in it"))
}
