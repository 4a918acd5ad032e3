//! Whether a build is root's alone: what is in it is run by every job of its runtimes, and by the process that they are
//! forked from.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The name of what is shown of a build.
pub const PACKAGES: &str = "packages";

/// The name of the lock that a build was made of.
pub const LOCK: &str = "lock";

/// How many files are looked at: some of the largest packages have twenty thousand.
const MOST_FILES: usize = 400_000;

/// What is wrong with a build, or with the directories that it lies in: the first thing that somebody else than `owner`
/// could change, or that belongs in no build.
#[must_use]
pub fn at_fault(build: &Path, owner: u32) -> Option<String> {
    let above = build.ancestors().skip(1).find_map(|directory| {
        let metadata = fs::metadata(directory).ok()?;
        let others = metadata.mode() & 0o022 != 0 && metadata.mode() & 0o1000 == 0;
        let told = |what: &str| format!("it lies in {}, which {what}", directory.display());
        match metadata.uid() {
            uid if uid != owner && uid != 0 => Some(told(&format!("belongs to uid {uid}"))),
            _ if others => Some(told("others may write to")),
            _ => None,
        }
    });
    above.or_else(|| below(build, owner))
}

fn below(build: &Path, owner: u32) -> Option<String> {
    let (mut looked_at, mut waiting) = (0, vec![build.to_owned()]);
    while let Some(path) = waiting.pop() {
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) => return Some(format!("{}: {error}", path.display())),
        };
        if let Some(what) = wrong(&metadata, owner) {
            return Some(format!("{} {what}", path.display()));
        }
        if metadata.is_dir() {
            let entries: std::io::Result<Vec<PathBuf>> =
                fs::read_dir(&path).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
            match entries {
                Ok(entries) => waiting.extend(entries),
                Err(error) => return Some(format!("{}: {error}", path.display())),
            }
        }
        looked_at += 1;
        if looked_at > MOST_FILES {
            return Some(format!("it holds more than the {MOST_FILES} files that are looked at"));
        }
    }
    None
}

fn wrong(metadata: &Metadata, owner: u32) -> Option<String> {
    let kind = metadata.file_type();
    if metadata.uid() != owner {
        Some(format!("belongs to uid {}, not to {owner}", metadata.uid()))
    } else if !kind.is_file() && !kind.is_dir() {
        Some("is neither a file nor a directory".to_owned())
    } else if metadata.mode() & 0o022 != 0 {
        Some(format!("may be written by others (mode {:04o})", metadata.mode() & 0o7777))
    } else if kind.is_file() && metadata.mode() & 0o6000 != 0 {
        Some("would run as another account (set-user-ID)".to_owned())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::at_fault;

    #[test]
    fn a_build_that_others_could_change_is_told_with_its_place() {
        let build = std::env::temp_dir().join(format!("policy-tree-{}", std::process::id()));
        let file = build.join("packages/a/b.py");
        fs::create_dir_all(file.parent().expect("two")).expect("writable");
        fs::write(&file, "").expect("writable");
        let owner = fs::metadata(&build).expect("made").uid();
        let mode = |path: &std::path::Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).expect("own");
        let said = || at_fault(&build, owner).unwrap_or_default();
        mode(&build, 0o755);
        mode(file.parent().expect("two"), 0o755);
        mode(&build.join("packages"), 0o755);
        mode(&file, 0o644);
        assert_eq!(said(), "");
        for (broken, what) in
            [(0o664, "by others"), (0o646, "by others"), (0o4755, "set-user-ID"), (0o2755, "another account")]
        {
            mode(&file, broken);
            assert!(said().contains(what) && said().contains("b.py"), "{}", said());
        }
        mode(&file, 0o644);
        mode(&build.join("packages"), 0o775);
        assert!(said().contains("packages may be written"), "{}", said());
        mode(&build.join("packages"), 0o755);
        symlink("/nowhere", build.join("link")).expect("writable");
        assert!(said().contains("link is neither a file nor a directory"), "{}", said());
        assert!(at_fault(&build, owner + 1).is_some_and(|said| said.contains("belongs to uid")));
        fs::remove_dir_all(&build).expect("made above");
    }
}
