//! What is wrong with a policy though each of its values is right by itself: on its own, and on this host.

mod accounts;
mod found;
pub(crate) mod host;
mod inside;
mod mounts;
mod place;
mod shown;
pub(crate) mod whole;
