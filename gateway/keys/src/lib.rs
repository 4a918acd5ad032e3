//! The key file: who may use the gateway, for what, and how much.
//!
//! The file holds hashes alone, so who reads it can use none of its keys. The operator's program changes it, and the
//! gateway only ever reads it; what a key has used up is the gateway's to know.

#![forbid(unsafe_code)]

mod change;
mod error;
mod file;
mod rate;
mod token;

pub use change::{NewKey, revoke};
pub use error::{ChangeError, Mistake, ReadError};
pub use file::{Entry, KeyFile, Timestamp, parent};
pub use rate::Rate;
pub use token::{Digest, KeyId, Token};
