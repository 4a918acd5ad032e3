//! The keys of `[runtime.NAME]`: an interpreter and what of the host it needs.

use super::key::More;
use super::typed::{
    Mounts, Pairs, Text, Words, absent, choice, file, key, links, mounts, path, paths, required_without, table,
    table_name, variables,
};

/// The choice of a program that serves requests itself.
pub(crate) const OWN: &str = "own";

/// The name of the key of [`BASE`], by which others stay away.
const BASE_NAME: &str = "base";

table! {
/// The keys of `[runtime.NAME]`.
RUNTIME of Runtime {
    BASE: Option<Text> = absent(
        BASE_NAME,
        table_name(),
        "Another runtime, whose interpreter, mounts and links this one has, with `packages` in place of those that the base's tree brings.",
    );
    PACKAGES: Option<Text> = absent(
        "packages",
        file(),
        "What a runtime with a `base` is to have: a requirements.txt, a pyproject.toml or a script with PEP 723 metadata, by its path or by one from the policy's directory. What it has is what its lock says, the file with .lock behind its name: cloister runtime lock, and cloister runtime build.",
    );
    INTERPRETER: Option<Text> = required_without("interpreter", path(), BASE_NAME, "The interpreter's path inside the sandbox.");
    RUNNER: Text = key(
        "runner",
        choice(&["python", OWN]),
        "\"python\"",
        More::Neither,
        "Who serves a request in it: Cloister's runner for Python, or the program itself (\"own\"), which then keeps no children warm.",
    );
    MOUNTS: Option<Mounts> = required_without(
        "mounts",
        mounts(),
        BASE_NAME,
        "Host paths that it needs, read-only, nosuid and nodev: \"/host/path\" or \"/host/path:/path/inside\".",
    );
    LINKS: Pairs = key(
        "links",
        links(),
        "{}",
        More::Looser,
        "Symbolic links in the sandbox's root, a name and its relative target: lib = \"usr/lib\".",
    );
    ENVIRONMENT: Pairs = key(
        "environment",
        variables(),
        "{}",
        More::Neither,
        "Environment of every job, beside PATH, HOME, TMPDIR and LANG, which are always set, and in place of USER, LOGNAME and the variables that tell libraries how many threads are of use (OMP_NUM_THREADS and its kin: the profile's cpus), which are else. Its interpreter reads no PYTHON* variable.",
    );
    WORKING_DIRECTORY: Text = key(
        "working_directory",
        path(),
        "\"/tmp\"",
        More::Neither,
        "Where a job starts, unless its profile says. In one of the mounts it is read-only, and files and `out` are in /tmp; \
         anywhere else it is made, such as /mnt/data or /home/user, and shares the bounds of /tmp.",
    );
    ALLOW_DANGEROUS: Words = key(
        "allow_dangerous",
        paths(),
        "[]",
        More::Looser,
        "Host paths that `mounts` may name although they show secrets or sockets of the host.",
    );
}
}
