//! A profile's filter: what stands around every list, its rules that refuse or log, and the list of what is allowed.

use cloister_terms::Action;
use seccompiler::{BackendError, BpfProgram, SeccompAction, SeccompFilter, TargetArch};

use super::frame::{NEWEST, not_there, prologue};
use super::shorter::shorter;
use super::ways::Calls;
use super::{answered, rules, search_tree};
use crate::error::{Error, Result};
use crate::spec::Spec;

/// The longest program that the kernel takes, `BPF_MAXINSNS`.
pub(super) const LONGEST: usize = 4096;

/// Compiles a profile's filter.
///
/// What no profile may change comes first, then its rules that refuse or log, in their order, and then
/// the list of what is allowed.
///
/// Calls that are allowed whatever their arguments are found by a search tree, in some ten steps; only
/// the rest goes through the list that `seccompiler` makes. A list of everything would be right as well,
/// but the kernel translates a filter, and runs it once for every number, each time that it is put in
/// force, which is once a job: `seccomp_cache_prepare` in the kernel's `kernel/seccomp.c`.
///
/// # Errors
/// When this is no x86-64, or the program would be too long for the kernel.
pub fn compile(spec: &Spec) -> Result<BpfProgram> {
    program(spec, |_| true, |_| false)
}

/// The same for some calls; others are let pass, and what is neither is refused.
pub(super) fn program(spec: &Spec, is_of: impl Fn(&i64) -> bool, passes: impl Fn(&i64) -> bool) -> Result<BpfProgram> {
    let failed = |error| Error::layer("compile the filter", error);
    let mut rest = BpfProgram::new();
    for rule in spec.call_rules.iter().filter(|rule| rule.action != Action::Allow && is_of(&rule.number)) {
        rest.extend(rules::block(rule, spec.network).map_err(failed)?);
    }
    let mut calls = rules::allowed(spec).map_err(failed)?;
    calls.retain(|number, _| is_of(number));
    rest.extend(list(calls, (0..=i64::from(NEWEST)).filter(passes)).map_err(failed)?);
    let mut program = prologue();
    program.extend(shorter(rest));
    if program.len() > LONGEST {
        let reason =
            format!("{} instructions, the kernel takes {LONGEST}: allow less or have fewer rules", program.len());
        return Err(Error::layer("compile the filter", reason));
    }
    Ok(program)
}

/// The program that allows these calls, lets those pass, and refuses all others.
pub(super) fn list(calls: Calls, passing: impl Iterator<Item = i64>) -> Result<BpfProgram, BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    if arch != TargetArch::x86_64 {
        return Err(BackendError::InvalidTargetArch(std::env::consts::ARCH.to_owned()));
    }
    let (plain, conditional): (Calls, Calls) = calls.into_iter().partition(|(_, ways)| ways.is_empty());
    let plain = plain.into_keys().map(|number| (number, answered::action(number)));
    let answers = plain.chain(passing.map(|number| (number, libc::SECCOMP_RET_ALLOW)));
    let mut program = search_tree::answer(
        &answers.filter_map(|(number, action)| Some((u32::try_from(number).ok()?, action))).collect(),
    );
    program.extend(not_there(conditional.keys().filter_map(|&number| u32::try_from(number).ok())));
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    program.extend(SeccompFilter::new(conditional, refuse, SeccompAction::Allow, arch).and_then(BpfProgram::try_from)?);
    Ok(program)
}

/// Puts the filter in force for this thread and all that descend from it. `no_new_privs` must be set.
///
/// # Errors
/// When the kernel refuses the program.
pub fn apply(program: &BpfProgram) -> Result<()> {
    seccompiler::apply_filter(program).map_err(|error| Error::library("seccomp SECCOMP_SET_MODE_FILTER", &error))
}
