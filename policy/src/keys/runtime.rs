//! The keys of `[runtime.NAME]`: an interpreter and what of the host it needs.

use super::{Key, Kind, More, key, required};

/// The keys of `[runtime.NAME]`.
pub const RUNTIME: &[Key] = &[
    required("interpreter", Kind::Path, "The interpreter's path inside the sandbox."),
    key(
        "runner",
        Kind::Choice(&["python", "own"]),
        "\"python\"",
        More::Neither,
        "Who serves a request in it: Cloister's runner for Python, or the program itself (\"own\"), which then keeps no children warm.",
    ),
    required(
        "mounts",
        Kind::Mounts,
        "Host paths that it needs, read-only, nosuid and nodev: \"/host/path\" or \"/host/path:/path/inside\".",
    ),
    key(
        "links",
        Kind::Links,
        "{}",
        More::Looser,
        "Symbolic links in the sandbox's root, a name and its relative target: lib = \"usr/lib\".",
    ),
    key(
        "environment",
        Kind::Variables,
        "{}",
        More::Neither,
        "Environment of every job, beside PATH, HOME, TMPDIR and LANG, which are always set. Its interpreter reads no PYTHON* variable.",
    ),
    key(
        "working_directory",
        Kind::Path,
        "\"/tmp\"",
        More::Neither,
        "Where a job starts. Below /tmp and /dev/shm it is made; elsewhere it has to lie in one of the mounts.",
    ),
    key(
        "allow_dangerous",
        Kind::Paths,
        "[]",
        More::Looser,
        "Host paths that `mounts` may name although they show secrets or sockets of the host.",
    ),
];
