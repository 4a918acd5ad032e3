use super::{PIECE, pieces, whole_characters};

#[test]
fn text_in_pieces_is_the_text_as_a_whole() {
    let samples: [&[u8]; 6] = [
        "one, \u{e9}\u{20ac}\u{1f600}\0\r\n".as_bytes(),
        b"\xff\xfe a \xc3\x28 \xe2\x82 \xe2\x82\xac \xf0\x9f\x98",
        b"\xed\xa0\x80\xed\xb0\x80 \xc0\xaf \xf5\x80\x80\x80",
        b"\xe2\x82",
        b"\xf0\x90\x80\xf0\x90\xf0\xf0\x90\x80\x80",
        b"",
    ];
    for bytes in samples {
        let whole = String::from_utf8_lossy(bytes);
        for size in 1..=bytes.len() {
            let (mut text, mut taken) = (String::new(), 0);
            for come in (0..bytes.len()).step_by(size).chain([bytes.len()]) {
                let (more, bytes) = whole_characters(&bytes[taken..come]);
                text += &more;
                taken += bytes;
            }
            assert!(whole.starts_with(&text), "{bytes:?} by {size}: {text:?}");
            assert_eq!(text + &String::from_utf8_lossy(&bytes[taken..]), whole, "{bytes:?} by {size}");
            assert!(bytes.len() - taken < 4);
        }
    }
}

#[test]
fn pieces_end_between_characters() {
    let text = "\u{20ac}".repeat(PIECE);
    let pieces: Vec<_> = pieces(&text).collect();
    assert!(pieces.iter().all(|piece| piece.len() <= PIECE));
    assert_eq!(pieces.concat(), text);
}
