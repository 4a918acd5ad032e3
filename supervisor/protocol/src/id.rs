//! The id that one request carries from the gateway's door to the log and the answer.

use std::fmt;

use serde::{Serialize, Serializer};
use uuid::Uuid;

/// A job's id: random bits, of which the first eight may be its node's number, written as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct JobId(Uuid);

impl JobId {
    /// A new random id.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// A new one of this node, whose number is its first two digits: by them a balancer sends what belongs to a job to where it is.
    #[must_use]
    pub fn of_node(node: Option<u8>) -> Self {
        let Some(node) = node else { return Self::random() };
        let mut bytes = Uuid::new_v4().into_bytes();
        bytes[0] = node;
        Self(Uuid::from_bytes(bytes))
    }

    /// A new one of the same node as this.
    #[must_use]
    pub fn beside(self) -> Self {
        Self::of_node(Some(self.node()))
    }

    /// The number of its node, where nodes have numbers.
    #[must_use]
    pub fn node(self) -> u8 {
        self.0.as_bytes()[0]
    }

    /// Reads the 32 digits back; anything else is `None`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 {
            return None;
        }
        Uuid::try_parse(text).ok().map(Self)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.simple())
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for JobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
