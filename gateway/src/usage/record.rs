//! A job as usage events tell of it: one line of JSON, whatever a key or a profile is called.

use std::time::{Duration, SystemTime};

use cloister_protocol::KernelCount;
use serde::{Deserialize, Serialize};

/// What is known of a job when it is handed on.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Begun {
    /// When that was.
    pub time: String,
    /// The name of its key; `None` where no keys are asked for.
    pub key: Option<String>,
    /// The request's id.
    pub id: String,
    /// The profile that it asked for, as it was written.
    pub profile: String,
    /// Of the script's text, in hexadecimal digits.
    pub script_sha256: String,
    /// The length of the request.
    pub bytes_in: u64,
}

/// What became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Ended {
    /// `returned`, `abandoned`, or an error's code.
    pub outcome: String,
    /// Whether any of it ran; `None` if nobody can know.
    pub ran: Option<bool>,
    /// Processor time in seconds; `None` if nothing is known.
    pub cpu_seconds: Option<f64>,
    /// Whether that is no count but the most that it can have been.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
    /// The most memory that it held at once.
    pub memory_peak_bytes: Option<u64>,
    /// What its client has got of the answer.
    pub bytes_out: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    begun: &'a Begun,
    #[serde(flatten)]
    ended: &'a Ended,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    recovered: bool,
}

impl Begun {
    /// As it is remembered until its end is told.
    pub fn line(&self) -> Vec<u8> {
        line(self)
    }

    /// The event of a job with this end.
    pub fn with(&self, ended: &Ended) -> Vec<u8> {
        line(&Line { begun: self, ended, recovered: false })
    }

    /// The event of a job whose end a gateway that died has not told.
    pub fn lost(&self) -> Vec<u8> {
        let outcome = cloister_protocol::ErrorCode::Lost.name();
        let (ran, cpu_seconds, memory_peak_bytes) = (None, None, None);
        let ended = Ended { outcome, ran, cpu_seconds, estimated: false, memory_peak_bytes, bytes_out: 0 };
        line(&Line { begun: self, ended: &ended, recovered: true })
    }
}

impl Ended {
    /// With what the kernel counted.
    pub fn counted(outcome: String, ran: Option<bool>, counted: Option<KernelCount>, bytes_out: u64) -> Self {
        let cpu_seconds = counted.map(|counted| counted.cpu.as_secs_f64());
        let memory_peak_bytes = counted.map(|counted| counted.memory_peak);
        Self { outcome, ran, cpu_seconds, estimated: false, memory_peak_bytes, bytes_out }
    }

    /// With what it can have used at most.
    #[must_use]
    pub fn at_most(self, cpu: Duration) -> Self {
        Self { cpu_seconds: Some(cpu.as_secs_f64()), estimated: true, ..self }
    }
}

/// The moment, as events have it.
pub fn moment() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

fn line(of: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(of).expect("strings and numbers");
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::{Begun, Ended};

    #[test]
    fn an_event_is_one_line_whatever_is_in_it() {
        let odd = "a\n\"}\u{1b}\u{2028}\u{0}\r{\"id\":\"x\"}";
        let (key, profile) = (Some(odd.to_owned()), odd.repeat(9));
        let text = || "0".repeat(64);
        let begun = Begun { time: text(), key, id: text(), profile, script_sha256: text(), bytes_in: u64::MAX };
        let ended = Ended::counted("returned".to_owned(), Some(true), None, u64::MAX);
        for line in [begun.line(), begun.with(&ended), begun.lost()] {
            let text = String::from_utf8(line).expect("UTF-8");
            assert!(text.find(['\n', '\r']) == Some(text.len() - 1) && !text.contains('\0'), "{text}");
            let read: Begun = serde_json::from_str(&text).expect("it is read back");
            assert_eq!(read.key.as_deref(), Some(odd));
        }
    }
}
