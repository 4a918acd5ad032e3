//! What a script needs, by its metadata (PEP 723) or its request, and which profile has it. Pure: no input, no output, no clock.
//!
//! All that is read here is a stranger's, and bounded before it is looked at: in size, in number, in depth.

pub mod catalog;
pub mod choice;
pub mod marker;
pub mod metadata;
pub mod requirement;
pub mod version;
pub mod wanted;

#[cfg(test)]
mod tests;
