//! Where events go: a file that may be moved away at any time, which is then made anew, or standard output.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

/// The owner writes, the group reads.
const MODE: u32 = 0o640;

/// What `--usage` is for standard output.
const STANDARD_OUTPUT: &str = "-";

/// One of them.
#[derive(Debug)]
pub enum Sink {
    /// A file.
    File(PathBuf, File),
    /// Standard output.
    Output(io::Stdout),
}

impl Sink {
    /// Opens what is named.
    ///
    /// # Errors
    /// It is no file, or cannot be appended to.
    pub fn open(name: &Path) -> io::Result<Self> {
        if is_output(name) {
            return Ok(Self::Output(io::stdout()));
        }
        Ok(Self::File(name.to_owned(), append(name)?))
    }

    /// Appends to it; how much is written is counted in `done`. Half a line is taken back, where that is possible.
    ///
    /// # Errors
    /// Not all of it could be.
    pub fn write(&mut self, bytes: &[u8], done: &mut usize) -> io::Result<()> {
        let written = self.write_on(bytes, done);
        if let (Err(_), Self::File(_, file)) = (&written, &*self)
            && let Some(before) = file.metadata()?.len().checked_sub(*done as u64)
            && file.set_len(before).is_ok()
        {
            *done = 0;
        }
        written
    }

    fn write_on(&mut self, bytes: &[u8], done: &mut usize) -> io::Result<()> {
        while *done < bytes.len() {
            let written = match self {
                Self::File(_, file) => file.write(&bytes[*done..]),
                Self::Output(output) => {
                    output.write(&bytes[*done..]).and_then(|written| output.flush().map(|()| written))
                }
            };
            match written {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => *done += written,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Goes on in another file where this one was moved away. Never in the midst of a line.
    ///
    /// # Errors
    /// There is none to go on in.
    pub fn follow(&mut self) -> io::Result<()> {
        let Self::File(path, file) = self else { return Ok(()) };
        let own = file.metadata()?;
        if fs::symlink_metadata(&*path).is_ok_and(|found| (found.dev(), found.ino()) == (own.dev(), own.ino())) {
            return Ok(());
        }
        *file = append(path)?;
        tracing::info!("the file of usage events was moved away: they go on in another");
        Ok(())
    }

    /// Has the disk have what was written.
    ///
    /// # Errors
    /// It has not.
    pub fn sync(&self) -> io::Result<()> {
        match self {
            Self::File(_, file) => file.sync_data(),
            Self::Output(_) => Ok(()),
        }
    }
}

/// Whether events are to go to standard output.
pub fn is_output(name: &Path) -> bool {
    name == Path::new(STANDARD_OUTPUT)
}

/// Opens a file at its end, which is that of a line: half a one is what a machine leaves that fails.
fn append(path: &Path) -> io::Result<File> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let mut file = File::options().read(true).append(true).create(true).mode(MODE).custom_flags(flags).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    if let Some(last) = found.len().checked_sub(1) {
        let mut byte = [0];
        file.read_exact_at(&mut byte, last)?;
        if byte != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}
