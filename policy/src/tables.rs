//! The whole file as values with their places: what the policy, `explain` and `diff` are made from.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::diagnostic::{Diagnostic, Diagnostics, did_you_mean};
use crate::keys::{Default, RUNTIME, SUPERVISOR};
use crate::model::{Policy, ReadOnlyMount, Runner, Runtime, Supervisor};
use crate::profile::{self, Profiles};
use crate::section::Section;
use crate::values::Values;

/// The version of the format that this code reads.
const VERSION: u64 = 1;

/// The tables of a file.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    pub(crate) supervisor: Values,
    pub(crate) runtimes: BTreeMap<String, Values>,
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
            supervisor: Values::defaults(SUPERVISOR).read(&file.section("supervisor")),
            runtimes: runtimes(&file.section("runtime")),
            profiles: profile::read_all(&file.section("profile")),
        };
        if !tables.profiles.contains_key("default") {
            file.missing("[profile.default]", "the profile of requests that name none");
        }
        file.finish(&["version", "supervisor", "runtime", "profile"], |_| None);
        tables.check_runtimes(&file);
        (tables, problems.into_inner())
    }

    /// What the supervisor works from. Only for tables without errors.
    pub(crate) fn build(&self, digest: String) -> Policy {
        let supervisor = Supervisor {
            slots: self.supervisor.small("slots"),
            queue: self.supervisor.small("queue"),
            queue_wait: self.supervisor.time("queue_wait"),
            answers: self.supervisor.bytes("answers"),
            uid_base: self.supervisor.small("uid_base"),
            uid_count: self.supervisor.small("uid_count"),
            landlock_min_abi: self.supervisor.small("landlock_min_abi"),
        };
        let runtimes = self.runtimes.iter().map(|(name, values)| (name.clone(), runtime(values))).collect();
        let profiles =
            self.profiles.iter().map(|(name, values)| (name.clone(), profile::build(name, values))).collect();
        Policy { supervisor, runtimes, profiles, digest }
    }

    /// Every profile's runtime must be there.
    fn check_runtimes(&self, file: &Section<'_>) {
        for (name, values) in &self.profiles {
            let wanted = values.text("runtime");
            if self.runtimes.contains_key(wanted) {
                continue;
            }
            let table = file.section("profile").section(name);
            let span = values.span("runtime").unwrap_or(table.span());
            let message = format!("profile {name:?} needs the runtime {wanted:?}, which the file does not define");
            let known = self.runtimes.keys().map(String::as_str);
            let help = match did_you_mean(wanted, known.clone()) {
                Some(near) => format!("did you mean {near:?}?"),
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

fn runtimes(section: &Section<'_>) -> BTreeMap<String, Values> {
    let read = |(name, table): (&str, Section<'_>)| {
        for key in RUNTIME.iter().filter(|key| matches!(key.default, Default::Required)) {
            if table.get(key.name).is_none() {
                table.missing(key.name, &format!("`{}`: {}", key.name, key.doc));
            }
        }
        (name.to_owned(), Values::defaults(RUNTIME).read(&table))
    };
    section.sections().into_iter().map(read).collect()
}

fn runtime(values: &Values) -> Runtime {
    let link = |(name, target): (&String, &String)| (name.clone(), PathBuf::from(target));
    Runtime {
        interpreter: PathBuf::from(values.text("interpreter")),
        runner: if values.text("runner") == "own" { Runner::Own } else { Runner::Python },
        mounts: values.mounts("mounts").iter().map(|mount| mount.value.clone()).collect::<Vec<ReadOnlyMount>>(),
        links: values.pairs("links").iter().map(link).collect(),
        environment: values.pairs("environment").clone(),
        working_directory: PathBuf::from(values.text("working_directory")),
    }
}
