//! What the node says on the channels, as text.

use std::time::SystemTime;

use cloister_protocol::JobId;
use serde::Serialize;

use super::requests::{Asked, Parent};

/// The version of the messages.
const VERSION: &str = "5.3";

/// Says things, each under an id of its own.
#[derive(Debug)]
pub struct Voice {
    session: JobId,
    said: u64,
    python: String,
}

/// On which channel something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// What all hear.
    Iopub,
    /// To who asked: on the channel on which that was.
    Reply,
}

impl Voice {
    /// Of a kernel of this version of Python.
    pub fn new(python: Option<String>) -> Self {
        Self { session: JobId::random(), said: 0, python: python.unwrap_or_else(|| "3".to_owned()) }
    }

    /// A message about a request, with this content, which is JSON.
    pub fn say(&mut self, channel: Channel, kind: &str, parent: &Parent, content: &[u8]) -> Vec<u8> {
        self.said += 1;
        let (session, said, date) = (self.session, self.said, humantime::format_rfc3339_millis(SystemTime::now()));
        let channel = match channel {
            Channel::Iopub => "iopub",
            Channel::Reply if parent.control => "control",
            Channel::Reply => "shell",
        };
        let head = format!(
            r#"{{"header":{{"msg_id":"{session}_{said}","msg_type":"{kind}","username":"cloister","session":"{session}","date":"{date}","version":"{VERSION}"}},"msg_id":"{session}_{said}","msg_type":"{kind}","channel":"{channel}","metadata":{{}},"buffers":[],"parent_header":{},"content":"#,
            parent.header.get()
        );
        [head.as_bytes(), content, b"}"].concat()
    }

    /// What the kernel does.
    pub fn state(&mut self, parent: &Parent, busy: bool) -> Vec<u8> {
        let content = if busy { br#"{"execution_state":"busy"}"#.as_slice() } else { br#"{"execution_state":"idle"}"# };
        self.say(Channel::Iopub, "status", parent, content)
    }

    /// The kind of an answer and its content, of what is answered at once.
    pub fn reply(&self, asked: &Asked) -> Option<(String, Vec<u8>)> {
        let plain = |kind: &str, content: &str| Some((kind.to_owned(), content.as_bytes().to_vec()));
        match asked {
            Asked::KernelInfo => Some(("kernel_info_reply".to_owned(), self.kernel_info())),
            Asked::CommInfo => plain("comm_info_reply", r#"{"status":"ok","comms":{}}"#),
            Asked::IsComplete => plain("is_complete_reply", r#"{"status":"unknown"}"#),
            Asked::Complete(place) => plain(
                "complete_reply",
                &format!(
                    r#"{{"status":"ok","matches":[],"cursor_start":{place},"cursor_end":{place},"metadata":{{}}}}"#
                ),
            ),
            Asked::Inspect => plain("inspect_reply", r#"{"status":"ok","found":false,"data":{},"metadata":{}}"#),
            Asked::History => plain("history_reply", r#"{"status":"ok","history":[]}"#),
            Asked::Other(name) => {
                let why = failed("NotImplementedError", &format!("there is no {name}_request here"));
                Some((format!("{name}_reply"), why))
            }
            Asked::Execute(_) | Asked::Interrupt | Asked::Shutdown(_) | Asked::Nothing => None,
        }
    }

    fn kernel_info(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Info<'a> {
            status: &'a str,
            protocol_version: &'a str,
            implementation: &'a str,
            implementation_version: &'a str,
            language_info: Language<'a>,
            banner: String,
            debugger: bool,
            help_links: [(); 0],
        }
        #[derive(Serialize)]
        struct Language<'a> {
            name: &'a str,
            version: &'a str,
            mimetype: &'a str,
            file_extension: &'a str,
            pygments_lexer: &'a str,
            codemirror_mode: &'a str,
        }
        let language_info = Language {
            name: "python",
            version: &self.python,
            mimetype: "text/x-python",
            file_extension: ".py",
            pygments_lexer: "python3",
            codemirror_mode: "python",
        };
        let info = Info {
            status: "ok",
            protocol_version: VERSION,
            implementation: "cloister",
            implementation_version: env!("CARGO_PKG_VERSION"),
            language_info,
            banner: format!("Python {} in Cloister", self.python),
            debugger: false,
            help_links: [],
        };
        serde_json::to_vec(&info).expect("strings")
    }
}

/// That something was not done, as the content of an answer.
pub fn failed(name: &str, value: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Failed<'a> {
        status: &'a str,
        ename: &'a str,
        evalue: &'a str,
        traceback: [&'a str; 1],
    }
    let failed = Failed { status: "error", ename: name, evalue: value, traceback: [value] };
    serde_json::to_vec(&failed).expect("strings")
}
