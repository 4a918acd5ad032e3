//! Who asks, and how much they may: the checks that come before a request costs anyone but its sender.
//!
//! Nothing here knows what a request asks for. When it is its turn is the supervisor's to say.

pub mod body_budget;
pub mod caller;
pub mod client_address;
pub mod host_check;
pub mod quota;
pub mod tenant;
