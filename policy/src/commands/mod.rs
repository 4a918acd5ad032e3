//! The subcommands, a module for each that has something of its own to say.

pub mod check;
pub mod describe;
pub mod diff;
pub mod explain;

use std::path::Path;

use cloister_policy::{Checked, Diagnostics, PolicyError, Severity};
use serde_json::{Value as Json, json};

/// All is well.
pub const WELL: u8 = 0;
/// The file has problems, or could not be read.
pub const PROBLEMS: u8 = 1;
/// A change of policy lets jobs do or use more.
pub const LOOSER: u8 = 3;

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
}

fn ended(text: String) -> String {
    if text.is_empty() || text.ends_with('\n') { text } else { text + "\n" }
}

/// Reads a policy, or says everything that is wrong with it.
pub fn load(file: &Path, json: bool) -> Result<Checked, Said> {
    Checked::load(file).map_err(|error| match &error {
        PolicyError::Invalid(diagnostics) if json => Said::json(&as_json(diagnostics, true), PROBLEMS),
        _ if json => Said::json(&unreadable(file, &error.to_string()), PROBLEMS),
        PolicyError::Invalid(diagnostics) => Said::problem(diagnostics.to_string()),
        _ => Said::problem(format!("error: {error}")),
    })
}

/// Diagnostics for machines: `{"file", "ok", "problems": [{"severity", "message", "label", "help", "line",
/// "column", "start", "end"}]}`.
pub fn as_json(diagnostics: &Diagnostics, failed: bool) -> Json {
    let problems = diagnostics.problems().iter().map(|problem| {
        let (line, column) = diagnostics.position(problem.span.start);
        let severity = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        json!({
            "severity": severity, "message": problem.message, "label": problem.label, "help": problem.help,
            "line": line, "column": column, "start": problem.span.start, "end": problem.span.end,
        })
    });
    json!({
        "file": diagnostics.path().display().to_string(),
        "ok": !failed,
        "problems": problems.collect::<Vec<_>>(),
    })
}

fn unreadable(file: &Path, message: &str) -> Json {
    json!({
        "file": file.display().to_string(),
        "ok": false,
        "problems": [{ "severity": "error", "message": message }],
    })
}
