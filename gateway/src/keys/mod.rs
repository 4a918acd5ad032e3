//! Keys: who is let in, and what each has used up. What is written of them is `cloister_keys`'s.

mod bucket;
mod keyring;

pub use bucket::Standing;
pub use cloister_keys::{KeyId, Token, parent};
pub use keyring::{AtOnce, Key, Keyring, Stranger};
