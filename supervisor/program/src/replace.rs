//! A file that is there whole, or as it was.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Puts a new file in the place of an old one, by rename, so that whoever reads it sees the old one or the new one, after a
/// failure of the machine too. Until `settle` says otherwise it is its owner's alone.
///
/// # Errors
/// What failed. What was there is there then.
pub fn replace_file(path: &Path, text: &str, settle: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    // What was left there, whatever it is, is not written to.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    settle(&file)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::replace_file;

    #[test]
    fn a_link_that_was_left_beside_a_file_is_not_followed() {
        let place = std::env::temp_dir().join(format!("program-replace-{}", std::process::id()));
        fs::create_dir_all(&place).expect("writable");
        let (file, other) = (place.join("a.lock"), place.join("other"));
        fs::write(&other, "as it was").expect("writable");
        symlink(&other, place.join("a.lock.new")).expect("writable");
        replace_file(&file, "new", |_| Ok(())).expect("writable");
        let read = |path| fs::read_to_string(path).expect("there");
        assert_eq!((read(&file), read(&other)), ("new".to_owned(), "as it was".to_owned()));
        fs::remove_dir_all(place).expect("made above");
    }
}
