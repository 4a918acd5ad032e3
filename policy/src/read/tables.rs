//! The whole file as values with their places: what the policy, `explain` and `diff` are made from.

use std::cell::RefCell;
use std::path::Path;

use cloister_terms::DEFAULT_PROFILE;
use toml::de::DeTable;

use super::profiles::{self, Profiles};
use super::runtimes::{self, Runtimes};
use super::section::Section;
use super::values::Values;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::keys::profile::RUNTIME;
use crate::keys::supervisor::Supervisor;
use crate::suggest::{meant, nearest, quoted};

/// The version of the format that this code reads.
const VERSION: u64 = 1;

/// The tables of a file.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    pub(crate) supervisor: Values<Supervisor>,
    pub(crate) runtimes: Runtimes,
    pub(crate) profiles: Profiles,
}

impl Tables {
    /// Reads a text. The tables are whole even where problems are reported.
    pub(crate) fn read(text: &str, name: &Path) -> (Self, Diagnostics) {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut problems = Diagnostics::new(name, text);
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            problems.push(Diagnostic::error(span, error.message().to_owned(), "not TOML"));
        }
        problems.incomplete = !errors.is_empty();
        let problems = RefCell::new(problems);
        let file = Section::new(&table, &problems);
        check_version(&file);
        let tables = Self {
            supervisor: Values::defaults().read(&file.section("supervisor")),
            runtimes: runtimes::read_all(&file.section("runtime")),
            profiles: profiles::read_all(&file.section("profile")),
        };
        if !tables.profiles.contains_key(DEFAULT_PROFILE) {
            file.missing(&format!("[profile.{DEFAULT_PROFILE}]"), "the profile of requests that name none");
        }
        file.finish(&["version", "supervisor", "runtime", "profile"], |_| None);
        tables.check_runtimes(&file);
        (tables, problems.into_inner())
    }

    /// Every profile's runtime must be there.
    fn check_runtimes(&self, file: &Section<'_>) {
        for (name, values) in &self.profiles {
            let wanted = values.of(RUNTIME);
            if self.runtimes.contains_key(wanted) {
                continue;
            }
            let table = file.section("profile").section(name);
            let span = values.span(RUNTIME).unwrap_or(table.span());
            let message = format!("profile {name:?} needs the runtime {wanted:?}, which the file does not define");
            let known = self.runtimes.keys().map(String::as_str);
            let help = match nearest(wanted, known.clone()) {
                Some(near) => meant(&quoted(near)),
                None if self.runtimes.is_empty() => format!("add [runtime.{wanted}]"),
                None => {
                    let known = known.collect::<Vec<_>>().join(", ");
                    format!("add [runtime.{wanted}], or use one of: {known}")
                }
            };
            let problem = Diagnostic::error(span, message, "unknown runtime").help(help);
            file.problems().borrow_mut().push_of_whole(problem);
        }
    }
}

fn check_version(file: &Section<'_>) {
    match file.get("version") {
        None => file.missing("version", "version = 1"),
        Some(entry) => {
            let _ = entry.integer(VERSION, VERSION);
        }
    }
}
