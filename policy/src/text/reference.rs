//! The reference of every key, in Markdown, for `docs/policy.md`.

use std::fmt::Write;

use cloister_terms::{Access, Bytes};

use crate::keys::{Default, Key, Kind, PROFILE, RUNTIME, SUPERVISOR};
use crate::read::ACTIONS;
use crate::seccomp::{GROUPS, group};
use crate::units::show_time;

/// Tables of all keys and all groups of system calls.
#[must_use]
pub fn reference() -> String {
    let mut text = String::new();
    for (title, table) in [("[supervisor]", SUPERVISOR), ("[runtime.NAME]", RUNTIME), ("[profile.NAME]", PROFILE)] {
        let _ = writeln!(text, "### `{title}`\n\n| key | value | default | |\n|---|---|---|---|");
        for key in table {
            let _ =
                writeln!(text, "| `{}` | {} | {} | {} |", key.name, value(key.kind), default(key), escaped(key.doc));
        }
        text.push('\n');
    }
    text.push_str("### Groups of system calls\n\n| group | for | calls |\n|---|---|---|\n");
    for (name, purpose, members) in GROUPS {
        let count = group(name).map_or(0, |calls| calls.len());
        let inner: Vec<_> = members.iter().filter(|member| member.starts_with('@')).collect();
        let calls = if inner.is_empty() {
            count.to_string()
        } else {
            let inner = inner.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            format!("{count}: {inner}")
        };
        let _ = writeln!(text, "| `{name}` | {} | {calls} |", escaped(purpose));
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

fn default(key: &Key) -> String {
    match key.default {
        Default::Value(text) => format!("`{text}`"),
        Default::RequiredWithout(other) => format!("required without `{other}`"),
        Default::Absent => "none".to_owned(),
    }
}

fn value(kind: Kind) -> String {
    let or_unlimited = |unlimited: bool| if unlimited { ", or `\"unlimited\"`" } else { "" };
    let words = |words: &[&str]| words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ");
    match kind {
        Kind::Size { least, most, .. } if least == most => format!("size: `\"{}\"` only", Bytes(least)),
        Kind::Size { least, most, unlimited } => {
            format!("size, {} to {}{}", Bytes(least), Bytes(most), or_unlimited(unlimited))
        }
        Kind::Time { least, most } => format!("time, {} to {}", show_time(least), show_time(most)),
        Kind::Whole { least, most, .. } if least == most => format!("whole number: {least} only"),
        Kind::Whole { least, most, unlimited } => format!("whole number, {least} to {most}{}", or_unlimited(unlimited)),
        Kind::Count { least, most } => {
            format!(
                "whole number, {least} to {most}, or so many for each processor of the host or the container: `\"8/cpu\"`"
            )
        }
        Kind::Number { least, most } => format!("number, {} to {}", f64::from(least) / 1e3, f64::from(most) / 1e3),
        Kind::Switch => "`true`, `false`, or a table of the keys below".to_owned(),
        Kind::Choice(choices) => format!("one of {}", words(choices)),
        Kind::Choices(choices) => format!("list of {}", words(choices)),
        Kind::TableName => "name".to_owned(),
        Kind::HostName => "1 to 64 letters, digits, `-` and `.`".to_owned(),
        Kind::Path => "absolute path".to_owned(),
        Kind::File => "path".to_owned(),
        Kind::Paths => "list of absolute paths; adds, `-` takes away".to_owned(),
        Kind::Mounts => "list of paths; adds, `-` takes away".to_owned(),
        Kind::Modules => "list of modules".to_owned(),
        Kind::Calls => "list of calls and groups; adds, `-` takes away".to_owned(),
        Kind::CallRules => {
            format!(
                "list of `{{ call, when, action, errno }}`, the action one of {}; adds, `-` takes away",
                words(&ACTIONS)
            )
        }
        Kind::PathRules => {
            format!(
                "list of `{{ path, access }}`, the access of {}; adds, `-` takes away",
                words(&Access::ALL.map(Access::word))
            )
        }
        Kind::Variables => "table of texts".to_owned(),
        Kind::Links => "table of names and relative paths".to_owned(),
    }
}
