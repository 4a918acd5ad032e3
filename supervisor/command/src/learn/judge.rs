//! What a policy could do about a call that a profile's filter does not let pass.

use cloister_policy::seccomp::{NEVER, Syscall};
use cloister_sandbox::bpf::{self, Answer};
use cloister_sandbox::recorder::Reply;
use cloister_sandbox::seccomp::{self, Filter};
use cloister_sandbox::spec::{Action, Network, Spec};

/// A profile's filter, and what it would be with more said in it.
#[derive(Debug)]
pub struct Judge {
    own: Filter,
    unruled: Filter,
    widest: Filter,
    loopback: Filter,
}

/// What is to be said of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Judgement {
    /// The profile allows it.
    Allowed,
    /// The profile does not name it, and could.
    Unnamed,
    /// A rule of the profile refuses it.
    Ruled,
    /// It takes a loopback network.
    NeedsLoopback,
    /// No policy may allow it.
    Never,
}

impl Judge {
    /// For a profile.
    ///
    /// # Errors
    /// When a filter cannot be compiled.
    pub fn new(spec: &Spec) -> cloister_sandbox::Result<Self> {
        let unruled = Spec {
            call_rules: spec.call_rules.iter().filter(|rule| rule.action == Action::Allow).cloned().collect(),
            ..spec.clone()
        };
        let all = Syscall::names().filter(|name| !NEVER.contains(name)).filter_map(Syscall::by_name);
        let widest = Spec { syscalls: all.map(Syscall::number).collect(), call_rules: Vec::new(), ..spec.clone() };
        let loopback = Spec { network: Network::Loopback, ..widest.clone() };
        Ok(Self {
            own: seccomp::compile(spec)?,
            unruled: seccomp::compile(&unruled)?,
            widest: seccomp::compile(&widest)?,
            loopback: seccomp::compile(&loopback)?,
        })
    }

    /// Judges a call, and says what becomes of it: only what a policy could name is let go on. All of it
    /// depends on the numbers in the call's registers alone.
    #[must_use]
    pub fn judge(&self, number: i64, arguments: [u64; 6]) -> (Judgement, Reply) {
        let passes = |filter| bpf::answer(filter, number, arguments) == Answer::Made;
        let judgement = match bpf::answer(&self.own, number, arguments) {
            Answer::Made => return (Judgement::Allowed, Reply::GoOn),
            _ if passes(&self.unruled) => Judgement::Ruled,
            _ if passes(&self.widest) => return (Judgement::Unnamed, Reply::GoOn),
            _ if passes(&self.loopback) => Judgement::NeedsLoopback,
            _ => Judgement::Never,
        };
        match bpf::answer(&self.own, number, arguments) {
            Answer::Errno(errno) => (judgement, Reply::Errno(errno)),
            _ => (judgement, Reply::Errno(libc::EPERM)),
        }
    }
}
