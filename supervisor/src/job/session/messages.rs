//! What a session's interpreter is written, each in a frame of its own.

use cloister_protocol::{ExecuteRequest, Tool};
use serde::Serialize;

use crate::job::bounds::Bounds;
use crate::job::frames::framed;

#[derive(Serialize)]
struct Cell<'a> {
    /// Its number.
    cell: u64,
    code: &'a str,
    result_bytes: u64,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tools: &'a [Tool],
    #[serde(skip_serializing_if = "Option::is_none")]
    tools_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools_most: Option<u32>,
}

/// A cell, with its number.
#[must_use]
pub fn cell(number: u64, request: &ExecuteRequest, bounds: &Bounds) -> Vec<u8> {
    let may_call = !request.tools.is_empty();
    framed(&Cell {
        cell: number,
        code: &request.script,
        result_bytes: bounds.result_bytes,
        tools: &request.tools,
        tools_bytes: may_call.then_some(bounds.tools.bytes.0),
        tools_most: may_call.then_some(bounds.tools.most),
    })
}
