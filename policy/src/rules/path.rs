//! What Landlock grants below a single path.

use std::fmt;
use std::path::PathBuf;

use crate::diagnostic::did_you_mean;
use crate::paths;
use crate::section::Entry;

/// The words for what may be done.
pub(crate) const ACCESS: [(&str, Access); 4] =
    [("read", Access::Read), ("list", Access::List), ("execute", Access::Execute), ("write", Access::Write)];

const KEYS: [&str; 2] = ["path", "access"];

/// The file systems of a job's own, the only ones that it may write to.
const WRITABLE: [&str; 2] = ["/tmp", "/dev/shm"];

/// A rule of `landlock.rules`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathRule {
    /// Absolute path inside the sandbox.
    pub path: PathBuf,
    /// What may be done at and below it, in place of what would be granted for this path.
    pub access: Vec<Access>,
}

/// Something that may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Files may be read.
    Read,
    /// Directories may be listed.
    List,
    /// Programs and libraries may be run.
    Execute,
    /// Files and directories may be made, written and removed.
    Write,
}

/// Reads a rule: `{ path = "/srv/models", access = ["read", "list"] }`.
pub(crate) fn path_rule(entry: Entry<'_>) -> Option<PathRule> {
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
    ACCESS.iter().find(|(known, _)| *known == word).map(|(_, access)| *access).or_else(|| {
        let known = ACCESS.map(|(word, _)| word);
        let help = match did_you_mean(word, known) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("what may be granted is: {}", known.join(", ")),
        };
        entry.refuse_with(format!("{word:?} is nothing that may be granted"), "unknown", help)
    })
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ACCESS.iter().find(|(_, access)| access == self).map_or("", |(word, _)| word))
    }
}

/// As TOML.
impl fmt::Display for PathRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = self.access.iter().map(|access| format!("\"{access}\"")).collect::<Vec<_>>().join(", ");
        write!(f, "{{ path = {}, access = [{access}] }}", crate::show::text(&self.path.to_string_lossy()))
    }
}
