//! Whatever a job writes as its error report, reading it never panics, needs little stack, and the answer that tells of it is plain
//! JSON with a failure that a job may claim.

#![no_main]

mod common;

use cloister_protocol::report::{Report, exit_code, failure, notes, wait};
use cloister_protocol::{Answer, Given, JobId};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let kept = common::on_a_small_stack(|| (notes(bytes), wait(bytes), exit_code(bytes)));
    assert!(kept.0.len() <= 8 && kept.0.iter().chain([&kept.1]).all(|text| text.len() <= 4096));
    match common::on_a_small_stack(|| failure(bytes)) {
        Report::Result(_) => panic!("an error report is no result"),
        Report::Garbled => {}
        Report::Failure(failure) => {
            assert!(failure.claims.len() <= 16 && failure.denials.is_empty());
            assert!(failure.claims.iter().all(|claim| claim.arguments.len() <= 6 && claim.errno.len() <= 256));
            assert!(failure.details.signal.is_none() && failure.code.status() == 422);
            let given = Given { notes: &kept.0, unfinished: Some(&kept.1), ..Given::default() };
            let answer = Answer::Failed { id: JobId::random(), error: &failure, given };
            common::is_plain(std::str::from_utf8(&answer.to_json()).expect("UTF-8"));
        }
    }
});
