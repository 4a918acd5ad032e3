//! The parts of every test: a gateway process, a supervisor's stand-in, a raw client, and a place to meet.

mod client;
pub mod frames;
mod gateway;
mod http;
mod keys;
mod place;
mod secure;
mod supervisor;

pub use client::Client;
pub use frames::Frames;
pub use gateway::Gateway;
pub use http::Message;
pub use keys::KeyFile;
pub use place::Place;
pub use secure::{Certificate, SecureClient, trusting};
pub use supervisor::{Supervisor, respond};

use std::error::Error;
use std::time::{Duration, Instant};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_cloister-gateway");

/// What the gateway becomes when the tests run as root.
pub const USER: u32 = 64510;

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
