//! One job, from an empty slot to an empty slot: what it runs in, what bounds it, what it leaves and what is said of it.
//! Nothing that a job tells of itself is trusted.

pub mod bounds;
pub(crate) mod brought;
pub(crate) mod call_table;
pub mod calls;
pub(crate) mod cell;
pub(crate) mod clock;
pub mod conversation;
pub mod denial;
pub(crate) mod frames;
mod handed;
pub(crate) mod input_files;
pub mod interpreter;
mod life;
pub(crate) mod locks;
pub(crate) mod media_type;
pub(crate) mod message;
pub mod outcome;
pub mod output;
pub(crate) mod output_files;
pub mod prepare_error;
pub mod prepared;
pub(crate) mod processes;
pub(crate) mod report;
pub(crate) mod residue;
pub(crate) mod returned;
pub(crate) mod running;
pub mod session;
pub mod slots;
pub(crate) mod streams;
pub(crate) mod tree;
pub(crate) mod unasked;
pub(crate) mod verdict;
pub(crate) mod wanted;
