//! What a command has to say when it is done.

use std::io::Write;
use std::process::ExitCode;

use serde_json::Value as Json;

/// All is well.
pub const WELL: u8 = 0;
/// Something is not: a file has problems, or something could not be done.
pub const PROBLEMS: u8 = 1;

/// What a command prints, and its exit code.
pub struct Said {
    /// For standard output, with its last line ended.
    pub out: String,
    /// For standard error, likewise.
    pub error: String,
    /// The exit code.
    pub code: u8,
}

impl Said {
    /// All is well, and this is to be printed.
    pub fn well(out: impl Into<String>) -> Self {
        Self { out: ended(out.into()), error: String::new(), code: WELL }
    }

    /// Something is not, and this says what.
    pub fn problem(error: impl Into<String>) -> Self {
        Self { out: String::new(), error: ended(error.into()), code: PROBLEMS }
    }

    /// JSON, pretty for the people who look at it too.
    pub fn json(value: &Json, code: u8) -> Self {
        Self { out: ended(format!("{value:#}")), error: String::new(), code }
    }

    /// Prints it.
    pub fn tell(self) -> ExitCode {
        cloister_program::print(&self.out);
        let _ = std::io::stderr().write_all(self.error.as_bytes());
        ExitCode::from(self.code)
    }
}

impl<E: std::fmt::Display> From<Result<String, E>> for Said {
    fn from(done: Result<String, E>) -> Self {
        match done {
            Ok(text) => Self::well(text),
            Err(error) => Self::problem(format!("cloister: {error}")),
        }
    }
}

fn ended(text: String) -> String {
    if text.is_empty() || text.ends_with('\n') { text } else { text + "\n" }
}
