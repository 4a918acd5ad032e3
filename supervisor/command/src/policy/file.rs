//! Reading a policy file, or telling what is wrong with it, for people or for machines.

use std::path::Path;

use cloister_policy::{Checked, Diagnostics, PolicyError, Severity};
use serde_json::{Value as Json, json};

use crate::said::{PROBLEMS, Said};

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
