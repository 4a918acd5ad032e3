//! A search tree over system call numbers, in classic BPF.

use std::collections::BTreeMap;

use seccompiler::sock_filter;

use crate::bpf::{code, small};

/// A jump whose distance is not known before the tree is complete.
const TO_THE_END: sock_filter = sock_filter { code: code::JUMP, jt: 0, jf: 0, k: u32::MAX };

/// Where a call's number lies in `struct seccomp_data`, `seccomp(2)`.
const NUMBER: u32 = 0;

/// Instructions that return what is given for a call's number, and go on after the last instruction for all others,
/// the number in the accumulator.
pub(super) fn answer(actions: &BTreeMap<u32, u32>) -> Vec<sock_filter> {
    let mut program = vec![sock_filter { code: code::LOAD, jt: 0, jf: 0, k: NUMBER }];
    program.extend(tree(&intervals(actions)));
    let length = program.len();
    for (position, step) in program.iter_mut().enumerate().filter(|(_, step)| **step == TO_THE_END) {
        step.k = small(length - position - 1);
    }
    program
}

/// From which number on the answer is what, the whole range of numbers through.
fn intervals(actions: &BTreeMap<u32, u32>) -> Vec<(u32, Option<u32>)> {
    let mut intervals = vec![(0, None)];
    let mut begin = |number, action| match intervals.last_mut() {
        Some(last) if last.0 == number => last.1 = action,
        Some(last) if last.1 == action => {}
        _ => intervals.push((number, action)),
    };
    for (&number, &action) in actions {
        begin(number, Some(action));
        begin(number + 1, actions.get(&(number + 1)).copied());
    }
    intervals
}

fn tree(intervals: &[(u32, Option<u32>)]) -> Vec<sock_filter> {
    match intervals {
        [] => Vec::new(),
        [(_, Some(action))] => vec![sock_filter { code: code::RETURN, jt: 0, jf: 0, k: *action }],
        [(_, None)] => vec![TO_THE_END],
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::{answer, code};

    /// What the program returns for a number before its end is reached.
    fn returned(program: &[seccompiler::sock_filter], number: u32) -> Option<u32> {
        let mut at = 0;
        while let Some(step) = program.get(at) {
            at += 1 + match step.code {
                code::LOAD => 0,
                code::RETURN => return Some(step.k),
                code::JUMP => step.k as usize,
                code::IF_AT_LEAST => usize::from(if number >= step.k { step.jt } else { step.jf }),
                other => panic!("an instruction of code {other}"),
            };
        }
        assert_eq!(at, program.len(), "a jump past the end");
        None
    }

    #[test]
    fn exactly_the_given_numbers_are_answered() {
        let sets: [BTreeSet<u32>; 6] = [
            BTreeSet::new(),
            [0].into(),
            (0..470).collect(),
            (0..470).step_by(2).collect(),
            (1..470).filter(|number| number % 7 != 3).collect(),
            [5, 6, 7, 231, 334, 435].into(),
        ];
        for numbers in sets {
            for kinds in [1, 2, 5] {
                let actions: BTreeMap<u32, u32> = numbers.iter().map(|&number| (number, number / 3 % kinds)).collect();
                let program = answer(&actions);
                for number in 0..600 {
                    assert_eq!(returned(&program, number), actions.get(&number).copied(), "{number} of {actions:?}");
                }
            }
        }
    }
}
