//! Host paths that a policy may show to a job, and those that it may not.

use std::path::{Component, Path, PathBuf};

use crate::model::ReadOnlyMount;
use crate::section::Entry;

/// Places that hold secrets or the host's own state. Neither they nor what lies above them may be
/// shown; below the first list, nothing may be shown at all.
const CLOSED: [&str; 6] = ["/proc", "/sys", "/dev", "/run", "/var/run", "/root"];
const NOT_WHOLE: [&str; 5] = ["/", "/etc", "/home", "/var", "/var/lib"];

/// Where a sandbox's own file systems lie.
const TAKEN_INSIDE: [&str; 5] = ["/", "/dev", "/proc", "/tmp", "/cell"];

/// Reads `"/host/path"` or `"/host/path:/path/inside"`.
pub(crate) fn read_only(entry: Entry<'_>, text: &str) -> Option<ReadOnlyMount> {
    let (host, inside) = text.split_once(':').unwrap_or((text, text));
    let (host, inside) = (absolute(entry, host)?, absolute(entry, inside)?);
    let exposed = NOT_WHOLE.iter().any(|closed| host == Path::new(closed))
        || CLOSED.iter().any(|closed| host.starts_with(closed) || Path::new(closed).starts_with(&host));
    if exposed {
        let message = format!("{} would show the host's secrets or its state to every job", host.display());
        return entry.refuse_with(message, "too much", "copy what jobs need to a directory of its own and name that");
    }
    if TAKEN_INSIDE.iter().any(|taken| inside == Path::new(taken))
        || TAKEN_INSIDE[1..].iter().any(|taken| inside.starts_with(taken))
    {
        let message = format!("{} is a file system of the sandbox's own", inside.display());
        return entry.refuse_with(message, "choose another place inside", "for example /data");
    }
    Some(ReadOnlyMount { host, inside })
}

/// An absolute path in its plainest form.
pub(crate) fn absolute(entry: Entry<'_>, text: &str) -> Option<PathBuf> {
    let path = Path::new(text);
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !path.is_absolute() || !plain || text.contains('\0') {
        return entry.refuse(
            format!("{text:?} is not an absolute path without `.` and `..`"),
            "expected a path such as \"/opt/models\"",
        );
    }
    Some(path.components().collect())
}
