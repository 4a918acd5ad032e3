//! `check`: the file on its own, on this host, and with `--try` in its own sandboxes.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use cloister_policy::Checked;
use serde_json::{Value as Json, json};

use super::args;
use super::file::{as_json, load};
use crate::said::{PROBLEMS, Said, WELL};

/// This program, which runs a script under a profile.
const OWN: &str = "/proc/self/exe";

/// A script that anything that can be called a Python interpreter can run.
const SCRIPT: &str = "def main(): return 'ran'";

/// Tells everything that is wrong.
pub fn check(arguments: &args::Check) -> Said {
    let json = arguments.output.json;
    let checked = match load(&arguments.file, json) {
        Ok(checked) => checked,
        Err(said) => return said,
    };
    let checked = if arguments.file_only { checked } else { checked.look() };
    let mut found = checked.warnings.clone();
    if !arguments.file_only {
        found.extend(checked.check_host());
    }
    let failed = found.has_errors() || (arguments.strict && !found.problems().is_empty());
    let tried = if arguments.attempt && !failed { attempts(&checked, &arguments.file) } else { Vec::new() };
    let failed = failed || tried.iter().any(|(_, outcome)| outcome.is_err());
    let code = if failed { PROBLEMS } else { WELL };
    if json {
        let mut told = as_json(&found, failed);
        told["digest"] = json!(checked.policy.digest);
        told["tried"] = tried.iter().map(|(name, outcome)| attempt_as_json(name, outcome)).collect();
        return Said::json(&told, code);
    }
    let mut error = if found.problems().is_empty() { String::new() } else { format!("{found}\n") };
    for (name, outcome) in &tried {
        if let Err(why) = outcome {
            error += &format!("error: profile {name:?} does not run a script: {why}\n");
        }
    }
    let mut out = String::new();
    if !failed {
        let profiles = checked.policy.profiles.keys().cloned().collect::<Vec<_>>().join(", ");
        let ran = if arguments.attempt { "; each ran a script" } else { "" };
        let (file, digest) = (arguments.file.display(), &checked.policy.digest[..12]);
        out = format!("{file}: {}; profiles: {profiles}{ran}; digest {digest}\n", found.summary());
    }
    Said { out, error, code }
}

fn attempt_as_json(name: &str, outcome: &Result<(), String>) -> Json {
    json!({ "profile": name, "ran": outcome.is_ok(), "why": outcome.as_ref().err() })
}

/// Runs a script in each profile's own sandbox.
fn attempts(checked: &Checked, file: &Path) -> Vec<(String, Result<(), String>)> {
    let run = |name: &String| (name.clone(), run(file, name));
    checked.policy.profiles.keys().map(run).collect()
}

/// As `cloister run` does.
fn run(file: &Path, profile: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("run {OWN}: {error}");
    let mut child = Command::new(OWN)
        .args(["run", "--policy"])
        .arg(file)
        .args(["--profile", profile, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // It may refuse before it reads; its message says more than a broken pipe.
        let _ = stdin.write_all(SCRIPT.as_bytes());
    }
    outcome(&child.wait_with_output().map_err(failed)?)
}

/// An answer with the result, or whatever was said instead.
fn outcome(output: &Output) -> Result<(), String> {
    let answer: Option<Json> = serde_json::from_slice(&output.stdout).ok();
    match answer {
        Some(answer) if answer["result"] == "ran" => Ok(()),
        Some(answer) => {
            let told = [&answer["error"]["message"], &answer["stderr"]].map(|text| text.as_str().unwrap_or_default());
            Err(told.join(" ").trim().to_owned())
        }
        None => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}
