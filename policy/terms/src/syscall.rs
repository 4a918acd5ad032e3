//! System calls by name and by number.

use serde::{Deserialize, Serialize};
use syscalls::Sysno;

use crate::never::NEVER;

/// A system call of x86-64. Where it is written down, it is its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Syscall(Sysno);

/// No call has this number.
#[derive(Debug)]
pub struct NoSyscall(i64);

impl std::fmt::Display for NoSyscall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no system call has the number {}", self.0)
    }
}

impl TryFrom<i64> for Syscall {
    type Error = NoSyscall;

    fn try_from(number: i64) -> Result<Self, NoSyscall> {
        Self::by_number(number).ok_or(NoSyscall(number))
    }
}

impl From<Syscall> for i64 {
    fn from(call: Syscall) -> Self {
        call.number()
    }
}

impl Syscall {
    /// The call of this name, as the manual pages have it.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        name.parse().ok().map(Self)
    }

    /// The call of this number.
    #[must_use]
    pub fn by_number(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(Sysno::new).map(Self)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Its number on x86-64.
    #[must_use]
    pub fn number(self) -> i64 {
        i64::from(self.0.id())
    }

    /// Whether no policy may allow it.
    #[must_use]
    pub fn is_never_allowed(self) -> bool {
        NEVER.contains(&self.name())
    }

    /// The names of all calls.
    pub fn names() -> impl Iterator<Item = &'static str> {
        // By number, for the crate's own iterator leaves out the last.
        (0..=i64::from(Sysno::last().id())).filter_map(Self::by_number).map(Self::name)
    }
}

#[cfg(test)]
mod tests {
    use super::Syscall;

    #[test]
    fn names_and_numbers_are_those_of_the_kernel() {
        assert_eq!(Syscall::by_name("read").map(Syscall::number), Some(0));
        assert_eq!(Syscall::by_name("openat").map(Syscall::number), Some(257));
        assert_eq!(Syscall::by_name("reed"), None);
    }
}
