//! Every key of the file, in one table: its kind, its bounds, its default and what it is for.
//!
//! The parser, `explain`, `diff`, the JSON Schema and the reference in `docs/policy.md` are made from this table, so that
//! they cannot differ; what the supervisor works from (`model.rs`) is filled from its values by `profile.rs` and
//! `tables.rs`, which name the keys again. A key that is not here does not exist.

mod profile;
mod runtime;
mod supervisor;

use std::time::Duration;

pub use profile::PROFILE;
pub use runtime::RUNTIME;
pub use supervisor::SUPERVISOR;

/// A key of one of the tables.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name below its table, with a dot where that has tables of its own: `filesystem.tmp`.
    pub name: &'static str,
    /// What a value of it is.
    pub kind: Kind,
    /// What holds where the file says nothing.
    pub default: Default,
    /// What a larger value means for a job.
    pub more: More,
    /// What it is for, in a sentence or two, for a person.
    pub doc: &'static str,
}

/// What holds where the file says nothing.
#[derive(Clone, Copy, Debug)]
pub enum Default {
    /// This, as TOML.
    Value(&'static str),
    /// Nothing: the key has to be there.
    Required,
    /// Nothing: it stays away.
    Absent,
}

/// What a larger value, or a longer list, means for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// It may do or use more.
    Looser,
    /// It may do or use less.
    Stricter,
    /// Neither.
    Neither,
}

/// What a value is.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A size with its unit, in bytes; with `unlimited`, also that word.
    Size {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
        /// Whether `"unlimited"` will do.
        unlimited: bool,
    },
    /// A time with its unit.
    Time {
        /// The least.
        least: Duration,
        /// The most.
        most: Duration,
    },
    /// A whole number.
    Whole {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
        /// Whether `"unlimited"` will do.
        unlimited: bool,
    },
    /// A number with a fraction, kept in thousandths.
    Number {
        /// The least, in thousandths.
        least: u32,
        /// The most, in thousandths.
        most: u32,
    },
    /// `true` or `false`, or a table of the keys that begin with this one's name, which means `true`.
    Switch,
    /// One of these words, the strictest first.
    Choice(&'static [&'static str]),
    /// A list of these words.
    Choices(&'static [&'static str]),
    /// The name of a table: a runtime or a profile.
    TableName,
    /// A host name.
    HostName,
    /// An absolute path.
    Path,
    /// A list of absolute paths; adds to what is inherited, `-` takes away.
    Paths,
    /// A list of `"/host"` or `"/host:/inside"`; adds to what is inherited, `-` takes away.
    Mounts,
    /// A list of modules' names.
    Modules,
    /// A list of system calls and groups; adds to what is inherited, `-` takes away.
    Calls,
    /// A list of tables that say what becomes of a call; adds to what is inherited.
    CallRules,
    /// A list of tables that say what may be done below a path; adds to what is inherited.
    PathRules,
    /// A table of environment variables.
    Variables,
    /// A table of symbolic links.
    Links,
}

impl Kind {
    /// Whether a list of this kind adds to the inherited one.
    #[must_use]
    pub fn accumulates(self) -> bool {
        matches!(self, Self::Paths | Self::Mounts | Self::Calls | Self::CallRules | Self::PathRules)
    }
}

/// The key of a name in a table of keys.
///
/// # Panics
/// When there is none: names are written in this crate only.
#[must_use]
pub(crate) fn find(table: &'static [Key], name: &str) -> usize {
    table.iter().position(|key| key.name == name).unwrap_or_else(|| unreachable!("{name} is not in the table of keys"))
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const PIB: u64 = 1 << 50;

const fn key(name: &'static str, kind: Kind, default: &'static str, more: More, doc: &'static str) -> Key {
    Key { name, kind, default: Default::Value(default), more, doc }
}

const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, default: Default::Required, more: More::Neither, doc }
}

const fn size(least: u64) -> Kind {
    Kind::Size { least, most: PIB, unlimited: false }
}

const fn size_or_unlimited(least: u64) -> Kind {
    Kind::Size { least, most: PIB, unlimited: true }
}

const fn whole(least: u64, most: u64) -> Kind {
    Kind::Whole { least, most, unlimited: false }
}

const fn time(least_ms: u64, most_hours: u64) -> Kind {
    Kind::Time { least: Duration::from_millis(least_ms), most: Duration::from_secs(most_hours * 3600) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Default, Kind, PROFILE, RUNTIME, SUPERVISOR};
    use crate::values::Values;

    #[test]
    fn each_key_is_there_once_with_a_default_that_its_own_kind_accepts() {
        for table in [SUPERVISOR, RUNTIME, PROFILE] {
            let names: BTreeSet<_> = table.iter().map(|key| key.name).collect();
            assert_eq!(names.len(), table.len());
            let values = Values::defaults(table);
            for key in table {
                let has_default = matches!(key.default, Default::Value(_));
                assert_eq!(values.get(key.name).is_some(), has_default, "{}", key.name);
            }
        }
    }

    #[test]
    fn only_lists_accumulate() {
        assert!(Kind::Calls.accumulates() && !Kind::Modules.accumulates() && !Kind::Switch.accumulates());
    }
}
