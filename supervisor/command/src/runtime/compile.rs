//! The compilation of a build's modules, by the interpreter that will run them, which sees its own tree and the packages and
//! nothing else, has no network, and is nobody.

use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use cloister_policy::packages::Base;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid, chdir, chroot, setgroups, setresgid, setresuid};

use super::args::{self, COMPILE};
use super::error::Error;
use super::parent::{self, end_with};

/// What the interpreter runs.
const SCRIPT: &str = include_str!("compile.py");

/// This program, which shuts it in.
const OWN: &str = "/proc/self/exe";

/// What no package takes.
const LIMITS: [(Resource, u64); 4] = [
    (Resource::RLIMIT_CORE, 0),
    (Resource::RLIMIT_FSIZE, 256 << 20),
    (Resource::RLIMIT_CPU, 1200),
    (Resource::RLIMIT_AS, 8 << 30),
];

/// Why it was not started.
#[derive(Debug, thiserror::Error)]
pub enum NotShutIn {
    #[error("{0}: {1}")]
    Kernel(&'static str, nix::Error),
    #[error("{0}")]
    File(#[from] std::io::Error),
}

/// Compiles the packages at `packages`, which have to be the account's of this id.
pub fn run(
    tree: &Path,
    base: &Base,
    runtime: &cloister_policy::Runtime,
    packages: &Path,
    root: &Path,
    id: u32,
) -> Result<(), Error> {
    let links = runtime.links.iter().map(|(name, target)| format!("--link={name}={}", target.display()));
    let mut command = Command::new(OWN);
    command.args(["runtime", COMPILE, "--usr"]).arg(tree.join("usr")).arg("--packages").arg(packages);
    command.arg("--site").arg(&base.site).arg("--root").arg(root).arg("--interpreter").arg(&runtime.interpreter);
    command.args(links).args(["--id", &id.to_string(), parent::OPTION, &parent::own()]);
    let said = command.stdin(Stdio::null()).output().map_err(|error| Error::Compile(error.to_string()))?;
    if said.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&said.stderr);
    let last = words.lines().rev().find(|line| !line.is_empty()).unwrap_or_default();
    Err(Error::Compile(format!("{} ({})", last.trim(), said.status)))
}

/// Becomes the interpreter, shut in.
///
/// # Errors
/// What kept it from starting.
pub fn compile(arguments: &args::Compile) -> Result<Infallible, NotShutIn> {
    let args::Compile { usr, packages, site, root, interpreter, link, id, parent } = arguments;
    let kernel = |what: &'static str| move |error: nix::Error| NotShutIn::Kernel(what, error);
    let none: Option<&Path> = None;
    let own = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    unshare(own).map_err(kernel("leave the host's namespaces"))?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).map_err(kernel("keep mounts apart"))?;
    mount(Some("none"), root, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, none)
        .map_err(kernel("mount a root"))?;
    show(usr, &root.join("usr"), true).map_err(kernel("show the base"))?;
    let inner = root.join(site.strip_prefix("/").unwrap_or(site));
    show(packages, &inner, false).map_err(kernel("show the packages"))?;
    for (name, target) in link.iter().filter_map(|link| link.split_once('=')) {
        symlink(target, root.join(name))?;
    }
    chroot(root).map_err(kernel("chroot"))?;
    chdir("/").map_err(kernel("chdir"))?;
    setgroups(&[]).map_err(kernel("setgroups"))?;
    let (uid, gid) = (Uid::from_raw(*id), Gid::from_raw(*id));
    setresgid(gid, gid, gid).map_err(kernel("setresgid"))?;
    setresuid(uid, uid, uid).map_err(kernel("setresuid"))?;
    end_with(*parent).map_err(kernel("end with its parent"))?;
    prctl::set_no_new_privs().map_err(kernel("gain no privilege"))?;
    for (resource, most) in LIMITS {
        setrlimit(resource, most, most).map_err(kernel("set limits"))?;
    }
    let workers = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    // Without `site`, for that runs what a package may put into files of paths.
    let options = ["-I", "-S", "-B", "-X", "utf8", "-c", SCRIPT];
    Err(Command::new(interpreter).env_clear().args(options).arg(site).arg(workers).exec().into())
}

/// Shows a directory at a place.
fn show(what: &Path, place: &Path, read_only: bool) -> nix::Result<()> {
    let none: Option<&Path> = None;
    let _ = fs::create_dir_all(place);
    mount(Some(what), place, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)?;
    let only = if read_only { MsFlags::MS_RDONLY } else { MsFlags::empty() };
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | only;
    mount(none, place, none, flags, none)
}
