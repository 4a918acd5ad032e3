//! What a session's interpreter is written, each in a frame of its own.

use cloister_protocol::ExecuteRequest;
use serde::Serialize;

use crate::job::bounds::Bounds;
use crate::job::frames::framed;
use crate::job::message::MayCall;

#[derive(Serialize)]
struct Cell<'a> {
    /// Its number.
    cell: u64,
    code: &'a str,
    result_bytes: u64,
    #[serde(flatten)]
    calls: MayCall<'a>,
}

/// A cell, with its number.
#[must_use]
pub fn cell(number: u64, request: &ExecuteRequest, bounds: &Bounds) -> Vec<u8> {
    let calls = MayCall::of(request, bounds);
    framed(&Cell { cell: number, code: &request.script, result_bytes: bounds.result_bytes, calls })
}
