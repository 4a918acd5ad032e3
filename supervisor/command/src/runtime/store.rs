//! The store: a directory for each build, and what is being made, apart until it is complete.
//!
//! A build has its name when it is whole and not before: it is made in a directory beside, which is renamed when all of it is
//! there. What a process leaves that was killed meanwhile is found by its lock, which is nobody's any more, and removed by the next.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use cloister_policy::Bytes;
use cloister_policy::packages::BuildId;

use cloister_program::changeable_above;

use super::error::{Doing, Error};

/// What begins the name of a directory in which something is being made, or that is being removed.
const NEW: &str = ".new-";

/// What was fetched, to be fetched once.
const CACHE: &str = ".cache";

/// Programs.
const TOOLS: &str = ".tools";

/// The store of a policy.
#[derive(Debug)]
pub struct Store(PathBuf);

/// A directory in which something is made. Dropped, it is removed.
#[derive(Debug)]
pub struct New {
    path: PathBuf,
    _held: File,
}

impl Store {
    /// The store at a path, made if it is not there; refused, if others than this account and root could change what is in it.
    pub fn open(path: PathBuf) -> Result<Self, Error> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(&path);
        made.doing(|| format!("make the store {}", path.display()))?;
        Self::at(path)
    }

    /// The one at a path, whether it is there or not.
    pub fn at(path: PathBuf) -> Result<Self, Error> {
        let doing = || format!("look at the store {}", path.display());
        let metadata = match fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self(path)),
            metadata => metadata.doing(doing)?,
        };
        let own = nix::unistd::geteuid().as_raw();
        let untrusted = |why: String| Err(Error::Untrusted(path.clone(), why));
        match changeable_above(&path).doing(doing)? {
            _ if metadata.uid() != 0 && metadata.uid() != own => {
                untrusted(format!("it belongs to uid {}", metadata.uid()))
            }
            _ if metadata.mode() & 0o022 != 0 => untrusted("others may write to it".to_owned()),
            Some(above) => untrusted(format!("others could put another in its place in {}", above.display())),
            None => Ok(Self(path)),
        }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where a build lies, or would.
    pub fn build(&self, id: &BuildId) -> PathBuf {
        self.0.join(id.as_str())
    }

    /// What was fetched.
    pub fn cache(&self) -> PathBuf {
        self.0.join(CACHE)
    }

    /// Programs that were fetched.
    pub fn tools(&self) -> PathBuf {
        self.0.join(TOOLS)
    }

    /// Every build.
    pub fn builds(&self) -> Vec<BuildId> {
        let names = fs::read_dir(&self.0).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let mut builds: Vec<_> = names.filter_map(|name| BuildId::of(name.to_str()?)).collect();
        builds.sort();
        builds
    }

    /// A new directory, after what others have left was removed.
    pub fn make(&self) -> Result<New, Error> {
        // While this is held nobody takes what has its name and not yet its lock for left behind.
        let _all = self.lock_file(".lock", || ())?;
        self.clean()?;
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
            .map_err(|error| Error::File("make a name".to_owned(), error.into()))?;
        let path = self.0.join(format!("{NEW}{:016x}", u64::from_ne_bytes(random)));
        fs::DirBuilder::new().mode(0o755).create(&path).doing(|| format!("make {}", path.display()))?;
        let held = File::open(&path).and_then(|held| held.lock().map(|()| held));
        Ok(New { _held: held.doing(|| format!("lock {}", path.display()))?, path })
    }

    /// Removes what nobody holds.
    fn clean(&self) -> Result<(), Error> {
        for entry in fs::read_dir(&self.0).doing(|| format!("read {}", self.0.display()))?.flatten() {
            if !entry.file_name().to_string_lossy().starts_with(NEW) {
                continue;
            }
            let path = entry.path();
            let left = File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
            if left {
                fs::remove_dir_all(&path).doing(|| format!("remove {}, which was left behind", path.display()))?;
            }
        }
        Ok(())
    }

    /// Waits until nobody else makes or removes a build; says so, if somebody does.
    pub fn lock(&self, id: &BuildId, waiting: impl FnOnce()) -> Result<File, Error> {
        self.lock_file(&format!(".{id}.lock"), waiting)
    }

    fn lock_file(&self, name: &str, waiting: impl FnOnce()) -> Result<File, Error> {
        let path = self.0.join(name);
        let doing = || format!("lock {}", path.display());
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path).doing(doing)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock().doing(doing)?;
            }
            Err(TryLockError::Error(error)) => return Err(error).doing(doing),
        }
        Ok(file)
    }

    /// Removes a build: all of it at once for who looks for it.
    pub fn remove(&self, id: &BuildId) -> Result<(), Error> {
        let gone = self.make()?;
        let path = self.build(id);
        fs::rename(&path, gone.path.join("gone")).doing(|| format!("remove {}", path.display()))
    }

    /// What all of it takes on disk.
    pub fn taken(&self) -> Bytes {
        taken(&self.0)
    }
}

impl New {
    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it what it is to be, whole and on disk.
    pub fn finish(self, to: &Path) -> Result<(), Error> {
        let doing = || format!("put {} in its place", to.display());
        rustix::fs::syncfs(&self._held).map_err(std::io::Error::from).doing(doing)?;
        fs::rename(&self.path, to).doing(doing)?;
        let store = to.parent().map(File::open).transpose().doing(doing)?;
        store.map_or(Ok(()), |store| store.sync_all()).doing(doing)
    }
}

impl Drop for New {
    fn drop(&mut self) {
        // What is finished is here no more.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// What a directory takes on disk.
pub fn taken(path: &Path) -> Bytes {
    let mut all = 0;
    let mut waiting = vec![path.to_owned()];
    while let Some(path) = waiting.pop() {
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        all += metadata.blocks() * 512;
        if metadata.is_dir() {
            waiting.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
    }
    Bytes(all)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Store;
    use cloister_policy::packages::build_id;

    #[test]
    fn what_is_not_finished_is_no_build_and_what_was_left_behind_goes() {
        let path = std::env::temp_dir().join(format!("runtime-store-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        let store = Store::open(path.clone()).expect("writable");
        fs::create_dir(path.join(".new-left")).expect("writable");
        let one = store.make().expect("made");
        assert!(!path.join(".new-left").exists() && store.builds().is_empty());
        let other = store.make().expect("made");
        assert!(one.path().exists(), "another took what is being made");
        drop(other);
        let id = build_id("a", "b");
        fs::write(one.path().join("lock"), "a").expect("writable");
        one.finish(&store.build(&id)).expect("renamed");
        assert_eq!(store.builds(), std::slice::from_ref(&id));
        store.remove(&id).expect("removed");
        let left: Vec<_> = fs::read_dir(&path).expect("there").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, [".lock"]);
        fs::remove_dir_all(path).expect("made above");
    }
}
