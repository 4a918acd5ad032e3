//! A file that is there whole, or as it was.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::{Doing, Error};

/// For everybody to read: jobs run as nobody.
const MODE: u32 = 0o644;

/// Puts a text in the place of what a file holds, or makes it.
pub fn replace(path: &Path, text: &str) -> Result<(), Error> {
    put(path, text).doing(|| format!("write {}", path.display()))
}

fn put(path: &Path, text: &str) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    // What was left there, whatever it is, is not written to.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::replace;

    #[test]
    fn a_link_that_was_left_beside_a_file_is_not_followed() {
        let place = std::env::temp_dir().join(format!("runtime-file-{}", std::process::id()));
        fs::create_dir_all(&place).expect("writable");
        let (file, other) = (place.join("a.lock"), place.join("other"));
        fs::write(&other, "as it was").expect("writable");
        symlink(&other, place.join("a.lock.new")).expect("writable");
        replace(&file, "new").expect("writable");
        let read = |path| fs::read_to_string(path).expect("there");
        assert_eq!((read(&file), read(&other)), ("new".to_owned(), "as it was".to_owned()));
        fs::remove_dir_all(place).expect("made above");
    }
}
