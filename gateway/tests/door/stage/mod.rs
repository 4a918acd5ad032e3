//! The parts of every test: a gateway process, a supervisor's stand-in, a raw client, and a place to meet.

mod client;
mod gateway;
mod http;
mod place;
mod supervisor;

pub use client::Client;
pub use gateway::Gateway;
pub use http::Message;
pub use place::Place;
pub use supervisor::{Supervisor, respond};

use std::error::Error;
use std::time::{Duration, Instant};

/// What a test returns.
pub type Outcome = Result<(), Box<dyn Error>>;

/// Longer than anything here may take on a busy machine.
pub const LONG: Duration = Duration::from_secs(10);

/// A request that the contract accepts.
pub const SCRIPT: &str = r#"{"script":"def main(): return 'do not log me'"}"#;

/// Waits until a condition holds.
pub fn until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < LONG, "not within {LONG:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
