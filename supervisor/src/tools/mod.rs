//! What an operator runs at a terminal, each in a throwaway sandbox of its own beside whatever is served.

pub mod args;
pub mod beside;
pub mod doctor;
pub mod learn;
pub mod run;
pub mod script;
