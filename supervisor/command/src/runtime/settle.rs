//! What an installation has left: whether it is what the lock says and nothing that no package has, and whose it is from now on.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use cloister_policy::packages::Lock;
use cloister_policy::{Package, is_module};

use super::error::{Doing, Error};

/// What ends the name of the directory in which a package says what it is.
const INFO: &str = ".dist-info";

/// What no sandbox has use for: programs, for a script runs none, and the installer's own.
const OF_NO_USE: [&str; 3] = ["bin", ".lock", "scratch"];

/// Where an interpreter keeps what it compiled.
const CACHE: &str = "__pycache__";

/// Files by which a directory holds modules.
const MODULES: [&str; 2] = [".py", ".so"];

/// Removes what is of no use.
pub fn trim(packages: &Path) -> Result<(), Error> {
    for name in OF_NO_USE {
        let path = packages.join(name);
        let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match gone {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).doing(|| format!("remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Refuses what is installed and is not what the lock says, or is no plain file.
pub fn check(packages: &Path, lock: &Lock) -> Result<(), Error> {
    let locked: BTreeSet<&str> = lock.packages.iter().map(|package| &*package.name).collect();
    let installed = installed(packages)?;
    let installed: BTreeSet<&str> = installed.iter().map(String::as_str).collect();
    if let Some(odd) = locked.symmetric_difference(&installed).next() {
        let why = if locked.contains(odd) {
            "is in the lock and was not installed"
        } else {
            "was installed and is not in the lock"
        };
        return Err(Error::Installed(format!("{odd} {why}")));
    }
    for path in all(packages)? {
        let metadata = fs::symlink_metadata(&path).doing(|| format!("look at {}", path.display()))?;
        if !metadata.is_file() && !metadata.is_dir() {
            let inner = path.strip_prefix(packages).unwrap_or(&path).display();
            return Err(Error::Installed(format!(
                "{inner} is neither a file nor a directory, and nothing else is a package's"
            )));
        }
    }
    Ok(())
}

/// Gives all of it to an account, with modes by which it alone may write and nothing runs as another.
pub fn settle(directory: &Path, id: u32) -> Result<(), Error> {
    for path in std::iter::once(directory.to_owned()).chain(all(directory)?) {
        let doing = || format!("settle the mode of {}", path.display());
        lchown(&path, Some(id), Some(id)).doing(doing)?;
        let metadata = fs::symlink_metadata(&path).doing(doing)?;
        if metadata.is_symlink() {
            continue;
        }
        let runs = metadata.is_dir() || metadata.permissions().mode() & 0o100 != 0;
        fs::set_permissions(&path, Permissions::from_mode(if runs { 0o755 } else { 0o644 })).doing(doing)?;
    }
    Ok(())
}

/// The top-level modules: files, and directories that hold some, whose names a script can write down.
pub fn modules(packages: &Path) -> Result<Vec<String>, Error> {
    let mut modules = BTreeSet::new();
    for entry in fs::read_dir(packages).doing(|| format!("read {}", packages.display()))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_directory = entry.path().is_dir();
        let module = if is_directory { Some(&*name).filter(|_| holds(&entry.path())) } else { named(&name) };
        modules.extend(module.filter(|module| *module != CACHE && is_module(module)).map(str::to_owned));
    }
    Ok(modules.into_iter().collect())
}

/// The module that a file is.
fn named(file: &str) -> Option<&str> {
    MODULES.iter().any(|end| file.ends_with(end)).then(|| file.split('.').next()).flatten()
}

/// Whether there are modules in a directory, or in one in it.
fn holds(directory: &Path) -> bool {
    let entries: Vec<PathBuf> =
        fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    let is_one = |path: &PathBuf| named(&path.file_name().unwrap_or_default().to_string_lossy()).is_some();
    entries.iter().any(|path| path.is_file() && is_one(path)) || entries.iter().any(|path| path.is_dir() && holds(path))
}

/// The packages that say that they are here.
fn installed(packages: &Path) -> Result<Vec<String>, Error> {
    let entries = fs::read_dir(packages).doing(|| format!("read {}", packages.display()))?.flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let name = |info: String| Some(Package::normalized(info.strip_suffix(INFO)?.rsplit_once('-')?.0));
    Ok(names.filter_map(name).collect())
}

/// All that is below a directory, whatever it is.
fn all(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let (mut found, mut waiting) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).doing(|| format!("read {}", directory.display()))? {
            let entry = entry.doing(|| format!("read {}", directory.display()))?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use cloister_policy::packages::Lock;

    use super::{check, modules, trim};

    fn place(name: &str, files: &[&str]) -> PathBuf {
        let path = std::env::temp_dir().join(format!("runtime-settle-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        for file in files {
            fs::create_dir_all(path.join(file).parent().expect("in here")).expect("writable");
            fs::write(path.join(file), "").expect("writable");
        }
        path
    }

    #[test]
    fn modules_are_what_a_script_can_import() {
        let place = place(
            "modules",
            &[
                "six.py",
                "yaml/__init__.py",
                "_yaml.cpython-311-x86_64-linux-gnu.so",
                "numpy.libs/libx.so.1",
                "google/inner/x.py",
                "share/doc/readme",
                "a-b/x.py",
                "x.pth",
                "six-1.dist-info/RECORD",
                "__pycache__/six.pyc",
                "bin/tool.py",
                ".lock",
            ],
        );
        trim(&place).expect("writable");
        assert_eq!(modules(&place).expect("read"), ["_yaml", "google", "six", "yaml"]);
        fs::remove_dir_all(place).expect("made above");
    }

    #[test]
    fn what_is_installed_is_what_the_lock_says() {
        let place = place("check", &["python_dateutil-2.9.dist-info/RECORD", "six-1.17.0.dist-info/RECORD", "six.py"]);
        let hash = format!("--hash=sha256:{}", "0a".repeat(32));
        let lock = |lines: &str| Lock::parse(&format!("{}{lines}", Lock::head("3.11", "x", "0"))).expect("a lock");
        let both = lock(&format!("six==1.17.0 {hash}\npython-dateutil==2.9 {hash}\n"));
        assert!(check(&place, &both).is_ok());
        let said = |lock: &Lock| check(&place, lock).expect_err("not that").to_string();
        assert_eq!(
            said(&lock(&format!("six==1.17.0 {hash}\n"))),
            "python-dateutil was installed and is not in the lock"
        );
        assert!(
            said(&lock(&format!("six==1 {hash}\npython-dateutil==2 {hash}\nx==1 {hash}\n")))
                .starts_with("x is in the lock")
        );
        symlink("/etc", place.join("etc")).expect("writable");
        assert!(said(&both).starts_with("etc is neither a file nor a directory"), "{}", said(&both));
        fs::remove_dir_all(place).expect("made above");
    }
}
