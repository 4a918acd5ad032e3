use super::{MOST_PATTERNS, Part, Pattern};
use crate::request::ExecuteRequest;

fn parse(patterns: &str) -> Result<Vec<Pattern>, String> {
    let body = format!(r#"{{"script": "x", "files_out": {patterns}}}"#);
    ExecuteRequest::parse(body.as_bytes()).map(|request| request.files_out).map_err(|error| error.to_string())
}

fn one(pattern: &str) -> Pattern {
    parse(&format!("[{}]", serde_json::to_string(pattern).expect("JSON"))).expect(pattern).remove(0)
}

fn says(pattern: &str, name: &str) -> bool {
    one(pattern).parts[0].says(name)
}

#[test]
fn a_name_is_matched_as_a_shell_does() {
    for (pattern, names) in [
        ("*", &["a", "a.b", "é"][..]),
        ("*.png", &["a.png", "a.b.png"]),
        ("a*c*e", &["ace", "abcde", "acce", "accee"]),
        ("?", &["a", "é", "💡"]),
        ("a[0-9b]?", &["a0x", "abx", "a9]"]),
        ("[!a-c]", &["d", "é", "-"]),
        ("[^a]", &["b", "^"]),
        ("[]a]", &["]", "a"]),
        ("[a-]", &["a", "-"]),
        ("[a", &["[a"]),
        ("x[[]1]", &["x[1]"]),
        ("****a****", &["a", "ba", "bab"]),
        (".*", &[".a", ".gitignore"]),
        ("__pycache__", &["__pycache__"]),
        ("plain", &["plain"]),
    ] {
        for name in names {
            assert!(says(pattern, name), "{pattern} {name}");
        }
    }
    for (pattern, names) in [
        ("*", &[".hidden", "__pycache__", ""][1..2]),
        ("*.png", &["png", "a.png.txt", ".a.png"]),
        ("?", &["", "ab"]),
        ("a*c*e", &["aec", "ac", "e"]),
        ("[!a]", &["a", ".", ""]),
        ("[z-a]", &["m", "z"]),
        ("plain", &["Plain", "plain "]),
    ] {
        for name in names {
            assert!(!says(pattern, name), "{pattern} {name}");
        }
    }
}

#[test]
fn no_pattern_takes_long() {
    let name = "a".repeat(255);
    for pattern in ["*a".repeat(31) + "b", "*".repeat(64), "*[!b]".repeat(12) + "b", "?*".repeat(31) + "b"] {
        for _ in 0..100 {
            assert_eq!(says(&pattern, &name), !pattern.ends_with('b'));
        }
    }
}

#[test]
fn every_mistake_names_the_pattern() {
    let long = format!("[\"{}*\"]", "n".repeat(64));
    let many = format!("[{}]", vec!["\"a\""; MOST_PATTERNS + 1].join(","));
    for (patterns, expected) in [
        ("null", "files_out is null, expected an array of paths"),
        (r#""a""#, "files_out is a string, expected an array of paths"),
        ("[1]", "files_out[0] is the number 1, expected a string"),
        (r#"["a", "/tmp/a"]"#, "files_out[1] is \"/tmp/a\", expected one relative to the working directory"),
        (r#"["../a"]"#, "files_out[0] is \"../a\", expected names between the slashes and not \"..\""),
        (r#"["a/../b"]"#, "files_out[0] is \"a/../b\""),
        (r#"["./a"]"#, "files_out[0] is \"./a\""),
        (r#"["a//b"]"#, "files_out[0] is \"a//b\""),
        (r#"[""]"#, "files_out[0] is \"\""),
        (r#"["/"]"#, "files_out[0] is \"/\""),
        (r#"["a\u0000*"]"#, "files_out[0] is \"a\\0*\", expected no NUL in it"),
        (&long, "files_out[0] has a name with wildcards of 65 bytes in it, expected at most 64"),
        (&many, "files_out has more than the 32 items that it may have"),
    ] {
        let message = parse(patterns).expect_err(patterns);
        assert!(message.starts_with(expected), "{patterns}: {message}");
    }
}

#[test]
fn what_is_written_anew_is_the_same_request() {
    let patterns = r#"["a","plots/*.png","**/[!x]","out/","é\n"]"#;
    let parsed = parse(patterns).expect("valid");
    assert_eq!(serde_json::to_string(&parsed).expect("JSON"), patterns);
    assert_eq!(parsed.iter().map(Pattern::path).collect::<Vec<_>>(), [Some("a"), None, None, Some("out"), Some("é\n")]);
    assert_eq!(one("**").parts, [Part::Directories]);
}

#[test]
fn what_a_match_takes_is_known_before_it_is_tried() {
    for (pattern, steps) in [("a*[0-9b]", 12), ("*", 3), ("plain", 0), ("**", 0)] {
        assert_eq!(one(pattern).parts[0].steps("xyz"), steps, "{pattern}");
    }
}
