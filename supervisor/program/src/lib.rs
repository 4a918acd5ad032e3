//! What Cloister's programs do alike, each thing in one place: reading the command line, manual pages and completions
//! from its definition, the log, opening the policy, the count of what bodies take of memory, the order of threads, the
//! signals that ask for an end, and asking a daemon of one's own whether it is ready.
//!
//! Nothing here knows what a program is for, or holds any privilege.

#![forbid(unsafe_code)]

use std::io::Write;

#[cfg(feature = "daemon")]
mod body;
#[cfg(feature = "daemon")]
mod budget;
mod clip;
#[cfg(feature = "root")]
pub mod log;
#[cfg(feature = "manual")]
mod manual;
mod parse;
#[cfg(feature = "root")]
mod probe;
mod replace;
#[cfg(feature = "daemon")]
mod stop;
#[cfg(feature = "daemon")]
mod thread;
#[cfg(feature = "root")]
mod trust;

#[cfg(feature = "daemon")]
pub use body::{ReadError, read_whole};
#[cfg(feature = "daemon")]
pub use budget::{Budget, Taken};
pub use clip::clipped;
#[cfg(feature = "manual")]
pub use manual::{Completions, Man, Shell, completions};
pub use parse::parse;
#[cfg(feature = "root")]
pub use probe::Probe;
pub use replace::replace_file;
#[cfg(feature = "daemon")]
pub use stop::Stop;
#[cfg(feature = "daemon")]
pub use thread::stand_behind;
#[cfg(feature = "root")]
pub use trust::{Untrusted, changeable_above, open_policy};

/// Where the supervisor listens and the gateway finds it, unless either is told otherwise.
pub const SOCKET: &str = "/run/cloister/supervisor.sock";

/// The path that answers 200 when jobs can run, on the gateway's listener and on the supervisor's socket.
pub const READY_PATH: &str = "/readyz";

/// Prints a program's output. A reader that goes away early, such as `head`, is no failure.
pub fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
