//! What Python's canaries run: scripts that attempt what must fail. Which attempts there have to be is the supervisor's
//! to know, and what they come to the supervisor's to judge.

/// The attempts that a script can make by itself.
pub const ATTEMPTS: &str = include_str!("../canary.py");

/// A script that would run for ever, ignores every signal and leaves children behind, as far as the profile lets it. It says when it does.
pub const OUTLAST: &str = "\
import os, signal
def main():
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    if os.fork() == 0:
        for step in (os.fork, lambda: print(\"begun\", flush=True), os.setsid):
            try:
                step()
            except OSError:
                pass
    while True:
        pass
";
