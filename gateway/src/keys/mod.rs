//! Keys: who may use the gateway, for what, and how much.
//!
//! The file holds hashes alone, so who reads it can use none of its keys. It is written by the
//! `keys` command and only ever read by `serve`.

mod command;
mod file;
mod keyring;
mod rate;
mod token;

pub use command::run;
pub use file::parent;
pub use keyring::{AtOnce, Key, Keyring, Stranger};
pub use rate::{Rate, Standing};
pub use token::{KeyId, Token};
