//! The policy file as its users meet it: its messages, what profiles inherit, what is shipped.

#![allow(clippy::disallowed_types, reason = "what is read here our own programs said")]

mod corpus;
mod host;
mod inheritance;
mod messages;
mod packages;
mod shipped;
mod sound;
