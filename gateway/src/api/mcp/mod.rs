//! The Model Context Protocol: one tool, by which an assistant runs Python on this node as it is.

pub mod message;
pub mod result;
pub mod service;
pub mod tool;
