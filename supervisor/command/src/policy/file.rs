//! Reading a policy file, or telling what is wrong with it, for people or for machines.

use std::path::Path;

use cloister_policy::{Checked, Diagnostics, Policy, PolicyError, Severity};
use cloister_program::{Untrusted, open_policy};
use serde_json::{Value as Json, json};

use crate::said::{PROBLEMS, Said};

/// Why there is no policy to work from.
#[derive(Debug, thiserror::Error)]
pub enum NoPolicy {
    /// Its file is not gone by.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// Its text is none.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// Reads a policy to work from on this host.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn for_host(file: &Path) -> Result<Policy, NoPolicy> {
    Ok(checked(file)?.for_host()?)
}

/// Reads a policy, or says everything that is wrong with it.
pub fn load(file: &Path, json: bool) -> Result<Checked, Said> {
    checked(file).map_err(|error| match &error {
        NoPolicy::Policy(PolicyError::Invalid(diagnostics)) if json => {
            Said::json(&as_json(diagnostics, true), PROBLEMS)
        }
        _ if json => Said::json(&unreadable(file, &error.to_string()), PROBLEMS),
        NoPolicy::Policy(PolicyError::Invalid(diagnostics)) => Said::problem(diagnostics.to_string()),
        _ => Said::problem(format!("error: {error}")),
    })
}

/// Reads a policy from its file alone.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn checked(file: &Path) -> Result<Checked, NoPolicy> {
    Ok(Checked::read(open_policy(file)?, file)?)
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
