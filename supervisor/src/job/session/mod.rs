//! A session: a job that is not over. One interpreter in one cell, which is sent cells of code, and between two of them is stopped.
//!
//! Behind every cell it puts a copy of itself aside, the checkpoint. If a cell takes the interpreter with it, all that is left of it
//! is ended and the checkpoint goes on. Nothing that an interpreter says of itself is believed: which process is the checkpoint is its
//! word, and a wrong one costs its own session.

mod branch;
mod far_end;
mod fork;
mod hearing;
mod interpreter;
mod messages;
mod orders;
mod reins;
mod restore;
mod run;
mod watched;

pub use fork::Branched;
pub use interpreter::{Interpreter, Over};
pub use orders::{Order, Replied};
pub use reins::Reins;
pub use run::Next;
