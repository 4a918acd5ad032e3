//! Modules that a profile keeps warm and its runtime lacks.

use std::path::Path;

use super::known::Looked;
use super::stdlib::brings;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::keys::profile;
use crate::read::{Tables, Values};

/// Reports them, for each profile of a runtime of which it is known what it has.
pub(super) fn check(tables: &Tables, looked: &Looked, problems: &mut Diagnostics) {
    for (name, values) in tables.profiles.iter().filter(|(_, values)| values.of(profile::WARM)) {
        let runtime = values.of(profile::RUNTIME);
        let Some(known) = looked.known.get(runtime) else { continue };
        // What a profile shows where packages are looked for is not the runtime's.
        if shows_modules(values, &known.site) {
            continue;
        }
        for item in values.of(profile::WARM_IMPORTS) {
            let module = item.value.split('.').next().unwrap_or_default();
            if known.modules.iter().any(|has| has == module) || brings(&known.tree, &known.python, module) {
                continue;
            }
            let message = format!("profile {name:?} keeps {module} warm, which its runtime {runtime:?} does not have");
            let help = match &known.file {
                Some(file) => format!(
                    "add what brings it to {} (cloister runtime lock {runtime}, cloister runtime build {runtime}), or take it out",
                    file.display()
                ),
                None => "take it out, or choose a runtime that has it".to_owned(),
            };
            // What a base's own tree has may be more than it says of itself: the import decides.
            let problem = if known.file.is_some() { Diagnostic::error } else { Diagnostic::warning };
            problems.push(problem(item.span(), message, "not in the runtime").help(help));
        }
    }
}

fn shows_modules(values: &Values<profile::Profile>, site: &Path) -> bool {
    let around = site.parent().unwrap_or(site);
    values.of(profile::FILESYSTEM_READ_ONLY).iter().any(|item| item.value.inside.starts_with(around))
}
