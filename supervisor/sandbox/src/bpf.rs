//! The instructions of our filters, and running a compiled one here, on a call that somebody says was refused: what the kernel would
//! have answered. Pure arithmetic on numbers; nothing is asked of the kernel.

use crate::seccomp::{AUDIT_ARCH_X86_64, Filter};

/// The instructions of classic BPF that our filters are made of: the kernel's `networking/filter`.
#[expect(clippy::cast_possible_truncation, reason = "the codes are defined as 16 bits wide")]
pub(crate) mod code {
    pub const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    pub const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
    pub const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
    pub const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    pub const IF_GREATER: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
    pub const IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    pub const IF_ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
    pub const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
}

/// What is known of the arguments of a call.
pub type Arguments = [Option<u64>; 6];

/// Whether a filter refuses a native call, found by running it as the kernel would: `seccomp(2)`,
/// "Filters". Where that depends on an argument that is not known, the call is not said to be refused.
#[must_use]
pub fn refuses(program: &Filter, number: i64, arguments: Arguments) -> bool {
    // An error of zero is success: the call is answered, and nothing was kept from who made it.
    const DONE: [u32; 3] = [libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_LOG, libc::SECCOMP_RET_ERRNO];
    let action = returned(program, number, arguments);
    action.is_some_and(|action| !DONE.contains(&action))
}

/// What a filter answers a native call whose arguments are all known: an error, death, or nothing, so that
/// it is made.
#[must_use]
pub fn answer(program: &Filter, number: i64, arguments: [u64; 6]) -> Answer {
    let action = returned(program, number, arguments.map(Some)).unwrap_or(libc::SECCOMP_RET_KILL_PROCESS);
    match action & libc::SECCOMP_RET_ACTION_FULL {
        libc::SECCOMP_RET_ALLOW | libc::SECCOMP_RET_LOG => Answer::Made,
        libc::SECCOMP_RET_ERRNO => Answer::Errno((action & libc::SECCOMP_RET_DATA).cast_signed()),
        _ => Answer::Death,
    }
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is made.
    Made,
    /// It fails with this error.
    Errno(i32),
    /// It ends the process.
    Death,
}

/// What a classic BPF program returns for a call; `None` if it asks for something that is not known, or
/// does what ours do not.
fn returned(program: &Filter, number: i64, arguments: Arguments) -> Option<u32> {
    let (mut at, mut accumulator) = (0, 0_u32);
    loop {
        let step = program.get(at)?;
        let mut skipped = 0;
        let mut choose = |holds| skipped = usize::from(if holds { step.jt } else { step.jf });
        match step.code {
            code::RETURN => return Some(step.k),
            code::LOAD => accumulator = word(number, arguments, step.k)?,
            code::AND => accumulator &= step.k,
            code::JUMP => skipped = usize::try_from(step.k).ok()?,
            code::IF_EQUAL => choose(accumulator == step.k),
            code::IF_GREATER => choose(accumulator > step.k),
            code::IF_AT_LEAST => choose(accumulator >= step.k),
            code::IF_ANY_BIT => choose(accumulator & step.k != 0),
            _ => return None,
        }
        // Jumps only go forward, so this ends.
        at = at.checked_add(skipped)?.checked_add(1)?;
    }
}

/// The 32 bits at an offset of `struct seccomp_data`.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is asked for")]
fn word(number: i64, arguments: Arguments, offset: u32) -> Option<u32> {
    match offset {
        0 => u32::try_from(number).ok(),
        4 => Some(AUDIT_ARCH_X86_64),
        16..64 => {
            let argument = arguments[usize::try_from((offset - 16) / 8).ok()?]?;
            Some(if offset.is_multiple_of(8) { argument as u32 } else { (argument >> 32) as u32 })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::refuses;
    use crate::seccomp::{compile_supervisor, compile_waiting};

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
    }
}
