//! A filter that answers as another does, in fewer instructions: the kernel translates each filter anew for each job, and runs it at
//! each call that it does not answer always alike.

use seccompiler::{BpfProgram, sock_filter};

use crate::bpf::code::{IF_ANY_BIT, IF_AT_LEAST, IF_EQUAL, IF_GREATER, JUMP, LOAD, RETURN};
use crate::bpf::small;

/// What is in the accumulator in front of an instruction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// Nothing comes here.
    Unreached,
    /// The word at this offset of `struct seccomp_data`.
    Word(u32),
    /// This or that.
    Other,
}

/// The same filter without jumps to jumps, words that are loaded where they are, answers that stand further down too, and what nothing
/// comes to.
pub(super) fn shorter(mut program: BpfProgram) -> BpfProgram {
    loop {
        let holds = held(&program);
        for at in 0..program.len() {
            aim(&mut program, &holds, at);
        }
        let holds = held(&program);
        let is_idle = |at: usize| match program[at] {
            _ if holds[at] == Holds::Unreached => true,
            sock_filter { code: LOAD, k, .. } => holds[at] == Holds::Word(k),
            sock_filter { code: JUMP, k, .. } => k == 0,
            _ => false,
        };
        let idle: Vec<bool> = (0..program.len()).map(is_idle).collect();
        if !idle.contains(&true) {
            return program;
        }
        program = without(&program, &idle);
    }
}

fn is_branch(step: &sock_filter) -> bool {
    matches!(step.code, IF_EQUAL | IF_GREATER | IF_AT_LEAST | IF_ANY_BIT)
}

/// Where an instruction may lead; nowhere if it returns.
fn successors(program: &[sock_filter], at: usize) -> Vec<usize> {
    let step = &program[at];
    let next = at + 1;
    match step.code {
        RETURN => Vec::new(),
        JUMP => vec![next + distance(step.k)],
        _ if is_branch(step) => vec![next + usize::from(step.jt), next + usize::from(step.jf)],
        _ => vec![next],
    }
}

fn distance(k: u32) -> usize {
    usize::try_from(k).expect("a program has at most 4096 instructions")
}

/// What is held in front of each instruction: all jumps lead forward, so that one pass tells.
fn held(program: &[sock_filter]) -> Vec<Holds> {
    let mut holds = vec![Holds::Unreached; program.len()];
    if let Some(first) = holds.first_mut() {
        *first = Holds::Other;
    }
    for at in 0..program.len() {
        if holds[at] == Holds::Unreached {
            continue;
        }
        let after = after(&program[at], holds[at]);
        for to in successors(program, at) {
            holds[to] = match holds[to] {
                Holds::Unreached => after,
                before if before == after => before,
                _ => Holds::Other,
            };
        }
    }
    holds
}

fn after(step: &sock_filter, before: Holds) -> Holds {
    match step.code {
        LOAD => Holds::Word(step.k),
        JUMP | RETURN => before,
        _ if is_branch(step) => before,
        _ => Holds::Other,
    }
}

/// Has a jump lead where it leads in the end, with what is held when it is taken.
fn aim(program: &mut BpfProgram, holds: &[Holds], at: usize) {
    let (step, next, held) = (program[at].clone(), at + 1, holds[at]);
    let near = |program: &BpfProgram, leads: u8| {
        let end = end_of(program, next + usize::from(leads), held);
        // One answer for many: the last of those that lie within reach.
        let reach = program.len().min(next + usize::from(u8::MAX) + 1);
        let same = |&at: &usize| program[at].code == RETURN && program[at] == program[end];
        let last = (end..reach).rfind(same).unwrap_or(end);
        u8::try_from(last - next).unwrap_or(leads)
    };
    if step.code == JUMP {
        let end = end_of(program, next + distance(step.k), held);
        program[at] = match program[end].code {
            RETURN => program[end].clone(),
            _ => sock_filter { k: small(end - next), ..step },
        };
    } else if is_branch(&step) {
        let (jt, jf) = (near(program, step.jt), near(program, step.jf));
        program[at] = match jt == jf {
            true => sock_filter { code: JUMP, jt: 0, jf: 0, k: jt.into() },
            false => sock_filter { jt, jf, ..step },
        };
    }
}

/// The first instruction from this one on that does anything.
fn end_of(program: &BpfProgram, mut at: usize, held: Holds) -> usize {
    loop {
        match program[at] {
            sock_filter { code: JUMP, k, .. } => at += 1 + distance(k),
            sock_filter { code: LOAD, k, .. } if held == Holds::Word(k) => at += 1,
            _ => return at,
        }
    }
}

/// A program without these of its instructions. What led to one of them leads to what comes behind it.
fn without(program: &[sock_filter], idle: &[bool]) -> BpfProgram {
    let mut places = vec![0; program.len() + 1];
    for at in 0..program.len() {
        places[at + 1] = places[at] + usize::from(!idle[at]);
    }
    let kept = (0..program.len()).filter(|&at| !idle[at]);
    let moved = kept.map(|at| {
        let (step, next) = (program[at].clone(), places[at + 1]);
        let near =
            |leads: u8| u8::try_from(places[at + 1 + usize::from(leads)] - next).expect("no farther than it was");
        match step.code {
            JUMP => sock_filter { k: small(places[at + 1 + distance(step.k)] - next), ..step },
            _ if is_branch(&step) => sock_filter { jt: near(step.jt), jf: near(step.jf), ..step },
            _ => step,
        }
    });
    moved.collect()
}

#[cfg(test)]
mod tests {
    use cloister_terms::Network;
    use seccompiler::{BpfProgram, SeccompRule};

    use super::super::arguments::conditions;
    use super::super::compile::list;
    use super::super::frame::prologue;
    use super::super::rules::block;
    use super::super::sampled::{Values, rules};
    use super::super::ways::Calls;
    use super::shorter;
    use crate::bpf::returned;

    /// Most calls, with the conditions that they have.
    fn calls(network: Network) -> Calls {
        let rules = |number| {
            let ways = conditions(number, network).expect("conditions").into_iter();
            ways.map(|conditions| SeccompRule::new(conditions).expect("a rule")).collect()
        };
        (0..470).filter(|number| number % 9 != 1).map(|number| (number, rules(number))).collect()
    }

    #[test]
    fn a_shorter_filter_answers_every_call_as_the_longer_one_does() {
        for network in [Network::None, Network::Loopback] {
            let rules: BpfProgram = rules().iter().flat_map(|rule| block(rule, network).expect("compiles")).collect();
            let long = [rules, list(calls(network), std::iter::empty()).expect("compiles")].concat();
            let short = shorter(long.clone());
            assert!(3 * short.len() < 2 * long.len(), "{} of {} instructions", short.len(), long.len());
            assert!(shorter(short.clone()) == short, "nothing is left to do");
            let mut values = Values::of(&long);
            let (long, short) = ([prologue(), long].concat(), [prologue(), short].concat());
            for number in 0..480 {
                let has_rule = [libc::SYS_write, libc::SYS_getppid].contains(&number);
                let asks = has_rule || !conditions(number, network).expect("conditions").is_empty();
                for arguments in values.arguments(asks) {
                    let of = |program| returned(program, number, arguments.map(Some)).expect("all is known");
                    assert_eq!(of(&short), of(&long), "{number} {arguments:?}");
                }
            }
        }
    }
}
