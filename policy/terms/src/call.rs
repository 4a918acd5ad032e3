//! What becomes of single system calls.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What becomes of a system call with certain arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRule {
    /// The call's number.
    pub number: i64,
    /// What has to hold of its arguments, all of it.
    pub when: Vec<Condition>,
    /// What becomes of it then.
    pub action: Action,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// It is made.
    Allow,
    /// It is made, and the kernel's log says so.
    Log,
    /// It fails with the error of this number.
    Errno(u16),
    /// The job is ended with SIGSYS.
    Kill,
}

impl Action {
    /// Whether the call is made.
    #[must_use]
    pub fn permits(self) -> bool {
        matches!(self, Self::Allow | Self::Log)
    }
}

/// What one argument of a call must be, without sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Which: 0 to 5.
    pub argument: u8,
    /// Whether only the lower 32 bits are looked at, as the kernel does where it takes an `int`.
    pub narrow: bool,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub value: u64,
}

/// How an argument is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `==`, these bits alone.
    EqualIn(u64),
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
}

impl Comparison {
    /// Its sign.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Equal | Self::EqualIn(_) => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
        }
    }
}

/// As a policy file has it.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.narrow { "int" } else { "arg" };
        write!(f, "{name}{}", self.argument)?;
        if let Comparison::EqualIn(mask) = self.comparison {
            write!(f, " & {mask:#x}")?;
        }
        write!(f, " {} {:#x}", self.comparison.sign(), self.value)
    }
}
