//! Filters that no profile has a say in: the supervisor's own, and that of a process that only waits.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::compile::list;
use super::frame::{native_only, prologue};
use super::shorter::shorter;
use crate::error::{Error, Result};

/// A filter for a process that waits for its children and does nothing else, such as a cell's init, once it has
/// closed what it was watched by.
///
/// # Errors
/// As [`compile`](super::compile()).
pub fn compile_waiting() -> Result<BpfProgram> {
    const CALLS: [i64; 7] = [
        libc::SYS_close,
        libc::SYS_wait4,
        libc::SYS_exit_group,
        libc::SYS_exit,
        libc::SYS_rt_sigreturn,
        libc::SYS_pause,
        libc::SYS_restart_syscall,
    ];
    let calls = CALLS.into_iter().map(|number| (number, Vec::new())).collect();
    let mut program = prologue();
    program
        .extend(shorter(list(calls, std::iter::empty()).map_err(|error| Error::layer("compile the filter", error))?));
    Ok(program)
}

/// A filter for the supervisor itself and all that descends from it: every family of sockets but Unix
/// is refused, and the calls that no part of it makes. With `loopback`, jobs may have a network of their
/// own, so the two families of the internet pass; the supervisor must then be where these lead nowhere.
///
/// # Errors
/// As [`compile`](super::compile()).
pub fn compile_supervisor(loopback: bool) -> Result<BpfProgram> {
    const NEVER: [i64; 24] = [
        libc::SYS_acct,
        libc::SYS_add_key,
        libc::SYS_bpf,
        libc::SYS_clock_settime,
        libc::SYS_delete_module,
        libc::SYS_finit_module,
        libc::SYS_init_module,
        libc::SYS_io_uring_setup,
        libc::SYS_ioperm,
        libc::SYS_iopl,
        libc::SYS_kexec_file_load,
        libc::SYS_kexec_load,
        libc::SYS_modify_ldt,
        libc::SYS_open_by_handle_at,
        libc::SYS_perf_event_open,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_ptrace,
        libc::SYS_reboot,
        libc::SYS_request_key,
        libc::SYS_settimeofday,
        libc::SYS_swapoff,
        libc::SYS_swapon,
        libc::SYS_userfaultfd,
    ];
    let not_unix = |number| {
        let families: &[i32] =
            if loopback { &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6] } else { &[libc::AF_UNIX] };
        let other = |&family| SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, family as u64);
        let others = families.iter().map(other).collect::<Result<Vec<_>, _>>()?;
        Ok((number, vec![SeccompRule::new(others)?]))
    };
    // By which bytes come out of a terminal as if they had been typed: `ioctl_tty(2)`.
    let typing = || {
        let rule = |request: u64| {
            SeccompRule::new(vec![SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, request)?])
        };
        Ok((libc::SYS_ioctl, vec![rule(libc::TIOCSTI)?, rule(libc::TIOCLINUX)?]))
    };
    let rules: BpfProgram = [libc::SYS_socket, libc::SYS_socketpair]
        .map(not_unix)
        .into_iter()
        .chain([typing()])
        .chain(NEVER.map(|number| Ok((number, Vec::new()))))
        .collect::<Result<_, seccompiler::BackendError>>()
        .and_then(|rules| {
            let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
            SeccompFilter::new(rules, SeccompAction::Allow, refuse, TargetArch::x86_64)
        })
        .and_then(BpfProgram::try_from)
        .map_err(|error| Error::layer("compile the supervisor's filter", error))?;
    // Other interfaces have other numbers, and so would pass.
    let mut program = native_only();
    program.extend(rules);
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::{compile_supervisor, compile_waiting};
    use crate::bpf::refuses;

    const UNKNOWN: [Option<u64>; 6] = [None; 6];

    #[test]
    fn a_list_refuses_what_is_not_on_it() {
        let waiting = compile_waiting().expect("compiles");
        assert!(!refuses(&waiting, libc::SYS_pause, UNKNOWN));
        for number in [libc::SYS_read, libc::SYS_mount, libc::SYS_clone3, 100_000, 0x4000_0000 + libc::SYS_pause] {
            assert!(refuses(&waiting, number, UNKNOWN), "{number}");
        }
        assert!(!refuses(&waiting, -1, UNKNOWN), "no call has this number");
    }

    #[test]
    fn what_depends_on_an_unknown_argument_is_not_said_to_be_refused() {
        let supervisor = compile_supervisor(false).expect("compiles");
        let family = |family| [Some(family), None, None, None, None, None];
        assert!(refuses(&supervisor, libc::SYS_bpf, UNKNOWN));
        assert!(refuses(&supervisor, libc::SYS_socket, family(libc::AF_INET as u64)));
        // The kernel reads 32 bits of it.
        assert!(!refuses(&supervisor, libc::SYS_socket, family(libc::AF_UNIX as u64 | 1 << 40)));
        assert!(!refuses(&supervisor, libc::SYS_socket, UNKNOWN));
        let request = |request| [Some(0), Some(request), None, None, None, None];
        assert!(refuses(&supervisor, libc::SYS_ioctl, request(libc::TIOCSTI | 1 << 40)));
        assert!(!refuses(&supervisor, libc::SYS_ioctl, request(libc::FIONBIO)));
    }
}
