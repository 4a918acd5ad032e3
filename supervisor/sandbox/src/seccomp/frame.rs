//! What stands around every list: death for other architectures' calls, and calls that are as if this kernel did not have
//! them.

use seccompiler::BpfProgram;

use crate::bpf::code::{IF_AT_LEAST, IF_EQUAL, JUMP, LOAD, RETURN};
use crate::bpf::{AUDIT_ARCH_X86_64, small, step};

/// Calls that C libraries try first and do without on older kernels. `clone3` is one because a filter
/// cannot read its flags, which lie in memory.
pub(super) const PROBED: [i64; 2] = [libc::SYS_clone3, libc::SYS_openat2];

/// The first number that all architectures share (`pidfd_send_signal`, Linux 5.1). What is from here on,
/// C libraries and programs try first and do without on older kernels, for which `ENOSYS` is the sign: with
/// `EPERM` they give up. So such a call is there, or it is as if the kernel were older than it.
const FIRST_PROBED: u32 = 424;

/// The first number of the x32 ABI, `__X32_SYSCALL_BIT`.
const X32: u32 = 0x4000_0000;

/// The newest call this filter knows of (`listns`, Linux 6.19); beyond it a program gets what an
/// older kernel would say.
pub(super) const NEWEST: u32 = 470;

/// What an older kernel says of a call that it does not have.
const NO_SUCH_CALL: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();

/// Instructions that answer `ENOSYS` to calls from [`FIRST_PROBED`] on that are none of these, and go on after
/// the last instruction otherwise. The number is in the accumulator.
pub(super) fn not_there(except: impl Iterator<Item = u32>) -> BpfProgram {
    let new: Vec<u32> = except.filter(|&number| number >= FIRST_PROBED).collect();
    let mut program = vec![step(IF_AT_LEAST, 1, 0, FIRST_PROBED), step(JUMP, 0, 0, small(2 * new.len() + 1))];
    for (done, number) in new.iter().enumerate() {
        program.push(step(IF_EQUAL, 0, 1, *number));
        program.push(step(JUMP, 0, 0, small(2 * (new.len() - done) - 1)));
    }
    program.push(step(RETURN, 0, 0, NO_SUCH_CALL));
    program
}

/// Death for the calls of another architecture, in classic BPF: `seccomp(2)`, `struct seccomp_data`. Leaves the
/// number in the accumulator.
pub(super) fn native_only() -> BpfProgram {
    const NUMBER: u32 = 0;
    const ARCHITECTURE: u32 = 4;

    vec![
        step(LOAD, 0, 0, ARCHITECTURE),
        step(IF_EQUAL, 1, 0, AUDIT_ARCH_X86_64),
        step(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        step(LOAD, 0, 0, NUMBER),
        step(IF_AT_LEAST, 0, 1, X32),
        step(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
    ]
}

/// The instructions in front of a job's list.
pub(super) fn prologue() -> BpfProgram {
    let mut program = native_only();
    program.extend([step(IF_AT_LEAST, 0, 1, NEWEST + 1), step(RETURN, 0, 0, NO_SUCH_CALL)]);
    for number in PROBED {
        let number = u32::try_from(number).expect("system call numbers are small and positive");
        program.push(step(IF_EQUAL, 0, 1, number));
        program.push(step(RETURN, 0, 0, NO_SUCH_CALL));
    }
    program
}
