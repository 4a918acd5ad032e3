//! A directory for one socket, which whoever the gateway becomes can reach. Removed with the value.

use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, io, process};

/// The path of a socket that need not be there.
#[derive(Debug)]
pub struct Place(PathBuf);

impl Place {
    /// A new one.
    pub fn new() -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("cloister-outside-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = env::temp_dir().join(name);
        fs::create_dir(&directory)?;
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755))?;
        Ok(Self(directory.join("supervisor.sock")))
    }

    /// The directory itself.
    pub fn directory(&self) -> &Path {
        self.0.parent().unwrap_or(&self.0)
    }
}

impl Deref for Place {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(directory) = self.parent() {
            let _ = fs::remove_dir_all(directory);
        }
    }
}
