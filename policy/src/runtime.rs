//! The `[runtime.NAME]` tables.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::model::{ReadOnlyMount, Runtime};
use crate::paths;
use crate::section::{Entry, Section};

/// Variables that the supervisor sets itself.
const SET_ALREADY: [&str; 4] = ["HOME", "LANG", "PATH", "TMPDIR"];

pub(crate) fn read(section: Section<'_>) -> Option<Runtime> {
    let interpreter = section.get("interpreter").and_then(|entry| paths::absolute(entry, entry.text()?));
    let mounts = section.get("mounts").and_then(mounts).unwrap_or_default();
    let links = section.section("links");
    let links = links.pairs().filter_map(|(name, entry)| link(name, entry)).collect();
    let environment = section.section("environment");
    let environment = environment.pairs().filter_map(|(name, entry)| variable(name, entry)).collect();
    if interpreter.is_none() && section.get("interpreter").is_none() {
        section.missing("interpreter", "the interpreter's path inside the sandbox, such as \"/usr/bin/python3\"");
    }
    if section.get("mounts").is_none() {
        section.missing("mounts", "what of the host the interpreter needs, such as [\"/usr\"]");
    }
    section.finish();
    Some(Runtime { interpreter: interpreter?, mounts, links, environment })
}

/// A list of `"/host"` or `"/host:/inside"`.
pub(crate) fn mounts(entry: Entry<'_>) -> Option<Vec<ReadOnlyMount>> {
    Some(entry.texts()?.into_iter().filter_map(|(text, entry)| paths::read_only(entry, text)).collect())
}

fn link(name: &str, entry: Entry<'_>) -> Option<(String, PathBuf)> {
    let target = PathBuf::from(entry.text()?);
    let single = |path: &Path| path.components().count() == 1;
    let normal = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
    if !single(Path::new(name)) || !normal(Path::new(name)) || !normal(&target) {
        return entry
            .refuse("a link is a name in the root and a relative target", "expected something like lib = \"usr/lib\"");
    }
    Some((name.to_owned(), target))
}

fn variable(name: &str, entry: Entry<'_>) -> Option<(String, String)> {
    let value = entry.text()?;
    if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
        return entry
            .refuse("an environment variable's name has no `=`, and neither part a NUL byte", "not a variable");
    }
    if SET_ALREADY.contains(&name) {
        return entry.refuse(format!("{name} is set by the supervisor"), "take it out");
    }
    Some((name.to_owned(), value.to_owned()))
}

/// The runtimes by their names.
pub(crate) type Runtimes = BTreeMap<String, Runtime>;
