//! Running a compiled filter here, on a call that somebody says was refused: what the kernel would
//! have answered. Pure arithmetic on numbers; nothing is asked of the kernel.

use crate::seccomp::{AUDIT_ARCH_X86_64, Filter};

/// Whether a filter refuses a native call with these arguments, found by running it as the kernel would:
/// `seccomp(2)`, "Filters". What it cannot make sense of is not called refused.
#[must_use]
pub fn refuses(program: &Filter, number: i64, arguments: [u64; 6]) -> bool {
    let mut data = [0; 64];
    data[..8].copy_from_slice(&number.to_ne_bytes());
    data[4..8].copy_from_slice(&AUDIT_ARCH_X86_64.to_ne_bytes());
    for (slot, argument) in data[16..].chunks_exact_mut(8).zip(arguments) {
        slot.copy_from_slice(&argument.to_ne_bytes());
    }
    returned(program, &data).is_some_and(|action| action != libc::SECCOMP_RET_ALLOW && action != libc::SECCOMP_RET_LOG)
}

/// What a classic BPF program returns for a `struct seccomp_data`; `None` if it does what ours do not.
fn returned(program: &Filter, data: &[u8; 64]) -> Option<u32> {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
    const JUMP: u32 = libc::BPF_JMP | libc::BPF_JA;
    const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const IF_GREATER: u32 = libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K;
    const IF_AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    const IF_ANY_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

    let (mut at, mut accumulator) = (0, 0_u32);
    loop {
        let step = program.get(at)?;
        let operand = usize::try_from(step.k).ok()?;
        let holds = match u32::from(step.code) {
            RETURN => return Some(step.k),
            LOAD => {
                accumulator = u32::from_ne_bytes(data.get(operand..operand.checked_add(4)?)?.try_into().ok()?);
                None
            }
            AND => {
                accumulator &= step.k;
                None
            }
            JUMP => {
                at = at.checked_add(operand)?;
                None
            }
            IF_EQUAL => Some(accumulator == step.k),
            IF_GREATER => Some(accumulator > step.k),
            IF_AT_LEAST => Some(accumulator >= step.k),
            IF_ANY_BIT => Some(accumulator & step.k != 0),
            _ => return None,
        };
        // Jumps only go forward, so this ends.
        at += 1 + match holds {
            Some(true) => usize::from(step.jt),
            Some(false) => usize::from(step.jf),
            None => 0,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::refuses;
    use crate::seccomp::{NEWEST, compile};

    #[test]
    fn a_filter_run_here_says_what_it_would_say_to_the_kernel() {
        let filter = compile(&[libc::SYS_read, libc::SYS_socket, libc::SYS_clone, libc::SYS_sendto]).expect("compiles");
        let first = |argument| [argument, 0, 0, 0, 0, 0];
        assert!(!refuses(&filter, libc::SYS_read, [u64::MAX; 6]));
        assert!(refuses(&filter, libc::SYS_write, [0; 6]));
        assert!(refuses(&filter, libc::SYS_mount, [0; 6]));
        assert!(refuses(&filter, libc::SYS_clone3, [0; 6]));
        assert!(refuses(&filter, i64::from(NEWEST) + 1, [0; 6]));
        assert!(!refuses(&filter, libc::SYS_socket, first(libc::AF_UNIX as u64)));
        assert!(refuses(&filter, libc::SYS_socket, first(libc::AF_INET as u64)));
        assert!(!refuses(&filter, libc::SYS_clone, first(libc::CLONE_VM as u64)));
        assert!(refuses(&filter, libc::SYS_clone, first(libc::CLONE_NEWUSER as u64)));
        assert!(refuses(&filter, libc::SYS_sendto, [0, 0, 0, libc::MSG_OOB as u64, 0, 0]));
    }
}
