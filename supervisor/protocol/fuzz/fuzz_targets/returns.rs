//! Whatever a caller says that calls came to, or says in a conversation, reading it never panics, needs little stack, tells what is
//! wrong in few words, and what the job is told is plain JSON that is read as the same again.

#![no_main]

mod common;

use cloister_protocol::{Message, Return, Returns};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match common::on_a_small_stack(|| Returns::parse(bytes)) {
        Ok(returns) => {
            let written = serde_json::to_vec(&returns).expect("JSON");
            let again = Returns::parse(&written).expect("it is what was written");
            assert_eq!(serde_json::to_vec(&again).expect("JSON"), written);
            returns.returns.iter().for_each(is_plain);
        }
        Err(wrong) => assert!(wrong.to_string().len() < 8192),
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match common::on_a_small_stack(|| Message::parse(text)) {
        Ok(Message::Return(one)) => is_plain(&one),
        Ok(Message::Execute | Message::Cell(_) | Message::Interrupt | Message::Close) => {}
        Err(wrong) => assert!(wrong.to_string().len() < 8192),
    }
});

fn is_plain(one: &Return) {
    assert!(one.call > 0);
    common::is_plain(&serde_json::to_string(one).expect("JSON"));
}
