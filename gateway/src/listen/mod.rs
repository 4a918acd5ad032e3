//! The sockets that strangers reach, and what comes in through them, until it is a request: TLS, HTTP, and the bounds in
//! number, size and time that keep one client from the others.
//!
//! A request goes to the router that was handed over; what it asks is no matter here.

pub mod access_log;
pub mod activity;
pub mod admin;
pub mod connections;
pub mod conversations;
pub mod http;
pub mod listeners;
pub mod socket;
pub mod timeouts;
pub mod tls;
pub mod trace_context;
