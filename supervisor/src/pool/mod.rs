//! What is kept for a profile that is served: its launcher and zygote, parked children, and those who wait for one.

pub mod found;
pub(crate) mod ground;
pub(crate) mod grown;
pub(crate) mod health;
pub(crate) mod keeper;
pub(crate) mod leaving;
pub(crate) mod line;
pub(crate) mod maker;
pub(crate) mod parked;
pub mod profile;
pub(crate) mod profile_pool;
pub(crate) mod ready;
pub(crate) mod refused;
pub(crate) mod sets;
pub(crate) mod spent;
pub(crate) mod stall;
pub(crate) mod tally;
pub(crate) mod tending;
pub(crate) mod uses;
pub(crate) mod warmth;

pub use profile_pool::Pool;
