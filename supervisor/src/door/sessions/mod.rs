//! The sessions that are open: whose each is, how long it stays, and what ended those that are no more.
//!
//! A session holds a slot that was made for it, an interpreter that is stopped between two cells, and no place: a cell takes one for as
//! long as it runs, in its tenant's turn, as a job does.

mod all;
mod ended;
mod fork;
mod held;
mod noted;
mod open;
pub(crate) mod room;
mod session;
mod turn;

pub use all::Sessions;
pub use turn::Turn;
