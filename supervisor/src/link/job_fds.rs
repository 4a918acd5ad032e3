//! What a job's process is given of descriptors.

use std::os::fd::OwnedFd;

/// The descriptors that a job begins with.
#[derive(Debug)]
pub struct JobFds {
    /// Standard input.
    pub stdin: OwnedFd,
    /// Standard output.
    pub stdout: OwnedFd,
    /// Standard error.
    pub stderr: OwnedFd,
    /// Where its report goes.
    pub result: OwnedFd,
    /// Where it reads what its calls return.
    pub returns: OwnedFd,
}

impl JobFds {
    /// As the job has them, from 0 on.
    #[must_use]
    pub fn in_order(&self) -> [&OwnedFd; 5] {
        [&self.stdin, &self.stdout, &self.stderr, &self.result, &self.returns]
    }
}
