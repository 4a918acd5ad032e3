//! Reads paths, and those of the host with their places inside.

use std::path::{Component, Path, PathBuf};

use cloister_terms::Mount;

use super::section::Entry;
use crate::danger::danger;

/// Reads `"/host/path"` or `"/host/path:/path/inside"`.
pub(super) fn read_only(entry: Entry<'_>, text: &str) -> Option<Mount> {
    let (host, inside) = text.split_once(':').unwrap_or((text, text));
    let (host, inside) = (absolute(entry, host)?, absolute(entry, inside)?);
    let mount = Mount { host, inside };
    // Of a dangerous path it is told elsewhere, and more to the point, why it may not be shown.
    if mount.has_place() || (mount.host == mount.inside && danger(&mount.host).is_some()) {
        return Some(mount);
    }
    let message = format!("{} is a file system of the sandbox's own", mount.inside.display());
    entry.refuse_with(message, "choose another place inside", "for example /data")
}

/// A file by a path that need not be absolute.
pub(super) fn file(entry: Entry<'_>, text: &str) -> Option<String> {
    if text.contains('\0') || Path::new(text).file_name().is_none() {
        return entry.refuse(format!("{text:?} is no file's path"), "expected a path such as \"science.txt\"");
    }
    Some(text.to_owned())
}

/// An absolute path in its plainest form.
pub(super) fn absolute(entry: Entry<'_>, text: &str) -> Option<PathBuf> {
    let path = Path::new(text);
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !path.is_absolute() || !plain || text.contains('\0') || text.split('/').any(|part| part == ".") {
        return entry.refuse(
            format!("{text:?} is not an absolute path without `.` and `..`"),
            "expected a path such as \"/opt/models\"",
        );
    }
    Some(path.components().collect())
}
