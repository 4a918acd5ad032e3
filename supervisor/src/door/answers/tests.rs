use cloister_protocol::{
    Beside, Details, Encoded, ErrorCode, Failure, JobId, LeftFile, MimeBundle, OutputFile, Stream, Usage,
};
use serde_json::value::RawValue;

use super::Parts;
use crate::job::outcome::{OfCell, Outcome};
use crate::job::output_files::Left;

fn outcomes() -> Vec<Outcome> {
    let text = "a\"\\\u{0}\u{1f}\n\r\t\u{7f}\u{e9}\u{20ac}\u{1f600}\u{2028}";
    let file = |name: &str, content: Option<&[u8]>| OutputFile {
        name: name.to_owned(),
        path: content.map(|_| format!("d/{name}")),
        size: 3,
        media_type: "text/plain",
        content_base64: content.map(Encoded::new),
        omitted: content.is_none().then(|| "it is \"large\"".to_owned()),
    };
    let beside =
        Beside { exit_code: Some(3), unfinished: Some("a \"thread\"".to_owned()), notes: vec![text.to_owned()] };
    let outcome = |verdict, stdout: String, files: Vec<OutputFile>| Outcome {
        verdict,
        stdout,
        stderr: text.repeat(3),
        truncated: vec![Stream::Stdout],
        left: Left {
            missing: files.iter().map(|file| format!("{}\n\"*", file.name)).collect(),
            unasked: files.iter().map(|file| LeftFile { path: file.name.repeat(2), size: 7 }).collect(),
            unasked_more: files.len() as u64,
            files,
            truncated: false,
        },
        beside: beside.clone(),
        usage: Usage { wall_ms: 1.5, cpu_ms: 0.25, memory_peak_bytes: 4096, calls: None },
        used: cloister_sandbox::cgroup::Usage::default(),
        ahead: std::time::Duration::ZERO,
        of_cell: None,
    };
    let raw = |json: String| RawValue::from_string(json).expect("JSON");
    let failure = Failure::new(ErrorCode::Exception, "no").with(Details { line: Some(3), ..Details::default() });
    let bundle = || {
        MimeBundle::read(
            br#"{"text/plain": "a\nb",
 "image/png": "AP8="}"#,
        )
        .expect("one")
    };
    let cell = |no_form, restored| OfCell {
        session: JobId::random(),
        number: 7,
        value: Some((Some(text.to_owned()), bundle())),
        no_form,
        display: vec![bundle(), bundle()],
        restored,
        not_kept: restored.map(|_| text.to_owned()).into_iter().collect(),
    };
    vec![
        Outcome { of_cell: Some(cell(false, None)), ..outcome(Ok(raw("4".to_owned())), String::new(), Vec::new()) },
        Outcome {
            of_cell: Some(cell(true, Some(true))),
            ..outcome(Ok(raw("null".to_owned())), text.to_owned(), Vec::new())
        },
        outcome(Ok(raw("4".to_owned())), String::new(), Vec::new()),
        outcome(Err(failure), text.to_owned(), vec![file("a", None)]),
        outcome(
            Ok(raw(format!("[\n\r{}]", "1,\n".repeat(100_000) + "2"))),
            text.repeat(20_000),
            vec![file("\"b", Some(&[7; 100_000])), file("c", None), file("d", Some(b""))],
        ),
    ]
}

fn whole(mut parts: Parts) -> String {
    let mut all = Vec::new();
    let mut left = parts.left();
    while let Some(piece) = parts.next_piece() {
        let now = parts.left();
        assert!(left.is_none_or(|left| now == Some(left - piece.len() as u64)), "{left:?}, {now:?}, {}", piece.len());
        left = now;
        assert!(piece.len() <= 2 * super::parts::PIECE, "{}", piece.len());
        all.extend_from_slice(&piece);
    }
    assert_eq!(left, Some(0));
    String::from_utf8(all).expect("UTF-8")
}

#[tokio::test]
async fn how_long_an_answer_is_is_known_but_of_much_text() {
    for outcome in outcomes() {
        let text = outcome.stdout.len() + outcome.stderr.len();
        assert_eq!(Parts::of(outcome, JobId::random()).await.left().is_none(), text > super::parts::PIECE);
    }
}

#[tokio::test]
async fn the_parts_are_the_answer() {
    let id = JobId::random();
    for outcome in outcomes() {
        let expected = String::from_utf8(outcome.answer(id).to_json()).expect("UTF-8");
        let parts = Parts::of(outcome, id).await;
        assert!(whole(parts) == expected);
    }
}

#[tokio::test]
async fn an_event_is_one_line_of_data() {
    let id = JobId::random();
    for outcome in outcomes() {
        let expected = String::from_utf8(cloister_protocol::event::last(&outcome.answer(id))).expect("UTF-8");
        assert!(whole(Parts::of(outcome, id).await.into_event()) == expected);
    }
}
