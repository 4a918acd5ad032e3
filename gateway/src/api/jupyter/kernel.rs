//! A kernel as clients are told of it, and its id: a session's, written as a UUID is.

use std::time::{Duration, SystemTime};

use axum::extract::Request;
use axum::response::Response;
use cloister_protocol::{DEFAULT_PROFILE, ErrorCode, JobId};
use serde::{Deserialize, Serialize};

use crate::api::methods::misdirected;

/// The kernel that there is: a session of the profile `default`. Any other name is a profile's.
pub const PYTHON: &str = "python3";

/// Where the digits of a UUID are parted: RFC 9562, 4.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// What the supervisor says of a session, as far as it is told here.
#[derive(Deserialize)]
pub struct Session {
    /// Its id.
    pub session: String,
    profile: String,
    state: String,
    /// How many cells have begun in it.
    pub cells: u64,
    /// How long it stays without one, in seconds.
    pub idle_s: u64,
    idle_left_s: u64,
}

/// All sessions of a key.
#[derive(Deserialize)]
pub struct Sessions {
    /// Each of them.
    pub sessions: Vec<Session>,
}

/// A kernel, as Jupyter has it.
#[derive(Serialize)]
pub struct Kernel {
    id: String,
    name: String,
    last_activity: String,
    execution_state: &'static str,
    connections: u32,
}

impl Session {
    /// Its profile.
    pub fn profile(&self) -> &str {
        &self.profile
    }

    /// As a kernel of this id.
    pub fn told(self, kernel: JobId) -> Kernel {
        let name = if self.profile == DEFAULT_PROFILE { PYTHON.to_owned() } else { self.profile };
        let since = Duration::from_secs(self.idle_s.saturating_sub(self.idle_left_s));
        let active = SystemTime::now().checked_sub(since).unwrap_or(SystemTime::UNIX_EPOCH);
        let execution_state = match self.state.as_str() {
            "running" => "busy",
            "opening" => "starting",
            _ => "idle",
        };
        let last_activity = humantime::format_rfc3339_millis(active).to_string();
        Kernel { id: written(kernel), name, last_activity, execution_state, connections: 0 }
    }
}

/// An id as a UUID.
pub fn written(id: JobId) -> String {
    let mut text = id.to_string();
    for place in HYPHENS {
        text.insert(place, '-');
    }
    text
}

/// Reads such an id back.
fn read(text: &str) -> Option<JobId> {
    let parted = text.len() == 36 && HYPHENS.iter().all(|place| text.as_bytes()[*place] == b'-');
    parted.then(|| JobId::parse(&text.replace('-', ""))).flatten()
}

/// The kernel that a request's path names.
///
/// # Errors
/// A refusal where it names none.
pub fn kernel_in(id: JobId, request: &Request) -> Result<JobId, Box<Response>> {
    let named = request.uri().path().strip_prefix("/api/kernels/").and_then(|path| path.split('/').next());
    let message = "there is no such kernel of yours here";
    named.and_then(read).ok_or_else(|| Box::new(misdirected(id, ErrorCode::NotFound, message, request)))
}

#[cfg(test)]
mod tests {
    use cloister_protocol::JobId;

    use super::{read, written};

    #[test]
    fn an_id_is_a_uuid() {
        let id = JobId::parse("00112233445566778899aabbccddeeff").expect("an id");
        assert_eq!(written(id), "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(read(&written(id)), Some(id));
        for wrong in [
            "",
            "0",
            "00112233445566778899aabbccddeeff",
            "0011223-34455-6677-8899-aabbccddeeff",
            "é0112233-4455-6677-8899-aabbccddeef",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
