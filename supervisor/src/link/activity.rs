//! Whether a process that says nothing does something: what the kernel counts of it, `proc_pid_stat(5)`.
//!
//! One that is kept waiting by others, for a processor or for a lock of the kernel's, is not one that hangs.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};

/// A process to be looked at, ours for as long as its pidfd is held.
#[derive(Debug)]
pub struct Activity {
    pid: u32,
}

/// What a process has used so far: two that are the same are a process that did nothing in between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    cpu: (u64, u64),
    scheduled: String,
}

impl Activity {
    /// Of the process that a pidfd refers to: `pidfd_open(2)` has where its number is told.
    #[must_use]
    pub fn of(process: &OwnedFd) -> Option<Self> {
        let told = fs::read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd())).ok()?;
        let pid = told.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()?;
        Some(Self { pid })
    }

    /// What it has used so far; of one that is gone, always the same.
    #[must_use]
    pub fn so_far(&self) -> Work {
        let (_, cpu) = self.stat().unwrap_or_default();
        // Time on a processor and times that it got one: `sched-stats` in the kernel's documentation. What is between
        // the two is how long it waited.
        let scheduled = fs::read_to_string(format!("/proc/{}/schedstat", self.pid)).unwrap_or_default();
        Work { cpu, scheduled }
    }

    /// How long it has been on a processor, `sched-stats` in the kernel's documentation: in microseconds.
    #[must_use]
    pub fn cpu(&self) -> u64 {
        let told = fs::read_to_string(format!("/proc/{}/schedstat", self.pid)).unwrap_or_default();
        told.split(' ').next().and_then(|used| used.parse::<u64>().ok()).unwrap_or(0) / 1000
    }

    /// Whether it waits for a processor, or for something within the kernel that no signal ends.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.stat().is_some_and(|(state, _)| matches!(state, 'R' | 'D'))
    }

    fn stat(&self) -> Option<(char, (u64, u64))> {
        read(&fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?)
    }
}

/// State, and user's and system's time.
fn read(stat: &str) -> Option<(char, (u64, u64))> {
    // The name before it may hold anything, parentheses too.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?.chars().next()?;
    let user = fields.nth(10)?.parse().ok()?;
    Some((state, (user, fields.next()?.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::process::{Child, Command};

    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    use super::{Activity, read};

    #[test]
    fn fields_are_found_behind_any_name() {
        let stat = "7 (a) D (b) S 1 2 3 4 5 6 7 8 9 10 11 12 0 0";
        assert_eq!(read(stat), Some(('S', (11, 12))));
        assert_eq!(read("7 (cut"), None);
    }

    #[test]
    fn one_that_works_is_active_and_one_that_is_stopped_is_not() {
        let child = Ended(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("a shell"));
        let pid = Pid::from_child(&child.0);
        let process: OwnedFd = pidfd_open(pid, PidfdFlags::empty()).expect("it runs");
        let activity = Activity::of(&process).expect("it is in this namespace");
        let first = activity.so_far();
        while activity.so_far() == first {
            std::thread::yield_now();
        }
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("it is ours");
        while activity.waits() {
            std::thread::yield_now();
        }
        // That it is stopped is told a moment before it leaves its processor.
        let mut last = activity.so_far();
        while std::mem::replace(&mut last, activity.so_far()) != last {}
        for _ in 0..100 {
            std::thread::yield_now();
            assert_eq!(activity.so_far(), last);
        }
    }

    /// A child that does not outlive its test, whatever comes of that.
    struct Ended(Child);

    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.kill().expect("it is ours");
            self.0.wait().expect("it is ours");
        }
    }
}
