//! The way to the supervisor, over its Unix socket. Nothing here knows what clients are told.

pub mod away;
pub mod events;
pub mod expect_continue;
pub mod hold;
pub mod order;
pub mod place_given;
pub mod profiles;
pub mod supervisor;
pub mod tenant_counts;
