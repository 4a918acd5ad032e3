//! A profile's own rules in its filter: what they refuse or log as a block of instructions in front of
//! the list, what they allow as part of it.
//!
//! A rule can only narrow: the conditions that make a call safe to allow hold beside its own.

use cloister_terms::{Action, CallRule, Comparison, Condition, Network};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::arguments::conditions;
use super::frame::PROBED;
use super::ways::{Calls, Ways};
use crate::bpf::code::{JUMP, RETURN};
use crate::bpf::small;
use crate::spec::Spec;

/// Everything that a profile allows, by its list and by rules.
pub(super) fn allowed(spec: &Spec) -> Result<Calls, BackendError> {
    let mut calls = Calls::new();
    for &number in spec.syscalls.iter().filter(|number| !PROBED.contains(number)) {
        calls.insert(number, rules_of(conditions(number, spec.network)?)?);
    }
    for rule in spec.call_rules.iter().filter(|rule| rule.action == Action::Allow) {
        if spec.syscalls.contains(&rule.number) || PROBED.contains(&rule.number) {
            continue;
        }
        let also = rules_of(combined(rule, spec.network)?)?;
        match calls.get_mut(&rule.number) {
            // Allowed always, by an earlier rule.
            Some(ways) if ways.is_empty() => {}
            Some(ways) if also.is_empty() => ways.clear(),
            Some(ways) => ways.extend(also),
            None => {
                calls.insert(rule.number, also);
            }
        }
    }
    Ok(calls)
}

/// The instructions of a rule that refuses or logs. They fall through where the rule does not hold.
pub(super) fn block(rule: &CallRule, network: Network) -> Result<BpfProgram, BackendError> {
    let (action, ways) = match rule.action {
        Action::Allow => return Ok(BpfProgram::new()),
        // What is logged is made, so it has to be safe to make.
        Action::Log => (SeccompAction::Log, combined(rule, network)?),
        Action::Errno(errno) => (SeccompAction::Errno(errno.into()), own(rule)?),
        Action::Kill => (SeccompAction::KillProcess, own(rule)?),
    };
    let calls = Calls::from([(rule.number, rules_of(ways)?)]);
    let filter = SeccompFilter::new(calls, SeccompAction::Allow, action, TargetArch::x86_64)?;
    Ok(falling_through(filter.try_into()?))
}

/// A program that goes on behind its end where it would have allowed the call.
fn falling_through(mut program: BpfProgram) -> BpfProgram {
    let length = program.len();
    for (at, instruction) in program.iter_mut().enumerate() {
        if instruction.code == RETURN && instruction.k == libc::SECCOMP_RET_ALLOW {
            instruction.code = JUMP;
            instruction.k = small(length - at - 1);
        }
    }
    program
}

/// A rule's own conditions; none means always.
fn own(rule: &CallRule) -> Result<Ways, BackendError> {
    let conditions: Vec<_> = rule.when.iter().map(condition).collect::<Result<_, _>>()?;
    Ok(if conditions.is_empty() { Vec::new() } else { vec![conditions] })
}

/// A rule's own conditions together with those that always have to hold.
fn combined(rule: &CallRule, network: Network) -> Result<Ways, BackendError> {
    let mut ways = conditions(rule.number, network)?;
    let own = own(rule)?;
    if ways.is_empty() {
        return Ok(own);
    }
    for way in &mut ways {
        way.extend(own.iter().flatten().cloned());
    }
    Ok(ways)
}

fn rules_of(ways: Ways) -> Result<Vec<SeccompRule>, BackendError> {
    ways.into_iter().map(SeccompRule::new).collect()
}

fn condition(condition: &Condition) -> Result<SeccompCondition, BackendError> {
    let width = if condition.narrow { SeccompCmpArgLen::Dword } else { SeccompCmpArgLen::Qword };
    let comparison = match condition.comparison {
        Comparison::Equal => SeccompCmpOp::Eq,
        Comparison::EqualIn(mask) => SeccompCmpOp::MaskedEq(mask),
        Comparison::NotEqual => SeccompCmpOp::Ne,
        Comparison::Less => SeccompCmpOp::Lt,
        Comparison::AtMost => SeccompCmpOp::Le,
        Comparison::More => SeccompCmpOp::Gt,
        Comparison::AtLeast => SeccompCmpOp::Ge,
    };
    SeccompCondition::new(condition.argument, width, comparison, condition.value)
}
