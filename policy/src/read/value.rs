//! A value of the file, of whatever kind, with its place.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use cloister_terms::{Bytes, CallRule, Millicpus, Mount, PathRule};

/// Where a value was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nowhere: it is the default.
    Default,
    /// In the file, in these bytes.
    File(Range<usize>),
}

/// Something with its place.
#[derive(Clone, Debug)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) origin: Origin,
}

/// A value of any kind.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// `u64::MAX` is unlimited.
    Size(Bytes),
    Time(Duration),
    /// `u64::MAX` is unlimited.
    Whole(u64),
    Number(Millicpus),
    Switch(bool),
    Text(String),
    Words(Vec<Placed<String>>),
    Mounts(Vec<Placed<Mount>>),
    CallRules(Vec<Placed<CallRule>>),
    PathRules(Vec<Placed<PathRule>>),
    Pairs(BTreeMap<String, String>),
}

impl Value {
    /// The same, said nowhere.
    pub(super) fn into_default(self) -> Self {
        fn of<T>(items: Vec<Placed<T>>) -> Vec<Placed<T>> {
            items.into_iter().map(|item| Placed { origin: Origin::Default, ..item }).collect()
        }
        match self {
            Self::Words(items) => Self::Words(of(items)),
            Self::Mounts(items) => Self::Mounts(of(items)),
            Self::CallRules(items) => Self::CallRules(of(items)),
            Self::PathRules(items) => Self::PathRules(of(items)),
            other => other,
        }
    }
}

impl<T> Placed<T> {
    /// Its place in the file; where it is a default, the top.
    pub(crate) fn span(&self) -> Range<usize> {
        match &self.origin {
            Origin::Default => 0..0,
            Origin::File(span) => span.clone(),
        }
    }
}
