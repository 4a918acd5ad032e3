//! Names of system calls and groups in the file.

use super::section::Entry;
use crate::seccomp::{self, GROUPS, NEVER, Syscall};
use crate::suggest::{as_code, did_you_mean};

/// The calls behind a name or a group.
pub(super) fn named_calls(entry: Entry<'_>, name: &str, away: bool) -> Option<Vec<Syscall>> {
    if !away && NEVER.contains(&name) {
        return never(entry, name);
    }
    let found =
        if name.starts_with('@') { seccomp::group(name) } else { Syscall::by_name(name).map(|call| vec![call]) };
    found.or_else(|| unknown_call(entry, name))
}

/// Reports a call that no policy may allow.
pub(super) fn never<T>(entry: Entry<'_>, name: &str) -> Option<T> {
    let help = "calls that change mounts, namespaces, credentials, the kernel or the machine are never allowed";
    entry.refuse_with(format!("{name} may not be allowed in any profile"), "never allowed", help)
}

/// Reports a name that is none.
pub(super) fn unknown_call<T>(entry: Entry<'_>, name: &str) -> Option<T> {
    let known = GROUPS.iter().map(|(group, _, _)| *group).chain(Syscall::names());
    let help = did_you_mean(name, known, as_code, || {
        "`cloister policy syscalls` lists the groups and the calls in them".to_owned()
    });
    entry.refuse_with(format!("there is no system call or group `{name}`"), "unknown on x86-64", help)
}
