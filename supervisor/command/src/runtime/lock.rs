//! `lock`: which version of which package a runtime has, settled once and written beside what asks for it.

use std::fs;

use cloister_policy::Checked;
use cloister_policy::packages::{Lock, Packaged};
use serde_json::{Value as Json, json};

use super::args;
use super::error::{Doing, Error};
use super::file::replace;
use super::input;
use super::progress::tell;
use super::store::Store;
use super::uv::Uv;
use super::wanted::wanted;

/// The C libraries that wheels are sorted by, as uv knows them: 2.17 and later ones.
const LIBC: [u32; 12] = [17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40];

/// What was locked.
#[derive(Debug)]
pub struct Locked {
    name: String,
    path: String,
    lock: Lock,
    changes: Vec<(String, Option<String>, Option<String>)>,
}

/// Locks each of the runtimes.
pub fn lock(checked: &Checked, arguments: &args::Lock) -> Result<Vec<Locked>, Error> {
    let store = Store::open(checked.store())?;
    let all = wanted(checked, &arguments.names)?;
    let uv = Uv::find(&store)?;
    all.iter().map(|runtime| one(runtime, arguments, &store, &uv)).collect()
}

fn one(runtime: &Packaged, arguments: &args::Lock, store: &Store, uv: &Uv) -> Result<Locked, Error> {
    let input = input::read(&runtime.file)?;
    let (base, _) = runtime.base_facts()?;
    let platform = platform(&base.libc);
    tell(format_args!("{}: resolving {} for Python {}", runtime.name, runtime.file.display(), base.python));
    let new = store.make()?;
    let resolved = new.path().join("resolved");
    let older = runtime.lock_text().ok();
    if let Some(older) = &older {
        // Whose versions stay, where they will do.
        fs::write(&resolved, older).doing(|| format!("write {}", resolved.display()))?;
    }
    let file = std::path::absolute(&runtime.file).doing(|| format!("find {}", runtime.file.display()))?;
    let mut options = vec!["compile".into(), file.into_os_string(), "-o".into(), resolved.clone().into()];
    let plain = [
        "--generate-hashes",
        "--no-header",
        "--quiet",
        "--python-version",
        &base.python,
        "--python-platform",
        &platform,
    ];
    options.extend(plain.map(Into::into));
    options.extend(arguments.upgrade.then(|| "--upgrade".into()));
    for package in &arguments.upgrade_package {
        options.extend(["--upgrade-package".into(), package.into()]);
    }
    uv.pip(options, new.path(), || Ok(()))?;
    let said = fs::read_to_string(&resolved).doing(|| format!("read {}", resolved.display()))?;
    let text = format!("{}{said}", Lock::head(&base.minor(), &platform, &input.digest));
    let lock = Lock::parse(&text).map_err(Error::Unlockable)?;
    let before = older.and_then(|text| Lock::parse(&text).ok());
    replace(&runtime.lock, &text)?;
    let none = Lock { packages: Vec::new(), ..lock.clone() };
    let changes = lock.changes(before.as_ref().unwrap_or(&none));
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let changes = changes.into_iter().map(|(name, old, new)| (name.to_owned(), owned(old), owned(new))).collect();
    Ok(Locked { name: runtime.name.clone(), path: runtime.lock.display().to_string(), lock, changes })
}

/// The words of wheels for Linux with this C library, or the newest before it that has some.
fn platform(libc: &str) -> String {
    let minor: u32 = libc.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(LIBC[0]);
    let known = LIBC.into_iter().rfind(|known| *known <= minor).unwrap_or(LIBC[0]);
    format!("x86_64-manylinux_2_{known}")
}

impl Locked {
    /// For people.
    pub fn words(&self) -> String {
        let Lock { python, platform, packages, .. } = &self.lock;
        let mut text = format!("{}: {} packages for Python {python} ({platform})\n", self.path, packages.len());
        for (name, old, new) in &self.changes {
            text += &match (old, new) {
                (None, new) => format!("  + {name} {}\n", new.as_deref().unwrap_or_default()),
                (old, None) => format!("  - {name} {}\n", old.as_deref().unwrap_or_default()),
                (Some(old), Some(new)) => format!("    {name} {old} -> {new}\n"),
            };
        }
        if self.changes.is_empty() {
            text += "  as before\n";
        }
        text + &format!("next: cloister runtime build {}\n", self.name)
    }

    /// For machines.
    pub fn json(&self) -> Json {
        let changes = self.changes.iter().map(|(name, old, new)| json!({ "name": name, "from": old, "to": new }));
        json!({
            "runtime": self.name, "lock": self.path, "python": self.lock.python, "platform": self.lock.platform,
            "packages": self.lock.packages, "changes": changes.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::platform;

    #[test]
    fn wheels_are_those_of_the_bases_c_library() {
        for (libc, word) in [("2.36", "2_36"), ("2.41", "2_40"), ("2.30", "2_28"), ("2.5", "2_17"), ("?", "2_17")] {
            assert_eq!(platform(libc), format!("x86_64-manylinux_{word}"));
        }
    }
}
