//! A key: its name, what a value of it is, what holds without it, and what more of it means.

use std::time::Duration;

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
    /// Nothing: the key has to be there, unless this one of its table is, and cannot be beside it.
    RequiredWithout(&'static str),
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
    /// A whole number, or so many for each processor of the host, or of the container: `"8/cpu"`.
    Count {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
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
    /// A file, by its absolute path or by one from the policy's own directory.
    File,
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

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn only_lists_accumulate() {
        assert!(Kind::Calls.accumulates() && !Kind::Modules.accumulates() && !Kind::Switch.accumulates());
    }
}
