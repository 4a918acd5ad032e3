//! The launcher's root file system, which holds what its cells are made from, and what it has in common with a cell's.
//!
//! Both are a tmpfs of our own in which only the runtime's paths appear. Nothing of the host's is
//! mounted that the policy does not name, and the host's tree is detached before anything else runs.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use cloister_terms::Mount;

use crate::devices::{LINKS, NODES, SHM};
use crate::error::{Context, Error, Result};
use crate::etc;
use crate::mount::{self, NODEV, NOEXEC, NOSUID, RDONLY};
use crate::overlay::{self, EMPTY, LOWER, Tree};
use crate::spec::Spec;
use crate::weaker::{Layer, Plan};

/// Where the launcher's root has the slots' own device nodes; no job sees another's.
pub(crate) const DEVICES: &str = "/lower/devices";

/// Moves the launcher into a root of its own. The runtime's paths lie where a job will see them,
/// `/proc` is whole (a job's is not), and `/cell` is empty. Returns what cells show of it. A copy is kept of an
/// interpreter that was opened before, and of the slots' own devices, if there are any.
///
/// # Errors
/// The step that failed.
pub fn enter_launcher_root(spec: &Plan, interpreter: Option<fs::File>, devices: Option<OwnedFd>) -> Result<Vec<Tree>> {
    mount::make_all_private()?;
    // Taken while the host can still be seen; the new root may cover any of it.
    let (mut trees, mut files) = (Vec::new(), Vec::new());
    let read_only = if spec.leaves_out(Layer::ReadOnlyRuntime) { 0 } else { RDONLY };
    for Mount { host, inside } in in_order(&shown(spec)) {
        let tree = mount::copy(&host)?;
        mount::restrict(&tree, read_only | NOSUID | NODEV)?;
        let is_directory = host.is_dir();
        if !is_directory {
            let (parent, name) = overlay::parent_of(&host)?;
            let parent = mount::copy_alone(&parent).map_err(|_| overlay::hides(&host, &parent))?;
            mount::restrict_alone(&parent, RDONLY | NOSUID | NODEV)?;
            files.push((inside.clone(), parent, name));
        }
        trees.push((tree, is_directory, inside));
    }
    let nodes = NODES.map(|name| mount::copy(&Path::new("/dev").join(name)));
    let devices = devices.map(own_devices).transpose()?;

    let stage = staging_directory()?;
    let root = mount::new("tmpfs", &small_tmpfs(256), NOSUID | NODEV)?;
    mount::attach(&root, stage)?;
    for directory in ["proc", "dev", "tmp", "cell", &EMPTY[1..]] {
        make_directory(&stage.join(directory))?;
    }
    let mut aside = Vec::new();
    for (number, (inside, parent, name)) in files.into_iter().enumerate() {
        let lower = Path::new(LOWER).join(number.to_string());
        attach_inside(stage, &lower, &parent, true)?;
        aside.push((inside, lower, name));
    }
    if let Some(mut interpreter) = interpreter {
        overlay::keep_interpreter(stage, &mut interpreter)?;
    }
    attach_devices(&stage.join("dev"), nodes)?;
    if let Some(devices) = devices {
        attach_inside(stage, Path::new(DEVICES), &devices, true)?;
    }
    for (tree, is_directory, inside) in trees {
        attach_inside(stage, &inside, &tree, is_directory)?;
    }
    make_links(stage, spec)?;
    etc::make_for_launcher(stage, spec)?;
    mount::attach(whole_proc()?, &stage.join("proc"))?;
    mount::restrict_alone(&root, RDONLY)?;
    mount::pivot_into(stage)?;
    overlay::trees(spec, aside)
}

pub(crate) fn whole_proc() -> Result<OwnedFd> {
    mount::new("proc", &[], NOSUID | NODEV | NOEXEC)
}

/// A `/proc` of processes alone, and of them only one's own: no kernel settings, no host statistics. proc(5).
pub(crate) fn proc_of_processes() -> Result<OwnedFd> {
    let options = [("subset", "pid".to_owned()), ("hidepid", "invisible".to_owned())];
    mount::new("proc", &options, NOSUID | NODEV | NOEXEC)
}

