//! `build`: what a lock says, installed into a directory of its own, compiled, and each module imported once in a sandbox.
//!
//! Nothing of a package runs while it is built: it is unpacked, by digest, by uv, which is held; compiled, by the base's
//! interpreter, shut in; and imported where scripts are. Then it gets its name, and is there.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cloister_policy::packages::{
    Base, BuildId, LOCK, Lock, MANIFEST, Manifest, PACKAGES, Packaged, at_fault, build_id,
};
use cloister_policy::{Bytes, Checked};
use cloister_supervisor::reader::reader;
use serde_json::{Value as Json, json};

use super::error::{Doing, Error};
use super::file::replace;
use super::progress::tell;
use super::store::{New, Store, taken};
use super::table::table;
use super::uv::Uv;
use super::wanted::wanted;
use super::{args, compile, settle, trial};

/// Whose builds are.
pub const ROOT: u32 = 0;

/// What was built, or was there.
#[derive(Debug)]
pub struct Built {
    name: String,
    id: BuildId,
    path: PathBuf,
    manifest: Manifest,
    anew: bool,
}

/// Builds what each of the runtimes' locks says.
pub fn build(checked: &Checked, arguments: &args::Build) -> Result<Vec<Built>, Error> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::NotRoot("cloister runtime build"));
    }
    let store = Store::open(checked.store())?;
    let builder = Builder { checked, store: &store, most: arguments.most, policy: &arguments.common.policy };
    wanted(checked, &arguments.names)?.iter().map(|runtime| builder.one(runtime)).collect()
}

struct Builder<'a> {
    checked: &'a Checked,
    store: &'a Store,
    most: Bytes,
    policy: &'a Path,
}

impl Builder<'_> {
    fn one(&self, runtime: &Packaged) -> Result<Built, Error> {
        let name = &runtime.name;
        let (base, base_text) = runtime.base_facts()?;
        let text = runtime.lock_text()?;
        let lock = Lock::parse(&text).map_err(|why| Error::Lock(runtime.lock.clone(), why))?;
        let id = build_id(&text, &base_text);
        let path = self.store.build(&id);
        let _held = self.store.lock(&id, || tell(format_args!("{name}: waiting for another build of it to end")))?;
        if path.exists() {
            return self.there(name, id, path);
        }
        if lock.python != base.minor() {
            return Err(Error::OtherPython(runtime.lock.clone(), lock.python, base.minor()));
        }
        let new = self.store.make()?;
        let packages = new.path().join(PACKAGES);
        // What was checked is what is installed: the operator's own may change meanwhile.
        write(&new.path().join(LOCK), &text)?;
        self.install(name, &base, &lock, &new)?;
        self.compile(name, runtime, &base, &lock, &new)?;
        let modules = settle::modules(&packages)?;
        tell(format_args!("{name}: importing {} modules, each in a sandbox", modules.len()));
        let modules = trial::run(self.policy, name, &packages, &base.site, &modules)?;
        let manifest = Manifest {
            base: runtime.base.clone(),
            python: base.python,
            packages: lock.packages,
            modules,
            bytes: taken(&packages).0,
            made: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        };
        write_manifest(new.path(), &manifest)?;
        if let Some(why) = at_fault(new.path(), ROOT) {
            return Err(Error::Unfit(id, why, self.store.path().to_owned()));
        }
        new.finish(&path)?;
        Ok(Built { name: name.clone(), id, path, manifest, anew: true })
    }

    /// One that is there already.
    fn there(&self, name: &str, id: BuildId, path: PathBuf) -> Result<Built, Error> {
        if let Some(why) = at_fault(&path, ROOT) {
            return Err(Error::Unfit(id, why, path));
        }
        let manifest = Manifest::read(&path)?;
        Ok(Built { name: name.to_owned(), id, path, manifest, anew: false })
    }

    fn install(&self, name: &str, base: &Base, lock: &Lock, new: &New) -> Result<(), Error> {
        let packages = new.path().join(PACKAGES);
        let uv = Uv::find(self.store)?;
        tell(format_args!("{name}: installing {} packages for Python {}", lock.packages.len(), base.python));
        let plain = ["--require-hashes", "--no-deps", "--link-mode", "copy", "--python-version", &base.python];
        let mut options: Vec<std::ffi::OsString> = vec!["install".into(), "--target".into(), packages.clone().into()];
        options.extend(["-r".into(), new.path().join(LOCK).into_os_string()]);
        options.extend(plain.map(Into::into));
        options.extend(["--python-platform".into(), lock.platform.clone().into()]);
        // A build of nothing is one too: the base without its packages.
        fs::create_dir_all(&packages).doing(|| format!("make {}", packages.display()))?;
        if !lock.packages.is_empty() {
            // What others have built does not change by it, and is measured once.
            let own = || taken(new.path()).0 + taken(&self.store.cache()).0;
            let rest = self.store.taken().0.saturating_sub(own());
            uv.pip(options, new.path(), || self.allow(rest.saturating_add(own())))?;
        }
        settle::trim(&packages)?;
        settle::check(&packages, lock)
    }

    fn allow(&self, taken: u64) -> Result<(), Error> {
        let is_within = taken <= self.most.0;
        is_within.then_some(()).ok_or_else(|| Error::TooMuch(self.store.path().to_owned(), self.most))
    }

    fn compile(&self, name: &str, runtime: &Packaged, base: &Base, lock: &Lock, new: &New) -> Result<(), Error> {
        tell(format_args!("{name}: compiling"));
        let (packages, root) = (new.path().join(PACKAGES), new.path().join("root"));
        fs::create_dir(&root).doing(|| format!("make {}", root.display()))?;
        // For as long as it compiles it is the compiler's, who is nobody.
        let id = reader();
        settle::settle(&packages, id.0)?;
        let of_policy = &self.checked.policy.runtimes[name];
        compile::run(&runtime.tree, base, of_policy, &packages, &root, id.0)?;
        fs::remove_dir(&root).doing(|| format!("remove {}", root.display()))?;
        settle::check(&packages, lock)?;
        settle::settle(new.path(), ROOT)?;
        self.allow(self.store.taken().0)
    }
}

/// Writes what is known of a build, whole or not at all.
pub fn write_manifest(build: &Path, manifest: &Manifest) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(manifest).expect("numbers and texts have a form in JSON");
    replace(&build.join(MANIFEST), &(text + "\n"))
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    let written = fs::write(path, text).and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o644)));
    written.doing(|| format!("write {}", path.display()))
}

impl Built {
    /// For people.
    pub fn words(&self) -> String {
        let Self { name, path, manifest, anew, .. } = self;
        let (count, size) = (manifest.packages.len(), mebibytes(manifest.bytes));
        let was = if *anew { "is built" } else { "was there" };
        let mut text = format!("{name}: {} {was}: {count} packages, {size}\n", path.display());
        if *anew {
            text += &table(&manifest.modules);
        }
        text + "next: systemctl reload cloister-supervisor, which puts it in force\n"
    }

    /// For machines.
    pub fn json(&self) -> Json {
        let Self { name, id, path, manifest, anew } = self;
        json!({ "runtime": name, "build": id.as_str(), "path": path.display().to_string(), "new": anew, "has": manifest })
    }
}

/// A size in the unit that builds have.
pub fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}
