//! What the kernel counted of a job, as the supervisor tells the gateway beside the answer.

use std::fmt;
use std::time::Duration;

/// What a job used, in one line: `cpu_us=2731; memory_peak_bytes=3670016`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelCount {
    /// Processor time of everything in the sandbox.
    pub cpu: Duration,
    /// The most memory that it held at once, in bytes.
    pub memory_peak: u64,
}

impl KernelCount {
    /// Reads the line back; anything else is `None`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (cpu, memory) = text.strip_prefix("cpu_us=")?.split_once("; memory_peak_bytes=")?;
        let number = |text: &str| if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None };
        Some(Self { cpu: Duration::from_micros(number(cpu)?), memory_peak: number(memory)? })
    }
}

impl fmt::Display for KernelCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cpu_us={}; memory_peak_bytes={}", self.cpu.as_micros(), self.memory_peak)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::KernelCount;

    #[test]
    fn a_line_is_read_back_and_nothing_else() {
        let counted = KernelCount { cpu: Duration::from_micros(2731), memory_peak: 3_670_016 };
        assert_eq!(counted.to_string(), "cpu_us=2731; memory_peak_bytes=3670016");
        assert_eq!(KernelCount::parse(&counted.to_string()), Some(counted));
        for wrong in ["", "cpu_us=1", "cpu_us=-1; memory_peak_bytes=1", "cpu_us=+1; memory_peak_bytes=1"] {
            assert_eq!(KernelCount::parse(wrong), None, "{wrong}");
        }
    }
}
