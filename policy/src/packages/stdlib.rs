//! Which modules an interpreter brings itself, by the names in its tree.

use std::fs;
use std::path::Path;

use super::facts::minor;

/// Those that are in no file where an interpreter was built with them in it.
const BUILT_IN: [&str; 26] = [
    "array",
    "atexit",
    "binascii",
    "builtins",
    "cmath",
    "errno",
    "faulthandler",
    "fcntl",
    "gc",
    "grp",
    "itertools",
    "marshal",
    "math",
    "mmap",
    "posix",
    "pwd",
    "pyexpat",
    "resource",
    "select",
    "spwd",
    "sys",
    "syslog",
    "termios",
    "time",
    "unicodedata",
    "zlib",
];

/// Whether the Python of this version in a tree has a module of its own by this name. Of those that begin with `_` it is not
/// known: which of them are in no file differs from build to build.
pub(super) fn brings(tree: &Path, python: &str, module: &str) -> bool {
    if module.starts_with('_') || BUILT_IN.contains(&module) {
        return true;
    }
    let directory = tree.join("usr/lib").join(format!("python{}", minor(python)));
    directory.join(module).is_dir() || directory.join(format!("{module}.py")).is_file() || {
        let extension = format!("{module}.");
        let names = fs::read_dir(directory.join("lib-dynload")).into_iter().flatten().flatten();
        names.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().starts_with(&extension))
    }
}