/// What of the host appears: the profile's mounts and nothing else.
pub(crate) fn shown(spec: &Plan) -> Vec<Mount> {
    let mut mounts = spec.mounts.clone();
    if spec.leaves_out(Layer::HostTree) {
        mounts.push(Mount { host: "/var".into(), inside: "/var".into() });
    }
    mounts
}

/// Every path that a job can read and not write, for the Landlock ruleset.
#[must_use]
pub fn read_only_paths(spec: &Spec) -> Vec<&Path> {
    spec.mounts.iter().map(|mount| mount.inside.as_path()).chain(etc::readable(spec)).collect()
}

/// What lies there: the profile's mounts, and the files that are made up.
#[must_use]
pub fn read_only_files(spec: &Spec) -> Vec<&Path> {
    spec.mounts.iter().map(|mount| mount.inside.as_path()).chain(etc::files(spec)).collect()
}

/// All slots' device nodes, in sets.
fn own_devices(directory: OwnedFd) -> Result<OwnedFd> {
    let devices = mount::copy_opened(directory)?;
    mount::restrict(&devices, RDONLY | NOSUID | NOEXEC)?;
    Ok(devices)
}

/// `/dev`: a read-only tmpfs that holds the nodes, an empty `shm`, and the usual links.
fn attach_devices(at: &Path, nodes: [Result<OwnedFd>; NODES.len()]) -> Result<()> {
    let dev = mount::new("tmpfs", &small_tmpfs(64), NOSUID | NOEXEC)?;
    mount::attach(&dev, at)?;
    make_directory(&at.join(SHM))?;
    for (name, device) in NODES.into_iter().zip(nodes) {
        let (path, device) = (at.join(name), device?);
        make_file(&path)?;
        mount::restrict(&device, RDONLY | NOSUID | NOEXEC)?;
        mount::attach(device, &path)?;
    }
    for (name, target) in LINKS {
        make_link(&at.join(name), Path::new(target))?;
    }
    mount::restrict_alone(&dev, RDONLY)
}

pub(crate) fn attach_inside(root: &Path, inside: &Path, tree: &OwnedFd, is_directory: bool) -> Result<()> {
    let target = staged(root, inside);
    make_place(&target, is_directory)?;
    mount::attach(tree, &target)
}

/// Where a path of a root lies while that is made.
pub(crate) fn staged(stage: &Path, inside: &Path) -> PathBuf {
    stage.join(inside.strip_prefix("/").unwrap_or(inside))
}

/// Makes what something can be mounted on.
pub(crate) fn make_place(path: &Path, is_directory: bool) -> Result<()> {
    if is_directory {
        return make_directory(path);
    }
    path.parent().map_or(Ok(()), make_directory)?;
    make_file(path)
}

pub(crate) fn make_links(root: &Path, spec: &Spec) -> Result<()> {
    spec.links.iter().try_for_each(|(name, target)| make_link(&root.join(name), target))
}

fn make_link(path: &Path, target: &Path) -> Result<()> {
    symlink(target, path).doing(|| format!("symlink {}", path.display()))
}

pub(crate) fn make_directory(path: &Path) -> Result<()> {
    fs::create_dir_all(path).doing(|| format!("mkdir {}", path.display()))
}

fn make_file(path: &Path) -> Result<()> {
    match fs::File::create_new(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(error).doing(|| format!("create {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Parents before what lies in them, so that a mount never hides one that was made earlier.
pub(crate) fn in_order(mounts: &[Mount]) -> Vec<Mount> {
    let mut mounts = mounts.to_vec();
    mounts.sort_by(|one, other| one.inside.cmp(&other.inside));
    mounts
}

/// A directory that any host has, covered in this mount namespace only.
fn staging_directory() -> Result<&'static Path> {
    ["/tmp", "/run", "/mnt"]
        .map(Path::new)
        .into_iter()
        .find(|path| path.is_dir())
        .ok_or_else(|| Error::layer("find a directory to build a root on", "none of /tmp, /run and /mnt exists"))
}

pub(crate) fn small_tmpfs(inodes: u32) -> [(&'static str, String); 3] {
    [("size", "256k".to_owned()), ("nr_inodes", inodes.to_string()), ("mode", "0755".to_owned())]
}
