use super::ExecuteRequest;
use crate::json::tests::{bomb, on_a_small_stack};

fn refusal(body: &str) -> String {
    ExecuteRequest::parse(body.as_bytes()).expect_err("the body should be refused").to_string()
}

#[test]
fn every_mistake_names_the_field_and_what_was_expected() {
    for (body, expected) in [
        ("[]", "the body is an array, expected a JSON object"),
        ("", "the body is empty, expected a JSON object"),
        ("{}", "script is missing"),
        (r#"{"script": 1}"#, "script is the number 1, expected a string"),
        (r#"{"script": null}"#, "script is null, expected a string"),
        (r#"{"script": " \n"}"#, "script is empty"),
        (r#"{"script": "x", "args": {}}"#, "args is an object, expected an array"),
        (r#"{"script": "x", "kwargs": null}"#, "kwargs is null, expected an object"),
        (r#"{"script": "x", "timeout_ms": 1.5}"#, "timeout_ms is the number 1.5, expected a whole number"),
        (r#"{"script": "x", "timeout_ms": true}"#, "timeout_ms is a boolean"),
        (r#"{"script": "x", "script": "y"}"#, "duplicate field `script`"),
        (r#"{"script": "x", "scirpt": "y"}"#, "unknown field `scirpt`"),
        (r#"{"script": "x", "args": [{"a": 1, "a": 2}]}"#, "args: duplicate key \"a\""),
        (
            r#"{"script": "x", "kwargs": {"\u0024serde_json::private::RawValue": "1"}}"#,
            "kwargs: the key \"$serde_json::",
        ),
        (r#"{"script": "x", "args": [{"a": {"$serde_json::private::Number": "1"}}]}"#, "args: the key \"$serde_json::"),
        (r#"{"script": "x", "$serde_json::private::RawValue": "1"}"#, "unknown field `$serde_json::private::RawValue`"),
        (r#"{"script": {"$serde_json::private::RawValue": "\"x\""}}"#, "script is an object, expected a string"),
        (r#"{"script": "\ud800"}"#, "script is not valid Unicode text"),
        (r#"{"script": "x", "args": ["\ud800"]}"#, "args: "),
    ] {
        let message = refusal(body);
        assert!(message.contains(expected), "{body}: {message}");
    }
}

#[test]
fn depth_is_refused_before_it_can_hurt() {
    let deep = format!(r#"{{"script": "x", "args": {}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    assert!(on_a_small_stack(|| refusal(&deep)).contains("nested too deeply"));
    let bombs = bomb(500_000);
    let message = on_a_small_stack(|| refusal(&format!(r#"{{"script": "x", "args": [{bombs}]}}"#)));
    assert!(message.starts_with("args: the key"), "{message}");
}

#[test]
fn what_is_told_again_is_short() {
    let long = "k".repeat(1 << 20);
    for body in [format!(r#"{{"{long}": 1}}"#), format!(r#"{{"script": "x", "kwargs": {{"{long}": 1, "{long}": 2}}}}"#)]
    {
        assert!(refusal(&body).len() < 2000);
    }
}

#[test]
fn numbers_keep_their_digits() {
    let body = r#"{"script": "x", "args": [123456789012345678901234567890, 0.10]}"#;
    let request = ExecuteRequest::parse(body.as_bytes()).expect("valid");
    assert_eq!(request.args.expect("given").get(), "[123456789012345678901234567890, 0.10]");
}
