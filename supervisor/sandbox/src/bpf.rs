//! The instructions of our filters, and running a compiled one here, on a call that somebody says was refused: what the kernel would
//! have answered. Pure arithmetic on numbers; nothing is asked of the kernel.

use seccompiler::{BpfProgram, sock_filter};

/// A compiled filter.
pub type Filter = BpfProgram;

/// The native architecture's mark in `struct seccomp_data`.
pub(crate) const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;

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

/// An instruction.
pub(crate) const fn step(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// A distance between two instructions.
pub(crate) fn small(distance: usize) -> u32 {
    u32::try_from(distance).expect("a program has at most 4096 instructions")
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
pub(crate) fn returned(program: &Filter, number: i64, arguments: Arguments) -> Option<u32> {
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
