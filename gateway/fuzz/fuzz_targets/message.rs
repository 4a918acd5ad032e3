//! Whatever a body at /mcp is, reading it never panics, needs little stack, and what goes to the SDK is small, plain JSON.

#![no_main]

#[path = "../../../supervisor/protocol/fuzz/fuzz_targets/common.rs"]
mod common;
#[allow(dead_code, reason = "the answers' part is for another target")]
#[path = "../../src/api/mcp/message.rs"]
mod message;

use libfuzzer_sys::fuzz_target;
use message::{LARGEST, Message};

fuzz_target!(|body: &[u8]| {
    match common::on_a_small_stack(|| Message::read(body.to_vec())) {
        Err(unusable) => common::is_plain(std::str::from_utf8(&unusable.to_json()).expect("UTF-8")),
        Ok(Message { envelope, arguments }) => {
            assert!(envelope.len() <= LARGEST + 2 && envelope.len() + arguments.len() <= body.len() + 4);
            common::is_plain(std::str::from_utf8(&envelope).expect("UTF-8"));
            assert!(arguments.starts_with(b"{") && arguments.ends_with(b"}"));
            let again = Message::read(envelope.clone()).expect("what was accepted is a message");
            assert_eq!((again.envelope, again.arguments), (envelope, b"{}".to_vec()));
        }
    }
});
