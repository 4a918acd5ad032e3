//! What keys use: counted by day against their quotas and kept across restarts, and told of in a line a job.
//!
//! Files are written by threads of their own: the event loop never waits for one. Never a key, a script or an output.

pub mod accounts;
pub mod events;
pub mod keeper;
pub mod ledger;
pub mod meter;
pub mod places;
pub mod record;
mod running;
pub mod sink;
pub mod state;
