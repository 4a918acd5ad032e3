//! Mounts of a runtime or of a profile, with the host paths that it says are shown although they are dangerous.

use std::path::{Component, Path};

use cloister_terms::Mount;

use crate::diagnostic::Diagnostic;
use crate::keys::{profile, runtime};
use crate::read::{Placed, Values};

/// The mounts of one table.
pub(super) struct Shown<'a> {
    /// What is mounted.
    pub(super) mounts: &'a [Placed<Mount>],
    /// What may be although it is dangerous.
    pub(super) allowed: &'a [Placed<String>],
    /// The key that says so.
    pub(super) allowing: &'static str,
}

impl<'a> Shown<'a> {
    pub(super) fn by_runtime(values: &'a Values<runtime::Runtime>) -> Self {
        let (mounts, allowing) = (values.of(runtime::MOUNTS).unwrap_or_default(), runtime::ALLOW_DANGEROUS);
        Self { mounts, allowed: values.of(allowing), allowing: allowing.name() }
    }

    pub(super) fn by_profile(values: &'a Values<profile::Profile>) -> Self {
        let (mounts, allowing) = (values.of(profile::FILESYSTEM_READ_ONLY), profile::FILESYSTEM_ALLOW_DANGEROUS);
        Self { mounts, allowed: values.of(allowing), allowing: allowing.name() }
    }

    /// Whether the list of dangerous paths names this one.
    pub(super) fn allows(&self, host: &Path) -> bool {
        self.allowed.iter().any(|word| Path::new(&word.value) == host)
    }

    /// The problem of a mount that leads to something that it should not, as the host has it.
    pub(super) fn leads_to(&self, item: &Placed<Mount>, message: String, what: &Path) -> Diagnostic {
        let help = format!("if you do want it shown, say so with {} = [\"{}\"]", self.allowing, what.display());
        at(item, message, "too much").help(help)
    }
}

/// Whether a path inside lies in one of these.
pub(super) fn is_mounted(mounts: &[Placed<Mount>], path: &Path) -> bool {
    mounts.iter().any(|mount| path.starts_with(&mount.value.inside))
}

/// An error at an item of a list.
pub(super) fn at<T>(item: &Placed<T>, message: String, label: &str) -> Diagnostic {
    Diagnostic::error(item.span(), message, label)
}

/// A warning at an item of a list.
pub(super) fn warning_at<T>(item: &Placed<T>, message: String, label: &str) -> Diagnostic {
    Diagnostic::warning(item.span(), message, label)
}

/// Whether a path is on a file system of the job's own.
pub(super) fn is_own(path: &Path) -> bool {
    cloister_terms::WRITABLE.iter().any(|own| path.starts_with(own))
}

/// What a profile's sandboxes show, the runtime's mounts first, as they are attached.
pub(super) fn shown<'a>(
    runtime: &'a Values<runtime::Runtime>,
    profile: &'a Values<profile::Profile>,
) -> Vec<&'a Mount> {
    let own = profile.of(profile::FILESYSTEM_READ_ONLY);
    runtime.of(runtime::MOUNTS).unwrap_or_default().iter().chain(own).map(|item| &item.value).collect()
}

/// The name in the root that a path begins with.
pub(super) fn first(path: &Path) -> Option<&str> {
    path.components().find_map(|part| if let Component::Normal(name) = part { name.to_str() } else { None })
}
