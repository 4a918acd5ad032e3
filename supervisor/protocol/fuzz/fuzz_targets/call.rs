//! Whatever a job writes as a call, reading it never panics, needs little stack, and what its caller is told is plain JSON in one
//! line.

#![no_main]

mod common;

use cloister_protocol::{Call, event};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(call) = common::on_a_small_stack(|| Call::read(bytes)) else { return };
    assert!(call.call > 0);
    common::is_plain(&serde_json::to_string(&call).expect("JSON"));
    let event = event::call(&call);
    assert_eq!(event.iter().filter(|byte| **byte == b'\n').count(), 3);
});
