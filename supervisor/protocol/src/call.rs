//! A script's call of a tool, as whoever sent the script is told of it. It is a stranger's wish to whoever answers it, checked as
//! any other JSON that is passed on, and goes on as it is written.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::json::check;

/// A call of a tool, as whoever sent the script is told of it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Call {
    /// Its number among the calls of its job, from 1 on.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub call: u32,
    /// The tool that is called: one of those that the request names.
    pub tool: String,
    /// Positional arguments.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<serde_json::Value>))]
    pub args: Box<RawValue>,
    /// Keyword arguments.
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::HashMap<String, serde_json::Value>))]
    pub kwargs: Box<RawValue>,
}

impl Call {
    /// Reads what a job has written as a call: any bytes. `None` for what the runner would not write.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Raw<'a> {
            call: u32,
            tool: String,
            #[serde(borrow)]
            args: &'a RawValue,
            #[serde(borrow)]
            kwargs: &'a RawValue,
        }
        let json: &RawValue = serde_json::from_slice(bytes).ok()?;
        if !json.get().starts_with('{') {
            return None;
        }
        check(json).ok()?;
        let Raw { call, tool, args, kwargs } = serde_json::from_str(json.get()).ok()?;
        let is_call = call > 0 && args.get().starts_with('[') && kwargs.get().starts_with('{');
        is_call.then(|| Self { call, tool, args: args.to_owned(), kwargs: kwargs.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::Call;
    use crate::json::tests::{bomb, on_a_small_stack};

    #[test]
    fn what_the_runner_would_not_write_is_no_call() {
        let call = Call::read(br#"{"call":1,"tool":"a","args":[1.50],"kwargs":{"q":"x"}}"#).expect("one");
        assert_eq!(
            serde_json::to_string(&call).expect("JSON"),
            r#"{"call":1,"tool":"a","args":[1.50],"kwargs":{"q":"x"}}"#
        );
        for forged in [
            "",
            "[]",
            r#"[1, "a", [], {}]"#,
            r#"{"call":0,"tool":"a","args":[],"kwargs":{}}"#,
            r#"{"call":-1,"tool":"a","args":[],"kwargs":{}}"#,
            r#"{"call":4294967296,"tool":"a","args":[],"kwargs":{}}"#,
            r#"{"call":1,"tool":1,"args":[],"kwargs":{}}"#,
            r#"{"call":1,"tool":"a","args":{},"kwargs":{}}"#,
            r#"{"call":1,"tool":"a","args":[],"kwargs":[]}"#,
            r#"{"call":1,"tool":"a","args":[]}"#,
            r#"{"call":1,"tool":"a","args":[],"kwargs":{},"more":1}"#,
            r#"{"call":1,"tool":"a","args":[],"kwargs":{"a":1,"a":2}}"#,
            r#"{"call":1,"tool":"a","args":[],"kwargs":{"$serde_json::private::RawValue":"1"}}"#,
            r#"{"call":1,"tool":"a","args":["\ud800"],"kwargs":{}}"#,
        ] {
            assert!(Call::read(forged.as_bytes()).is_none(), "{forged}");
        }
        let bombs = format!(r#"{{"call":1,"tool":"a","args":[{}],"kwargs":{{}}}}"#, bomb(100_000));
        assert!(on_a_small_stack(|| Call::read(bombs.as_bytes())).is_none());
    }
}
