use cloister_protocol::report::Report;

use crate::job::calls::Calls;

use super::{Ahead, Heard, Hearing, MOST_WAITS, NotReady, Said, wait_until_ready};

/// What a job that writes this says, with what was heard before.
async fn hear(written: &[u8], result_bytes: u64) -> (Said, Heard) {
    let ahead = Ahead::default();
    let said =
        super::read(&mut &*written, result_bytes, &ahead, Hearing { calls: &Calls::none(), before: &|| () }).await;
    (said, ahead.into_heard())
}

async fn read(pipe: &mut &[u8], result_bytes: u64) -> Said {
    hear(pipe, result_bytes).await.0
}

fn frame(tag: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![tag];
    frame.extend((payload.len() as u64).to_be_bytes());
    frame.extend(payload);
    frame
}

#[tokio::test]
async fn forged_reports_are_nothing_and_never_a_verdict_of_ours() {
    for forged in [
        b"".to_vec(),
        b"junk".to_vec(),
        frame(b'R', b"{\"a\": "),
        frame(b'E', b"[]"),
        frame(b'E', br#"{"code": "timeout", "message": "x"}"#),
        frame(b'E', br#"{"code": "internal", "message": "x"}"#),
        frame(b'E', br#"{"code": "exception", "message": 7}"#),
        frame(b'F', b"setup failed"),
        frame(b'C', br#"{"call":1,"tool":"a","args":[],"kwargs":{}}"#),
        [&b"E"[..], &u64::MAX.to_be_bytes()].concat(),
        frame(b'R', b"[1, 2]")[..12].to_vec(),
    ] {
        let said = read(&mut forged.as_slice(), 1000).await;
        assert!(matches!(said.read(), Report::Garbled), "{forged:?}");
    }
    assert!(matches!(read(&mut frame(b'R', b"[1, 2]")[..12].as_ref(), 1000).await, Said::Nothing));
}

#[tokio::test]
async fn a_result_above_the_limit_is_refused_by_its_announced_length() {
    let announced = [&b"R"[..], &u64::MAX.to_be_bytes()].concat();
    assert!(matches!(read(&mut announced.as_slice(), 1000).await.read(), Report::Failure(_)));
    let whole = frame(b'R', b"[1, 2]");
    let said = read(&mut whole.as_slice(), 6).await;
    assert!(matches!(said.read(), Report::Result(json) if json.get() == "[1, 2]"));
}

#[tokio::test]
async fn a_verdict_ahead_of_the_end_is_kept_until_that_is_over() {
    let verdict = frame(b'r', b"[1]");
    let (said, heard) = hear(&verdict, 1000).await;
    assert!(matches!((said, heard.said), (Said::Nothing, Some(Said::Result(json))) if json == b"[1]"));
    let waits = [verdict.clone(), frame(b'W', b"threads"), frame(b'W', b"callbacks")].concat();
    let (said, heard) = hear(&waits, 1000).await;
    assert!(matches!(said, Said::Nothing) && heard.said.is_some() && heard.waits_for == "callbacks");
    let (said, heard) = hear(&[waits, frame(b'W', b""), frame(b'D', br#"["a", "b"]"#)].concat(), 1000).await;
    assert!(matches!(said, Said::Over) && heard.waits_for.is_empty() && heard.notes == ["a", "b"]);
    let (said, heard) = hear(&[frame(b'e', b"{}"), frame(b'D', b"")].concat(), 1000).await;
    assert!(matches!((said, heard.said), (Said::Over, Some(Said::Error(_)))) && heard.notes.is_empty());
}

#[tokio::test]
async fn whatever_else_comes_after_a_verdict_ends_the_job_with_it() {
    let forever = frame(b'W', b"x").repeat(MOST_WAITS + 1);
    for rest in [
        frame(b'r', b"2"),
        frame(b'R', b"2"),
        frame(b'e', b"{}"),
        frame(b'X', b"0"),
        [&b"W"[..], &u64::MAX.to_be_bytes()].concat(),
        [&b"D"[..], &u64::MAX.to_be_bytes()].concat(),
        frame(b'?', b""),
        forever,
    ] {
        let (said, heard) = hear(&[frame(b'r', b"1"), rest.clone()].concat(), 1000).await;
        assert!(matches!((&said, &heard.said), (Said::Over, Some(Said::Result(json))) if json == b"1"), "{rest:?}");
    }
    for first in [frame(b'D', b"[]"), frame(b'W', b"x"), frame(b'x', b"0"), frame(b'X', b"256"), frame(b'X', b"1234")] {
        let (said, heard) = hear(&[first.clone(), frame(b'R', b"1")].concat(), 1000).await;
        assert!(matches!(said, Said::Garbled) && heard.said.is_none(), "{first:?}");
    }
    assert!(matches!(hear(&frame(b'X', b"3"), 0).await, (Said::Exited(3), Heard { said: None, .. })));
    assert!(matches!(hear(&frame(b'r', b"123"), 2).await, (Said::TooLarge(3, 2), Heard { said: None, .. })));
}

#[tokio::test]
async fn a_failed_confinement_says_which_step() {
    let said = frame(b'F', b"mount proc: EPERM");
    let refused = wait_until_ready(&mut said.as_slice()).await;
    assert!(matches!(refused, Err(NotReady::Refused(why)) if why == "mount proc: EPERM"));
    let said = frame(b'S', b"unshare CLONE_NEWUSER: ENOSPC");
    let short = wait_until_ready(&mut said.as_slice()).await;
    assert!(matches!(short, Err(NotReady::Short(why)) if why == "unshare CLONE_NEWUSER: ENOSPC"));
    let mut pipe = frame(b'I', b"import numpy: ImportError: none");
    // Whatever comes behind the message, from whoever holds the pipe too.
    pipe.extend(b"more");
    let refused = wait_until_ready(&mut pipe.as_slice()).await;
    assert!(matches!(refused, Err(NotReady::Import(why)) if why == "import numpy: ImportError: none"));
}
