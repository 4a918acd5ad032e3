//! The `[runtime.NAME]` tables, and what those with a `base` have of it: its interpreter and what that needs.
//!
//! A runtime with a base says which packages it has, and what jobs find in it beside them. What the interpreter is, is the
//! base's to say, and no base has one itself.

use std::collections::BTreeMap;

use super::section::Section;
use super::values::Values;
use crate::diagnostic::Diagnostic;
use crate::keys::runtime::{BASE, ENVIRONMENT, PACKAGES, Runtime, WORKING_DIRECTORY};
use crate::keys::{Default, RUNTIME};
use crate::suggest::{did_you_mean, quoted};

/// The runtimes by their names.
pub(crate) type Runtimes = BTreeMap<String, Values<Runtime>>;

/// Reads all runtimes, bases before those that have one.
pub(crate) fn read_all(section: &Section<'_>) -> Runtimes {
    let (based, plain): (Vec<_>, Vec<_>) =
        section.sections().into_iter().partition(|(_, table)| table.get(BASE.name()).is_some());
    let mut done: Runtimes = plain.iter().map(|(name, table)| ((*name).to_owned(), plain_runtime(table))).collect();
    for (name, table) in &based {
        let from = base_of(table, name, &done, &based).unwrap_or_else(Values::defaults);
        only_its_own(table);
        done.insert((*name).to_owned(), from.read(table));
    }
    done
}

/// Whether a key is one that a runtime with a base says itself.
pub(crate) fn is_own(key: &str) -> bool {
    [BASE.name(), PACKAGES.name(), ENVIRONMENT.name(), WORKING_DIRECTORY.name()].contains(&key)
}

fn plain_runtime(table: &Section<'_>) -> Values<Runtime> {
    for key in RUNTIME.iter().filter(|key| matches!(key.default, Default::RequiredWithout(_))) {
        if table.get(key.name).is_none() {
            table.missing(key.name, &format!("`{}`: {}", key.name, key.doc));
        }
    }
    if let Some(packages) = table.get(PACKAGES.name()) {
        let help = "say base = \"python\", the runtime whose interpreter it has, in place of interpreter and mounts";
        let _: Option<()> = packages.refuse_with("packages need a runtime to be added to", "without a base", help);
    }
    Values::defaults().read(table)
}

/// What the base has, as far as it is there and no other's.
fn base_of(
    table: &Section<'_>,
    name: &str,
    plain: &Runtimes,
    based: &[(&str, Section<'_>)],
) -> Option<Values<Runtime>> {
    let entry = table.get(BASE.name())?;
    // What is no text is told when the table is read.
    let base = entry.word()?;
    if let Some(found) = plain.get(base) {
        return Some(found.clone());
    }
    if based.iter().any(|(other, _)| *other == base) {
        let help = "name the runtime that has the interpreter, and let its file say all packages";
        return entry.refuse_with(format!("the base of {name:?} has a base itself"), "a base of a base", help);
    }
    let known = || plain.keys().map(String::as_str);
    let help = did_you_mean(base, known(), quoted, || {
        format!("runtimes with an interpreter are: {}", known().collect::<Vec<_>>().join(", "))
    });
    let problem = Diagnostic::error(entry.span(), format!("there is no runtime {base:?} to add to"), "unknown runtime");
    table.problems().borrow_mut().push_of_whole(problem.help(help));
    None
}

/// Refuses what is the base's to say.
fn only_its_own(table: &Section<'_>) {
    for key in RUNTIME.iter().filter(|key| !is_own(key.name)) {
        if let Some(entry) = table.get(key.name) {
            let help = "leave it out, or write a runtime of its own";
            let message = format!("`{}` is what a runtime has of its base", key.name);
            let _: Option<()> = entry.refuse_with(message, "not beside a base", help);
        }
    }
    if table.get(PACKAGES.name()).is_none() {
        let what = "packages = \"requirements.txt\", or use the base itself";
        table.missing(PACKAGES.name(), what);
    }
}
