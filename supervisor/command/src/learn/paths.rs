//! From single paths that a script looked for to the fewest mounts that show them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use cloister_policy::danger;

use super::recorder::Want;

/// What the C library and its loader look for in any program, and do without: `ld.so(8)`, `tzset(3)`,
/// `locale(7)`, `iconv(3)`, `nsswitch.conf(5)`, `nscd(8)`.
const PROBED: [&str; 9] = [
    "/etc/ld.so.cache",
    "/etc/ld.so.nohwcap",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/usr/lib/locale",
    "/usr/lib/x86_64-linux-gnu/gconv",
    "/usr/share/locale",
    "/var/run/nscd",
];

/// How many names a comment lists.
const NAMED: usize = 4;

/// A host path to show, and what for.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    /// The path.
    pub path: PathBuf,
    /// What was done there, in words.
    pub purpose: String,
}

/// The fewest paths that show all of these: a directory where several of its entries were wanted, unless
/// that would show secrets or is near the root. What was only passed on the way to another is not among them.
#[must_use]
pub fn fewest(missing: &BTreeMap<PathBuf, BTreeSet<Want>>) -> Vec<Shown> {
    let is_way = |path: &Path, wants: &BTreeSet<Want>| {
        wants.iter().all(|want| *want == Want::Know)
            && missing.keys().any(|other| other != path && other.starts_with(path))
    };
    let wanted = missing
        .iter()
        .filter(|(path, wants)| !PROBED.iter().any(|probed| path.starts_with(probed)) && !is_way(path, wants));
    let mut directories: BTreeMap<PathBuf, Vec<(&Path, &BTreeSet<Want>)>> = BTreeMap::new();
    for (path, wants) in wanted {
        directories.entry(path.parent().unwrap_or(path).to_owned()).or_default().push((path, wants));
    }
    let mut shown: Vec<Shown> = Vec::new();
    for (directory, entries) in directories {
        let is_deep = directory.components().filter(|part| matches!(part, Component::Normal(_))).count() >= 2;
        if entries.len() >= 2 && is_deep && danger(&directory).is_none() {
            let names = entries.iter().filter_map(|(path, _)| path.file_name()).map(|name| name.to_string_lossy());
            let mut purpose = names.take(NAMED).collect::<Vec<_>>().join(", ");
            if entries.len() > NAMED {
                purpose += &format!(" and {} more", entries.len() - NAMED);
            }
            let wants = entries.iter().flat_map(|(_, wants)| wants.iter().copied()).collect();
            shown.push(Shown { path: directory, purpose: format!("{}: {purpose}", words(&wants)) });
        } else {
            let single = entries.iter().map(|(path, wants)| Shown { path: (*path).to_owned(), purpose: words(wants) });
            shown.extend(single);
        }
    }
    let all: Vec<PathBuf> = shown.iter().map(|one| one.path.clone()).collect();
    shown.retain(|one| !all.iter().any(|other| *other != one.path && one.path.starts_with(other)));
    shown.sort_by(|one, other| one.path.cmp(&other.path));
    shown
}

fn words(wants: &BTreeSet<Want>) -> String {
    let word = |want: &Want| match want {
        Want::Know => "looked for",
        Want::Read => "opened for reading",
        Want::Run => "run",
    };
    // Who opens a file has looked for it as well.
    let most = wants.iter().filter(|want| **want != Want::Know || wants.len() == 1);
    most.map(word).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Want, fewest};

    #[test]
    fn several_entries_become_their_directory_and_what_is_on_the_way_is_left_out() {
        let missing = [
            ("/srv", Want::Know),
            ("/srv/models", Want::Know),
            ("/srv/models/a", Want::Read),
            ("/srv/models/b", Want::Know),
            ("/opt/one", Want::Read),
            ("/opt/two", Want::Read),
            ("/etc/ld.so.cache", Want::Read),
            ("/etc/ssh/one", Want::Read),
            ("/etc/ssh/two", Want::Read),
        ];
        let missing = missing.map(|(path, want)| (path.into(), BTreeSet::from([want]))).into();
        let shown: Vec<String> = fewest(&missing).iter().map(|one| one.path.display().to_string()).collect();
        assert_eq!(shown, ["/etc/ssh/one", "/etc/ssh/two", "/opt/one", "/opt/two", "/srv/models"]);
        assert_eq!(fewest(&missing)[4].purpose, "opened for reading: a, b");
    }
}
