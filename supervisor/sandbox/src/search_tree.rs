//! A search tree over system call numbers, in classic BPF.

use std::collections::BTreeSet;

use seccompiler::sock_filter;

use crate::bpf::code;

/// A jump whose distance is not known before the tree is complete.
const TO_THE_END: sock_filter = sock_filter { code: code::JUMP, jt: 0, jf: 0, k: u32::MAX };

/// Where a call's number lies in `struct seccomp_data`, `seccomp(2)`.
const NUMBER: u32 = 0;

/// Instructions that allow a call if its number is one of these, and go on after the last instruction if
/// not, the number in the accumulator.
pub(crate) fn allow(numbers: &BTreeSet<u32>) -> Vec<sock_filter> {
    let mut program = vec![sock_filter { code: code::LOAD, jt: 0, jf: 0, k: NUMBER }];
    program.extend(tree(&intervals(numbers)));
    let length = program.len();
    for (position, step) in program.iter_mut().enumerate().filter(|(_, step)| **step == TO_THE_END) {
        step.k = small(length - position - 1);
    }
    program
}

/// From which number on the answer is what, the whole range of numbers through.
fn intervals(numbers: &BTreeSet<u32>) -> Vec<(u32, bool)> {
    let mut intervals = vec![(0, numbers.contains(&0))];
    for &number in numbers {
        if !numbers.contains(&number.wrapping_sub(1)) && number > 0 {
            intervals.push((number, true));
        }
        if !numbers.contains(&(number + 1)) {
            intervals.push((number + 1, false));
        }
    }
    intervals
}

fn tree(intervals: &[(u32, bool)]) -> Vec<sock_filter> {
    match intervals {
        [] => Vec::new(),
        [(_, true)] => vec![sock_filter { code: code::RETURN, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW }],
        [(_, false)] => vec![TO_THE_END],
        _ => {
            let (below, from) = intervals.split_at(intervals.len() / 2);
            let (left, right) = (tree(below), tree(from));
            let mut program = match u8::try_from(left.len()) {
                Ok(jt) => vec![sock_filter { code: code::IF_AT_LEAST, jt, jf: 0, k: from[0].0 }],
                // A conditional jump reaches 255 instructions, a plain one any number.
                Err(_) => vec![
                    sock_filter { code: code::IF_AT_LEAST, jt: 0, jf: 1, k: from[0].0 },
                    sock_filter { code: code::JUMP, jt: 0, jf: 0, k: small(left.len()) },
                ],
            };
            program.extend(left);
            program.extend(right);
            program
        }
    }
}

fn small(length: usize) -> u32 {
    u32::try_from(length).expect("a filter has at most 4096 instructions")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{allow, code};

    /// What the program does with a number: whether it allows it before its end is reached.
    fn allows(program: &[seccompiler::sock_filter], number: u32) -> bool {
        let mut at = 0;
        while let Some(step) = program.get(at) {
            at += 1 + match step.code {
                code::LOAD => 0,
                code::RETURN => return true,
                code::JUMP => step.k as usize,
                code::IF_AT_LEAST => usize::from(if number >= step.k { step.jt } else { step.jf }),
                other => panic!("an instruction of code {other}"),
            };
        }
        assert_eq!(at, program.len(), "a jump past the end");
        false
    }

    #[test]
    fn exactly_the_given_numbers_are_allowed() {
        let sets: [BTreeSet<u32>; 6] = [
            BTreeSet::new(),
            [0].into(),
            (0..470).collect(),
            (0..470).step_by(2).collect(),
            (1..470).filter(|number| number % 7 != 3).collect(),
            [5, 6, 7, 231, 334, 435].into(),
        ];
        for numbers in sets {
            let program = allow(&numbers);
            for number in 0..600 {
                assert_eq!(allows(&program, number), numbers.contains(&number), "{number} of {numbers:?}");
            }
        }
    }
}
