//! Whatever a body is, reading it never panics, needs little stack, and what it is taken for is plain JSON that is taken for
//! the same again, as the supervisor takes what the gateway writes.

#![no_main]

mod common;

use cloister_protocol::{ExecuteRequest, Writer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    for writer in [Writer::Client, Writer::Assistant, Writer::Conversation, Writer::Gateway] {
        read(writer, body);
    }
});

fn read(writer: Writer, body: &[u8]) {
    match common::on_a_small_stack(|| ExecuteRequest::parse_from(writer, body)) {
        Err(wrong) => assert!(wrong.to_string().chars().count() <= 1027),
        Ok(request) => {
            let tools = request.tools.each();
            assert!(tools.is_ok() || writer == Writer::Gateway);
            for tool in tools.iter().flatten() {
                assert!(tool.name.len() <= 128);
                tool.parameters.iter().for_each(|schema| common::is_plain(schema.get()));
            }
            for given in [&request.args, &request.kwargs].into_iter().flatten() {
                common::is_plain(given.get());
            }
            let written = serde_json::to_string(&request).expect("a request has a form in JSON");
            let again = ExecuteRequest::parse_from(Writer::Gateway, written.as_bytes())
                .expect("what was accepted is a request");
            assert_eq!(serde_json::to_string(&again).expect("JSON"), written);
        }
    }
}
