//! Conditions on a call's arguments, and the ways in which these may be.

use std::collections::BTreeMap;

use seccompiler::{BackendError, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

/// Calls by number, each with the sets of conditions of which one has to hold; none means always.
pub(super) type Calls = BTreeMap<i64, Vec<SeccompRule>>;

/// The ways in which a call's arguments may be, all conditions of one of them; none means any.
pub(super) type Ways = Vec<Vec<SeccompCondition>>;

pub(super) fn equal(argument: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

pub(super) fn without(argument: u8, width: SeccompCmpArgLen, bits: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, width, SeccompCmpOp::MaskedEq(bits), 0)
}
