//! The contract's bodies as schemas, each made of the type that answers are written from: what is said of a field is said
//! where the field is.

pub(crate) mod error;
mod input;
mod shape;

pub use error::{JobError, Refusal};
pub use shape::{CellFailed, CellReturned, Failed, Refused, Returned};
