//! The key file: who may use the gateway, for what, and how much; and the form in which the gateway keeps what they have
//! used today.
//!
//! The key file holds hashes alone, so who reads it can use none of its keys. The operator's program changes it, and the
//! gateway only ever reads it; with what was used it is the other way around.

#![forbid(unsafe_code)]

mod as_text;
mod change;
mod error;
mod file;
mod quota;
mod rate;
mod token;
mod used;

pub use change::{Changes, NewKey, revoke};
pub use error::{ChangeError, Mistake, ReadError};
pub use file::{Entry, KeyFile, Timestamp, parent};
pub use quota::{CpuTime, Day};
pub use rate::Rate;
pub use token::{Digest, KeyId, Token};
pub use used::{STATE, USED, Used, UsedError, UsedFile};
