//! A profile's filter as two that are in force together, and answer as it would alone.
//!
//! The kernel translates a filter each time that it is put in force, which for a whole one takes longer than all else that confines a
//! job. A warm interpreter has the first half in force, and all that is forked from it with it: what it does itself, and what a child does
//! to be confined, passes there. The second speaks of those calls alone, and is short. A job that is started cold puts both in force. Of two
//! answers the stricter holds, `seccomp(2)`, and each call is answered by one of them, the other lets it pass.

use seccompiler::BpfProgram;

use super::compile::{apply, program};
use crate::error::Result;
use crate::spec::Spec;

/// What a zygote does once it has imported what the policy names, and its children until they are confined: orders, forks, memory, and all
/// that makes a place for imports and takes a job's powers away.
const OF_ZYGOTES: [i64; 72] = [
    libc::SYS_brk,
    libc::SYS_capget,
    libc::SYS_capset,
    libc::SYS_chdir,
    libc::SYS_clone,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_dup2,
    libc::SYS_dup3,
    libc::SYS_exit_group,
    libc::SYS_fchdir,
    libc::SYS_fcntl,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_ioctl,
    libc::SYS_keyctl,
    libc::SYS_kill,
    libc::SYS_landlock_add_rule,
    libc::SYS_landlock_create_ruleset,
    libc::SYS_landlock_restrict_self,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_mkdir,
    libc::SYS_mmap,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_newfstatat,
    libc::SYS_open,
    libc::SYS_open_tree,
    libc::SYS_openat,
    libc::SYS_pidfd_open,
    libc::SYS_poll,
    libc::SYS_prctl,
    libc::SYS_prlimit64,
    libc::SYS_read,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_seccomp,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_set_robust_list,
    libc::SYS_setns,
    libc::SYS_setresgid,
    libc::SYS_setresuid,
    libc::SYS_setrlimit,
    libc::SYS_setsid,
    libc::SYS_signalfd4,
    libc::SYS_statx,
    libc::SYS_sysinfo,
    libc::SYS_umask,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_write,
];

/// Both, compiled.
pub struct Halves {
    ahead: BpfProgram,
    last: BpfProgram,
}

impl Halves {
    /// Those of a profile.
    ///
    /// # Errors
    /// As [`compile`](super::compile()).
    pub fn new(spec: &Spec) -> Result<Self> {
        let of_zygotes = |number: &i64| OF_ZYGOTES.contains(number);
        let ahead = program(spec, |number| !of_zygotes(number), of_zygotes)?;
        let last = program(spec, of_zygotes, |number| !of_zygotes(number))?;
        Ok(Self { ahead, last })
    }

    /// Puts the first in force, for this thread and all that descend from it, ahead of jobs. `no_new_privs` must be set.
    ///
    /// # Errors
    /// When the kernel refuses the program.
    pub fn apply_ahead(&self) -> Result<()> {
        apply(&self.ahead)
    }

    /// The same for the second, after which nothing is left that confines.
    ///
    /// # Errors
    /// When the kernel refuses the program.
    pub fn apply_last(&self) -> Result<()> {
        apply(&self.last)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use cloister_terms::{Action, Bytes, CallRule, Network, Rlimits};

    use super::super::arguments::conditions;
    use super::super::compile::compile;
    use super::super::sampled::{Values, rules};
    use super::{Halves, OF_ZYGOTES};
    use crate::bpf::returned;
    use crate::spec::{Spec, Tmpfs};

    fn spec(network: Network, call_rules: Vec<CallRule>, syscalls: Vec<i64>) -> Spec {
        let tmpfs = Tmpfs { bytes: Bytes(0), inodes: 0 };
        let rlimits = Rlimits {
            open_files: 0,
            file_size: Bytes(0),
            stack: Bytes(0),
            address_space: Bytes(0),
            data: Bytes(0),
            processes: 0,
            pending_signals: 0,
            message_queues: Bytes(0),
        };
        Spec {
            command: Vec::new(),
            compiler: None,
            environment: Vec::new(),
            mounts: Vec::new(),
            links: Vec::new(),
            devices: None,
            hostname: String::new(),
            tmp: tmpfs,
            shm: tmpfs,
            rlimits,
            cpu_seconds: 0,
            working_directory: PathBuf::new(),
            own_directory: None,
            out: PathBuf::new(),
            network,
            syscalls,
            call_rules,
            path_rules: Vec::new(),
            landlock_min_abi: 0,
        }
    }

    /// Death, an error, a word in the log, nothing: `seccomp(2)`, "in decreasing order of precedence".
    fn stricter(one: u32, other: u32) -> u32 {
        let rank = |action: u32| (action & libc::SECCOMP_RET_ACTION_FULL).cast_signed();
        if rank(one) < rank(other) { one } else { other }
    }

    #[test]
    fn both_together_answer_as_the_whole_and_each_call_is_one_halfs() {
        let also = rules().map(|rule| CallRule { number: rule.number + 100, action: Action::Allow, ..rule });
        for network in [Network::None, Network::Loopback] {
            for syscalls in [(0..470).filter(|number| number % 9 != 1).collect::<Vec<_>>(), Vec::new()] {
                let spec = spec(network, rules().into_iter().chain(also.clone()).collect(), syscalls);
                let (whole, halves) = (compile(&spec).expect("compiles"), Halves::new(&spec).expect("compiles"));
                let mut values = Values::of(&whole);
                for number in 0..480 {
                    let has_rule = spec.call_rules.iter().any(|rule| rule.number == number);
                    let asks = has_rule || !conditions(number, network).expect("conditions").is_empty();
                    for arguments in values.arguments(asks) {
                        let [whole, ahead, last] = [&whole, &halves.ahead, &halves.last]
                            .map(|program| returned(program, number, arguments.map(Some)).expect("all is known"));
                        assert_eq!(stricter(ahead, last), whole, "{number} {arguments:?}");
                        let other = if OF_ZYGOTES.contains(&number) { ahead } else { last };
                        assert!(other == libc::SECCOMP_RET_ALLOW || other == whole, "{number} {arguments:?}");
                    }
                }
            }
        }
    }
}
