//! The Model Context Protocol: one tool, by which an assistant runs Python on this node as it is.

pub mod fields;
pub mod kept;
pub mod message;
pub mod offer;
pub mod result;
pub mod service;
pub mod told;
pub mod tool;
