//! Looks at this host for the locks and builds of a policy's runtimes, and takes in what they say.

use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use super::digest::{BuildId, build_id};
use super::facts::{self, Base, Manifest, NoFacts, minor};
use super::known::{Known, Looked};
use super::lock::Lock;
use super::tree::{LOCK, PACKAGES, at_fault};
use super::warmed;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::keys::{runtime, supervisor};
use crate::read::{Tables, Values};

/// Where a tree is shown to jobs.
const USR: &str = "/usr";

/// Whose a build has to be.
const ROOT: u32 = 0;

/// Why a runtime cannot have its packages: what is wrong, the label of its place, and what to do.
type Lacking = (String, &'static str, String);

/// Looks, and reports what is not there or does not fit. `directory` is the policy's own.
pub(crate) fn look(tables: &Tables, directory: &Path, problems: &mut Diagnostics) -> Looked {
    let store = Path::new(tables.supervisor.of(supervisor::RUNTIMES));
    let mut looked = Looked::default();
    for (name, values) in &tables.runtimes {
        let place = values.span(runtime::PACKAGES).unwrap_or_else(|| values.place(runtime::MOUNTS));
        match known(name, values, directory, store) {
            Ok(Some(known)) => {
                outdated(name, &known, place, problems);
                looked.known.insert(name.clone(), known);
            }
            Ok(None) => {}
            Err(lacking) => problems.push(told(place, lacking)),
        }
    }
    warmed::check(tables, &looked, problems);
    looked
}

/// A lock of what is no longer asked for. Where that cannot be read, it need not be there at all.
fn outdated(name: &str, known: &Known, place: Range<usize>, problems: &mut Diagnostics) {
    let (Some(file), Some(input)) = (&known.file, &known.input) else { return };
    let Ok(text) = facts::text(file) else { return };
    let digest: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    if *input != format!("sha256:{digest}") {
        let message = format!("{} was changed since its lock was made", file.display());
        let help = format!("what holds is the lock; cloister runtime lock {name} makes it anew");
        problems.push(Diagnostic::warning(place, message, "not what is locked").help(help));
    }
}

fn told(place: Range<usize>, (message, label, help): Lacking) -> Diagnostic {
    let problem = Diagnostic::error(place, message, label);
    if help.is_empty() { problem } else { problem.help(help) }
}

/// What is known of a runtime; nothing of one whose base has no facts, if it needs none.
fn known(
    name: &str,
    values: &Values<runtime::Runtime>,
    directory: &Path,
    store: &Path,
) -> Result<Option<Known>, Lacking> {
    let tree = tree_of(values);
    let packages = values.of(runtime::PACKAGES);
    let (tree, base, text) = match (tree.map(|tree| (tree, Base::read(tree))), packages) {
        (Some((tree, Ok((base, text)))), _) => (tree, base, text),
        (None | Some((_, Err(NoFacts::Missing(_)))), None) => return Ok(None),
        (Some((_, Err(why))), None) => return Err((why.to_string(), "of this tree", String::new())),
        (None, Some(_)) => {
            let message =
                format!("the base of runtime {name:?} shows nothing at {USR}, where a Python with packages lies");
            return Err((message, "no base for packages", "let it mount a tree that has a base.json".to_owned()));
        }
        (Some((_, Err(why))), Some(_)) => {
            let message = format!("the base of runtime {name:?} does not say what it is: {why}");
            let help = "make runtime, or a newer package of Cloister, makes a tree that does".to_owned();
            return Err((message, "no base for packages", help));
        }
    };
    if packages.is_some() && !is_place(tree, &base.site) {
        let message = format!("{} of the base is no directory of its tree", base.site.display());
        return Err((message, "no place for packages", "make runtime makes the tree anew".to_owned()));
    }
    let of_base = Known {
        tree: tree.to_owned(),
        site: base.site.clone(),
        python: base.python.clone(),
        packages: base.packages.clone(),
        modules: base.modules.clone(),
        forked: base.modules.clone(),
        file: None,
        input: None,
        build: None,
    };
    let Some(file) = packages else { return Ok(Some(of_base)) };
    let file = directory.join(file);
    let (lock, id) = lock(name, &file, &base, &text)?;
    let build = store.join(id.as_str());
    let manifest = built(name, &build, &lock, &base)?;
    let forked = manifest.modules.iter().filter(|module| module.forked).map(|module| module.name.clone()).collect();
    let modules = manifest.modules.into_iter().map(|module| module.name).collect();
    let (packages, input) = (lock.0.packages, Some(lock.0.input));
    Ok(Some(Known { packages, input, modules, forked, file: Some(file), build: Some((id, build)), ..of_base }))
}

/// The tree of a runtime's base: what is shown at `/usr` lies in it.
pub(crate) fn tree_of(values: &Values<runtime::Runtime>) -> Option<&Path> {
    let mounts = values.of(runtime::MOUNTS).unwrap_or_default();
    mounts.iter().find(|item| item.value.inside == Path::new(USR))?.value.host.parent()
}

/// Whether a base has the directory that packages are to be mounted over.
fn is_place(tree: &Path, site: &Path) -> bool {
    let down = site.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    let inner = site.strip_prefix("/").ok().filter(|_| down && site.starts_with(USR) && site != Path::new(USR));
    inner.is_some_and(|inner| tree.join(inner).is_dir())
}

/// The lock of what a runtime is to have, with its text, and the build that is of it.
fn lock(name: &str, file: &Path, base: &Base, base_text: &str) -> Result<((Lock, String), BuildId), Lacking> {
    let again = format!("cloister runtime lock {name}");
    let path = lock_path(file);
    let text = facts::text(&path).map_err(|why| match why {
        NoFacts::Missing(path) => (
            format!("runtime {name:?} has no lock: {} is not there", path.display()),
            "not locked",
            format!("{again} makes it, cloister runtime build {name} what it says"),
        ),
        why => (why.to_string(), "not locked", "it has to be for everybody to read: chmod o+r".to_owned()),
    })?;
    let wrong = |why: &dyn std::fmt::Display| {
        (format!("{} is no lock: {why}", path.display()), "not locked", format!("{again} makes it anew"))
    };
    let lock = Lock::parse(&text).map_err(|why| wrong(&why))?;
    if lock.python != minor(&base.python) {
        let message = format!(
            "{} was made for Python {}, and its base is Python {}",
            path.display(),
            lock.python,
            minor(&base.python)
        );
        return Err((message, "for another Python", format!("{again} makes it anew")));
    }
    let id = build_id(&text, base_text);
    Ok(((lock, text), id))
}

/// What the build of a lock says of itself, if it is there, whole, of that lock, and nobody's but root's.
fn built(name: &str, build: &Path, (lock, text): &(Lock, String), base: &Base) -> Result<Manifest, Lacking> {
    let again = format!("cloister runtime build {name}");
    if !build.is_dir() {
        let message = format!("the packages of runtime {name:?} are not built: {} is not there", build.display());
        return Err((message, "not built", again));
    }
    let unfit = |why: String| {
        let help = format!("remove {}, and {again}", build.display());
        (format!("the packages of runtime {name:?} cannot be used: {why}"), "not fit for use", help)
    };
    if let Some(why) = at_fault(build, ROOT) {
        return Err(unfit(why));
    }
    let manifest = Manifest::read(build).map_err(|why| unfit(why.to_string()))?;
    let copy = facts::text(&build.join(LOCK)).map_err(|why| unfit(why.to_string()))?;
    let mut packages = manifest.packages.clone();
    packages.sort();
    if copy != *text || packages != lock.packages || manifest.python != base.python {
        return Err(unfit(format!("what is in {} does not fit its lock", build.display())));
    }
    if !build.join(PACKAGES).is_dir() {
        return Err(unfit(format!("{} has no {PACKAGES}", build.display())));
    }
    Ok(manifest)
}

/// The lock of a file, beside it.
pub(crate) fn lock_path(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".lock");
    PathBuf::from(path)
}
