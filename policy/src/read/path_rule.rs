//! Reads what Landlock grants below a single path.

use cloister_terms::{Access, PathRule, WRITABLE};

use super::paths;
use super::section::Entry;
use crate::suggest::{did_you_mean, quoted};

const KEYS: [&str; 2] = ["path", "access"];

/// Reads a rule: `{ path = "/srv/models", access = ["read", "list"] }`.
pub(super) fn path_rule(entry: Entry<'_>) -> Option<PathRule> {
    let section = entry.as_section("landlock.rules".to_owned());
    section.finish(&KEYS, |_| None);
    for key in KEYS {
        if section.get(key).is_none() {
            section.missing(key, "path = \"/inside\" and access = [\"read\", \"list\", \"execute\", \"write\"]");
        }
    }
    let path = section.get("path").and_then(|entry| paths::absolute(entry, entry.text()?));
    let access = section.get("access").and_then(|entry| {
        let words = entry.texts()?;
        let count = words.len();
        let read: Vec<Access> = words.into_iter().filter_map(|(word, entry)| access(entry, word)).collect();
        (read.len() == count).then_some(read)
    });
    let rule = PathRule { path: path?, access: access? };
    let own = WRITABLE.iter().any(|writable| rule.path.starts_with(writable));
    if rule.access.contains(&Access::Write) && !own {
        return entry.refuse_with(
            format!("nothing may be written below {}", rule.path.display()),
            "write is for /tmp and /dev/shm",
            "a job writes to file systems of its own only; what it should leave behind it returns",
        );
    }
    Some(rule)
}

fn access(entry: Entry<'_>, word: &str) -> Option<Access> {
    Access::ALL.into_iter().find(|access| access.word() == word).or_else(|| {
        let known = Access::ALL.map(Access::word);
        let help = did_you_mean(word, known, quoted, || format!("what may be granted is: {}", known.join(", ")));
        entry.refuse_with(format!("{word:?} is nothing that may be granted"), "unknown", help)
    })
}
