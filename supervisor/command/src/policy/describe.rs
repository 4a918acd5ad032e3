//! What can be said without a policy at hand.

use cloister_policy::SHIPPED;
use cloister_policy::seccomp::{GROUPS, group};
use serde_json::{Map, json};

use super::args::Output;
use crate::said::{Said, WELL};

/// Prints the file to start from.
pub fn init() -> Said {
    Said::well(SHIPPED)
}

/// Prints the JSON Schema.
pub fn schema() -> Said {
    Said::json(&cloister_policy::schema(), WELL)
}

/// Prints the reference of every key.
pub fn reference() -> Said {
    Said::well(cloister_policy::reference::reference())
}

/// Lists the groups, or the calls in one.
pub fn syscalls(name: Option<&str>, output: Output) -> Said {
    let calls = |name| Some(group(name)?.iter().map(|call| call.name()).collect::<Vec<_>>());
    match name {
        None if output.json => {
            let groups = GROUPS.iter().map(|(name, purpose, _)| {
                ((*name).to_owned(), json!({ "for": purpose, "calls": calls(name).unwrap_or_default() }))
            });
            Said::json(&json!(groups.collect::<Map<_, _>>()), WELL)
        }
        None => Said::well(GROUPS.map(|(name, purpose, _)| format!("{name:<12} {purpose}")).join("\n")),
        Some(name) => match calls(name) {
            None => {
                let known = GROUPS.map(|(name, _, _)| name).join(", ");
                Said::problem(format!("error: there is no group {name:?}; groups are: {known}"))
            }
            Some(calls) if output.json => Said::json(&json!(calls), WELL),
            Some(calls) => Said::well(calls.join("\n")),
        },
    }
}
