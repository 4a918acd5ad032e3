//! From a file, or its text, to a policy or everything that is wrong with it.

use std::cell::RefCell;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use sha2::{Digest, Sha256};
use toml::de::DeTable;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Policy, Profile};
use crate::runtime::Runtimes;
use crate::section::Section;
use crate::{profile, runtime, supervisor};

/// The version of the format that this code reads.
const VERSION: u64 = 1;

/// Why there is no policy.
#[derive(Debug)]
pub enum PolicyError {
    /// The file cannot be read.
    Read(PathBuf, io::Error),
    /// Others than its owner and root could have written it.
    Writable(PathBuf, u32),
    /// It is a policy with mistakes.
    Invalid(Diagnostics),
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => {
                write!(f, "read the policy {}: {error}: give another with --policy", path.display())
            }
            Self::Writable(path, mode) => write!(
                f,
                "the policy {0} may be written by others than its owner (mode {mode:04o}): chmod go-w {0}",
                path.display()
            ),
            Self::Invalid(diagnostics) => diagnostics.fmt(f),
        }
    }
}

impl std::error::Error for PolicyError {}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// [`PolicyError`], displayed as sentences for a person.
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        let read = |error| PolicyError::Read(path.to_owned(), error);
        let mode = fs::metadata(path).map_err(read)?.mode() & 0o7777;
        if mode & 0o022 != 0 {
            return Err(PolicyError::Writable(path.to_owned(), mode));
        }
        let text = fs::read_to_string(path).map_err(read)?;
        Self::parse(&text, path).map_err(PolicyError::Invalid)
    }

    /// Reads a policy from its text; `name` is what the messages call it. Nothing on the host is looked at.
    ///
    /// # Errors
    /// Every problem, in the order of the text.
    pub fn parse(text: &str, name: &Path) -> Result<Self, Diagnostics> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let problems = RefCell::new(Diagnostics::new(name, text));
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            problems.borrow_mut().push(Diagnostic::error(span, error.message().to_owned(), "not TOML"));
        }
        if !errors.is_empty() {
            return Err(problems.into_inner());
        }
        let file = Section::new(&table, &problems);
        let version = file.get("version");
        match version {
            None => file.missing("version", "version = 1"),
            Some(entry) => {
                let _ = entry.integer(VERSION, VERSION);
            }
        }
        let supervisor = supervisor::read(file.section("supervisor"));
        let runtimes: Runtimes = file
            .section("runtime")
            .sections()
            .into_iter()
            .filter_map(|(name, _, section)| Some((name.to_owned(), runtime::read(section)?)))
            .collect();
        let profiles_section = file.section("profile");
        let profiles = profile::read_all(&profiles_section);
        if !profiles.contains_key("default") {
            file.missing("[profile.default]", "the profile of requests that name none");
        }
        check_runtimes(&profiles_section, &profiles, &runtimes);
        file.finish();

        let mut problems = problems.into_inner();
        problems.sort();
        if problems.has_errors() {
            return Err(problems);
        }
        let digest = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { supervisor, runtimes, profiles, digest })
    }

    /// Looks at this host for what the policy names: paths that are not there.
    #[must_use]
    pub fn missing_on_host(&self) -> Vec<String> {
        let runtimes = self.runtimes.values().flat_map(|runtime| &runtime.mounts);
        let extra = self.profiles.values().flat_map(|profile| &profile.filesystem.read_only);
        let mut missing: Vec<String> = runtimes
            .chain(extra)
            .filter(|mount| !mount.host.exists())
            .map(|mount| format!("{} does not exist on this host", mount.host.display()))
            .collect();
        missing.sort();
        missing.dedup();
        missing
    }
}

/// Every profile's runtime must be there.
fn check_runtimes(section: &Section<'_>, profiles: &std::collections::BTreeMap<String, Profile>, runtimes: &Runtimes) {
    for (name, span, table) in section.sections() {
        let Some(profile) = profiles.get(name).filter(|profile| !runtimes.contains_key(&profile.runtime)) else {
            continue;
        };
        let span = table.get("runtime").map_or(span, |entry| entry.span());
        let message =
            format!("profile {name:?} needs the runtime {:?}, which the file does not define", profile.runtime);
        let known = runtimes.keys().cloned().collect::<Vec<_>>().join(", ");
        let mut problem = Diagnostic::error(span, message, "unknown runtime");
        problem = problem.help(format!("add [runtime.{}], or use one of: {known}", profile.runtime));
        section.problems().borrow_mut().push(problem);
    }
}
