//! What clients ask on the channels, read into what is known of it. What else is in a message is passed over.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The longest header, in bytes: each message that answers it has it.
const LONGEST_HEADER: usize = 8 * 1024;

/// A message, and whose answers are told to be its.
#[derive(Debug)]
pub struct Request {
    /// What is asked.
    pub asked: Asked,
    /// By what.
    pub parent: Parent,
}

/// The header of a message, as its sender wrote it, and the channel on which it came.
#[derive(Debug)]
pub struct Parent {
    /// The header.
    pub header: Box<RawValue>,
    /// Whether it came on the control channel, and not on the shell's.
    pub control: bool,
}

/// What is asked.
#[derive(Debug)]
pub enum Asked {
    /// A cell to be run.
    Execute(Cell),
    /// What the kernel is.
    KernelInfo,
    /// Which comms there are.
    CommInfo,
    /// Whether code is whole.
    IsComplete,
    /// What could stand at this place.
    Complete(u64),
    /// What something is.
    Inspect,
    /// What was run before.
    History,
    /// An interrupt of what runs.
    Interrupt,
    /// The kernel's end, or that it begins anew.
    Shutdown(bool),
    /// Something else that wants an answer: its name, but for `_request`.
    Other(String),
    /// Something that wants none.
    Nothing,
}

/// A cell.
#[derive(Debug)]
pub struct Cell {
    /// Its code.
    pub code: String,
    /// Whether nothing of it is told on the iopub channel but its output.
    pub silent: bool,
    /// Whether those that wait behind it are called off if it fails.
    pub stop_on_error: bool,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    header: &'a RawValue,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    channel: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    msg_type: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Code {
    code: String,
    #[serde(default)]
    silent: bool,
    #[serde(default = "yes")]
    stop_on_error: bool,
}

#[derive(Default, Deserialize)]
struct Place {
    #[serde(default)]
    cursor_pos: u64,
}

#[derive(Default, Deserialize)]
struct Anew {
    #[serde(default)]
    restart: bool,
}

impl Request {
    /// Reads a message; `None` if it is none of Jupyter's.
    pub fn read(text: &str) -> Option<Self> {
        let Message { header, content, channel } = object(text)?;
        if header.get().len() > LONGEST_HEADER {
            return None;
        }
        let Header { msg_type } = object(header.get())?;
        let content = content.map_or("{}", RawValue::get);
        let asked = match &*msg_type {
            "execute_request" => {
                let Code { code, silent, stop_on_error } = object(content)?;
                Asked::Execute(Cell { code, silent, stop_on_error })
            }
            "kernel_info_request" => Asked::KernelInfo,
            "comm_info_request" => Asked::CommInfo,
            "is_complete_request" => Asked::IsComplete,
            "complete_request" => Asked::Complete(object::<Place>(content).unwrap_or_default().cursor_pos),
            "inspect_request" => Asked::Inspect,
            "history_request" => Asked::History,
            "interrupt_request" => Asked::Interrupt,
            "shutdown_request" => Asked::Shutdown(object::<Anew>(content).unwrap_or_default().restart),
            other => other
                .strip_suffix("_request")
                .filter(|name| is_name(name))
                .map_or(Asked::Nothing, |name| Asked::Other(name.to_owned())),
        };
        Some(Self {
            asked,
            parent: Parent { header: header.to_owned(), control: channel.is_some_and(|name| name == "control") },
        })
    }
}

/// Reads an object; serde would take an array for one, too.
fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    text.trim_start().starts_with('{').then(|| serde_json::from_str(text).ok()).flatten()
}

fn is_name(name: &str) -> bool {
    name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::{Asked, Request};

    fn asked(kind: &str, content: &str) -> Option<Asked> {
        let text =
            format!(r#"{{"header": {{"msg_id": "a", "msg_type": "{kind}"}}, "content": {content}, "buffers": []}}"#);
        Request::read(&text).map(|request| request.asked)
    }

    #[test]
    fn what_is_known_of_a_message_is_read() {
        let Some(Asked::Execute(cell)) = asked("execute_request", r#"{"code": "1", "allow_stdin": false}"#) else {
            panic!("a cell")
        };
        assert_eq!((cell.code.as_str(), cell.silent, cell.stop_on_error), ("1", false, true));
        assert!(matches!(asked("shutdown_request", r#"{"restart": true}"#), Some(Asked::Shutdown(true))));
        assert!(matches!(asked("complete_request", r#"{"cursor_pos": 3}"#), Some(Asked::Complete(3))));
        assert!(matches!(asked("debug_request", "{}"), Some(Asked::Other(name)) if name == "debug"));
        for nothing in ["input_reply", "comm_open", "", "\\u0022_request"] {
            assert!(matches!(asked(nothing, "[[1]]"), Some(Asked::Nothing)), "{nothing}");
        }
    }

    #[test]
    fn a_message_without_a_channel_is_of_the_shell() {
        let told =
            |text| Request::read(text).map(|request| (request.parent.control, request.parent.header.get().to_owned()));
        let header = r#"{"msg_type": "x"}"#;
        assert_eq!(told(r#"{"header": {"msg_type": "x"}}"#), Some((false, header.to_owned())));
        assert_eq!(told(r#"{"header": {"msg_type": "x"}, "channel": "control"}"#), Some((true, header.to_owned())));
    }

    #[test]
    fn what_is_no_message_is_none() {
        let long = format!(r#"{{"header": {{"msg_type": "x", "x": "{}"}}}}"#, "x".repeat(10_000));
        for wrong in
            ["", "[]", "{}", r#"{"header": {}}"#, r#"{"header": ["execute_request"]}"#, r#"[{"msg_type": "x"}]"#, &long]
        {
            assert!(Request::read(wrong).is_none(), "{wrong:.60}");
        }
        for content in ["{}", "[\"1\"]", r#"{"code": 1}"#, "null"] {
            assert!(asked("execute_request", content).is_none(), "{content}");
        }
    }
}
