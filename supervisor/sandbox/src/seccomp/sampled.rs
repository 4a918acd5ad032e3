//! Rules of a profile's and arguments of calls, of many kinds, by which tests compare filters.

use cloister_terms::{Action, CallRule, Comparison, Condition};
use seccompiler::BpfProgram;

/// Rules of a profile's own, of each kind that stands in front of the list.
pub(super) fn rules() -> [CallRule; 6] {
    let when = |argument, narrow, comparison, value| Condition { argument, narrow, comparison, value };
    let rule = |number, when, action| CallRule { number, when, action };
    [
        rule(libc::SYS_write, vec![when(2, false, Comparison::More, 4096)], Action::Errno(28)),
        rule(
            libc::SYS_write,
            vec![when(0, true, Comparison::Equal, 1), when(2, false, Comparison::AtMost, 1 << 33)],
            Action::Log,
        ),
        rule(libc::SYS_ioctl, vec![when(1, false, Comparison::EqualIn(0xff00), 0x5400)], Action::Kill),
        rule(libc::SYS_ioctl, vec![when(0, true, Comparison::Less, 3)], Action::Log),
        rule(libc::SYS_getppid, Vec::new(), Action::Errno(1)),
        rule(libc::SYS_fcntl, vec![when(2, false, Comparison::NotEqual, 7)], Action::Log),
    ]
}

/// What arguments are compared with in a program, and what lies near that.
pub(super) struct Values {
    values: Vec<u64>,
    drawn: u64,
}

impl Values {
    pub(super) fn of(program: &BpfProgram) -> Self {
        let near = |step: &seccompiler::sock_filter| {
            let k = u64::from(step.k);
            [k, k.wrapping_add(1), k.wrapping_sub(1), !k, k << 32, k | 1 << 40]
        };
        let mut values: Vec<u64> = program.iter().flat_map(near).collect();
        values.sort_unstable();
        values.dedup();
        Self { values, drawn: 1 }
    }

    fn draw(&mut self) -> u64 {
        self.drawn = self.drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.values[usize::try_from(self.drawn >> 33).expect("31 bits") % self.values.len()]
    }

    /// Arguments of a call in which each of the values is each argument once beside others, and once alone; or three of the values, where
    /// nothing is asked of any.
    pub(super) fn arguments(&mut self, asks: bool) -> Vec<[u64; 6]> {
        let mut all = Vec::new();
        for value in self.values.clone().into_iter().take(if asks { usize::MAX } else { 3 }) {
            for argument in 0..6 {
                let mut mixed = [0; 6].map(|_: u64| self.draw());
                mixed[argument] = value;
                all.extend([mixed, std::array::from_fn(|at| if at == argument { value } else { 0 })]);
            }
        }
        all
    }
}
