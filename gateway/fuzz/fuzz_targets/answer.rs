//! Whatever a job's answer is, making a tool's result of it never panics, needs little stack, and gives one JSON document that has
//! the answer's parts as they were.

#![no_main]

#[path = "../../../supervisor/protocol/fuzz/fuzz_targets/common.rs"]
#[allow(dead_code, reason = "the other targets' part")]
mod common;
#[path = "../../src/api/mcp/fields.rs"]
mod fields;
#[path = "../../src/api/mcp/message.rs"]
#[allow(dead_code, reason = "the messages' part is for another target")]
mod message;
#[path = "../../src/api/mcp/result.rs"]
mod result;
#[path = "../../src/api/mcp/told.rs"]
mod told;

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

const TEMPLATE: &[u8] = br#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","content":[],"isError":false}}"#;

fuzz_target!(|answer: &[u8]| {
    if let Ok(built) = common::on_a_small_stack(|| result::build(TEMPLATE, answer, false)) {
        assert!(built.starts_with(br#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","content":[{"type":"text","#));
        serde_json::from_slice::<Reply>(&built).expect("it has what a result has");
    }
    let broken = common::on_a_small_stack(|| result::broken(answer));
    serde_json::from_slice::<&RawValue>(&broken).expect("one document");
});

/// What clients look for.
#[derive(serde::Deserialize)]
struct Reply {
    #[serde(rename = "result")]
    _result: Inside,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inside {
    #[serde(rename = "content")]
    _content: Vec<serde::de::IgnoredAny>,
    #[serde(rename = "isError")]
    _is_error: bool,
}
