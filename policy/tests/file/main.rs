//! The policy file as its users meet it: its messages, what profiles inherit, what the program says.

#![allow(clippy::disallowed_types, reason = "what is read here our own programs said")]

mod corpus;
mod host;
mod inheritance;
mod messages;
mod program;
mod shipped;
