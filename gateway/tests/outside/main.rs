//! The real gateway from outside: raw TCP on one side, a stand-in for the supervisor on the other.

#![forbid(unsafe_code)]
#![allow(clippy::disallowed_types, reason = "what is read here our own programs said")]

mod bounds;
mod contract;
mod conversation;
mod credentials;
mod fairness;
mod hold;
mod http2;
mod keys;
mod listening;
mod mcp;
mod mcp_sessions;
mod metrics;
mod needs;
mod page;
mod privileges;
mod sessions;
mod stage;
mod stopping;
mod stream;
mod tls;
mod tool;
mod upstream;
