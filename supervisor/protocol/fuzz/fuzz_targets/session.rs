//! Whatever a session writes, and whatever is asked of one, reading it never panics, needs little stack, and what is told of it is plain
//! JSON that is bounded; what a client asks for is read as the same again.

#![no_main]

mod common;

use cloister_protocol::report::{Report, cell_failure, order_failure};
use cloister_protocol::{
    CellRequest, Checkpoint, ExecuteRequest, ForkRequest, MOST_BRANCHES, MimeBundle, SessionFiles, SessionRequest,
    Writer, check_file_path, event,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    told(bytes);
    asked(bytes);
});

fn told(bytes: &[u8]) {
    if let Some(bundle) = common::on_a_small_stack(|| MimeBundle::read(bytes)) {
        common::is_plain(bundle.json());
        assert!(bundle.text().is_none_or(|text| text.len() <= bytes.len()));
        assert_eq!(event::display(&bundle).iter().filter(|byte| **byte == b'\n').count(), 3);
    }
    if let Some(rest) = common::on_a_small_stack(|| Checkpoint::read(bytes)) {
        assert!(rest.pid.is_none_or(|pid| pid > 1 && i32::try_from(pid).is_ok()) && rest.threads.len() <= 32);
        assert!(rest.threads.iter().chain(&rest.why).all(|word| word.len() <= 256));
    }
    if let Some(list) = common::on_a_small_stack(|| SessionFiles::read(bytes)) {
        assert!(list.files.len() <= 1000);
        common::is_plain(&serde_json::to_string(&list).expect("JSON"));
    }
    for read in [cell_failure, order_failure] {
        let read = common::on_a_small_stack(|| read(bytes));
        assert!(matches!(read, Report::Garbled | Report::Failure(_)));
    }
}

fn asked(bytes: &[u8]) {
    match common::on_a_small_stack(|| SessionRequest::parse(bytes)) {
        Err(wrong) => assert!(wrong.to_string().chars().count() <= 1027),
        Ok(request) => {
            let written = serde_json::to_string(&request).expect("JSON");
            let again = SessionRequest::parse(written.as_bytes()).expect("it is what was written");
            assert_eq!(serde_json::to_string(&again).expect("JSON"), written);
        }
    }
    match common::on_a_small_stack(|| ForkRequest::parse(bytes)) {
        Err(wrong) => assert!(wrong.to_string().chars().count() <= 1027),
        Ok(fork) => assert!((1..=MOST_BRANCHES).contains(&fork.count)),
    }
    for parse in [CellRequest::parse, CellRequest::parse_message] {
        match common::on_a_small_stack(|| parse(bytes)) {
            Err(wrong) => assert!(wrong.to_string().chars().count() <= 1027),
            Ok(cell) => {
                let script = serde_json::to_string(&ExecuteRequest::from(cell)).expect("JSON");
                assert!(ExecuteRequest::parse_from(Writer::Gateway, script.as_bytes()).is_ok());
            }
        }
    }
    if let Ok(path) = std::str::from_utf8(bytes) {
        assert!(check_file_path(path).is_err() || (!path.starts_with('/') && path.split('/').all(|part| part != "..")));
    }
}
