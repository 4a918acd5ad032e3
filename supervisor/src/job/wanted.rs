//! The files that a request asked for by their paths: found by what each pattern says of a name, with no name looked at
//! twice for one pattern, and none at all where the pattern says which.

use std::ffi::CString;

use cloister_protocol::{DEEPEST, Part, Pattern, is_hidden};
use rustix::fs::{AtFlags, Dir, FileType, statat};

use crate::job::returned::{At, Returned};
use crate::job::tree::open_directory;

/// One pattern being looked for.
struct Search<'a, 'b> {
    pattern: &'a Pattern,
    returned: &'a mut Returned<'b>,
}

/// Takes what a pattern names of a working directory; whether that is anything.
pub fn take(working_directory: Dir, pattern: &Pattern, returned: &mut Returned<'_>) -> bool {
    let mut search = Search { pattern, returned };
    let first = search.with_directories(1);
    search.directory(working_directory, At { prefix: "", depth: 0 }, first)
}

impl Search<'_, '_> {
    /// A set of places in the pattern, as bits, with those behind what may stand for no directory at all.
    fn with_directories(&self, mut places: u32) -> u32 {
        for (place, part) in self.pattern.parts().iter().enumerate() {
            if places & (1 << place) != 0 && *part == Part::Directories {
                places |= 1 << (place + 1);
            }
        }
        places
    }

    /// Of these places, those whose parts say this name: the places of what may follow.
    fn behind(&mut self, places: u32, name: &str) -> u32 {
        let parts = self.pattern.parts().iter().enumerate();
        let asked = parts.filter(|(place, _)| places & (1 << place) != 0);
        if !self.returned.may_match(asked.clone().map(|(_, part)| part.steps(name)).sum()) {
            return 0;
        }
        let said = asked.filter(|(_, part)| part.says(name));
        said.fold(0, |next, (place, part)| next | if *part == Part::Directories { 1 << place } else { 2 << place })
    }

    fn directory(&mut self, mut directory: Dir, at: At<'_>, places: u32) -> bool {
        let only = self.pattern.parts().get(places.trailing_zeros() as usize).filter(|_| places.is_power_of_two());
        let names = match only {
            Some(Part::Name(name)) => CString::new(name.as_str()).into_iter().collect(),
            _ => self.returned.names_in(&mut directory),
        };
        let mut any = false;
        for name in names {
            any |= self.entry(&directory, &name, at, places);
        }
        any
    }

    fn entry(&mut self, directory: &Dir, name: &CString, at: At<'_>, places: u32) -> bool {
        let text = name.to_string_lossy();
        let behind = self.behind(places, &text);
        let (Ok(directory), true) = (directory.fd(), behind != 0) else { return false };
        let parts = self.pattern.parts();
        let whole = behind & (1 << parts.len()) != 0;
        // A name that is not there is no news.
        let Ok(stat) = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else { return false };
        let is_directory = FileType::from_raw_mode(stat.st_mode).is_dir();
        // What ends in any directories means the files in them.
        let ends = parts.last() == Some(&Part::Directories) && places & (1 << (parts.len() - 1)) != 0;
        if whole || (ends && !is_directory && !is_hidden(&text)) {
            return self.returned.entry(directory, name, at, self.pattern.path().is_some());
        }
        if !is_directory || name.to_str().is_err() || at.depth >= DEEPEST {
            return false;
        }
        let Ok(inner) = open_directory(directory, name) else { return false };
        let places = self.with_directories(behind);
        self.directory(inner, At { prefix: &format!("{}{text}/", at.prefix), depth: at.depth + 1 }, places)
    }
}
