//! Whatever a job writes as its result, reading it never panics, needs little stack, and what is accepted is plain JSON, unchanged.

#![no_main]

mod common;

use cloister_protocol::{check_result, report};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(result) = common::on_a_small_stack(|| check_result(bytes.to_vec())) {
        common::is_plain(result.get());
        assert!(
            std::str::from_utf8(bytes).is_ok_and(|text| text.trim_matches([' ', '\t', '\n', '\r']) == result.get())
        );
    }
    common::on_a_small_stack(|| drop(report::result(bytes.to_vec())));
});
