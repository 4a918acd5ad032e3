//! `diff`: what a change means for jobs.

use std::path::Path;

use cloister_policy::diff::{Change, Meaning, diff as changes};
use serde_json::{Value as Json, json};

use super::args::Output;
use super::file::load;
use crate::said::{Said, WELL};

/// The exit code where a change of policy lets jobs do or use more.
const LOOSER: u8 = 3;

/// Tells what gets looser and what gets stricter.
pub fn diff(old: &Path, new: &Path, output: Output) -> Said {
    let (old, new) = match (load(old, output.json), load(new, output.json)) {
        (Ok(old), Ok(new)) => (old.look(), new.look()),
        (Err(said), _) | (_, Err(said)) => return said,
    };
    let changes = changes(&old, &new);
    let looser = changes.iter().any(|change| change.meaning == Meaning::Looser);
    let code = if looser { LOOSER } else { WELL };
    if output.json {
        let changes: Vec<Json> = changes.iter().map(as_json).collect();
        return Said::json(&json!({ "looser": looser, "changes": changes }), code);
    }
    let lines: Vec<_> = changes.iter().map(|change| format!("{change}\n")).collect();
    let out = if lines.is_empty() { "the same for every job\n".to_owned() } else { lines.concat() };
    Said { code, ..Said::well(out) }
}

fn as_json(change: &Change) -> Json {
    json!({
        "meaning": change.meaning.to_string(), "table": change.table, "key": change.key, "what": change.what,
    })
}
