//! The two root file systems: the launcher's, which holds what its cells are made from, and a
//! cell's, in which a job lives.
//!
//! Both are a tmpfs of our own in which only the runtime's paths appear. Nothing of the host's is
//! mounted that the policy does not name, and the host's tree is detached before anything else runs.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, chown, symlink};
use std::path::{Path, PathBuf};

use cloister_terms::Mount;

use crate::credentials::SYSCTLS;
use crate::devices::{LINKS, NODES, SHM};
use crate::error::{Context, Error, Result};
use crate::etc;
use crate::mount::{self, NODEV, NOEXEC, NOSUID, RDONLY};
use crate::overlay::{self, EMPTY, LOWER, Tree};
use crate::spec::{Slot, Spec, Tmpfs};
use crate::weaker::{Layer, Plan};

/// Where a launcher puts a cell's root together; an empty directory otherwise.
const CELL: &str = "/cell";

/// Where the launcher's root has the slots' own device nodes; no job sees another's.
const DEVICES: &str = "/lower/devices";

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
    for directory in ["proc", "dev", "tmp", "cell", &EMPTY[1..], &SYSCTLS[1..]] {
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

/// Moves a cell's init, and with it the cell's mount namespace, into a fresh root, in which the trees are its own.
///
/// # Errors
/// The step that failed.
pub fn enter_cell_root(spec: &Plan, trees: &[Tree], slot: Slot) -> Result<()> {
    let stage = Path::new(CELL);
    let root = mount::new("tmpfs", &small_tmpfs(256), NOSUID | NODEV)?;
    mount::attach(&root, stage)?;
    for directory in ["proc", "dev", "tmp"] {
        make_directory(&stage.join(directory))?;
    }
    for tree in trees {
        attach_inside(stage, tree.inside(), &tree.mount()?, tree.is_directory())?;
    }
    // An overlay shows neither: only the build that tests the canary leaves these out.
    if spec.leaves_out(Layer::HostTree) || spec.leaves_out(Layer::ReadOnlyRuntime) {
        for Mount { inside, .. } in in_order(&shown(spec)) {
            attach_inside(stage, &inside, &mount::copy(&inside)?, inside.is_dir())?;
        }
    }
    make_links(stage, spec)?;
    etc::make(stage, spec)?;
    mount::attach(mount::copy(&devices_of(spec, slot))?, &stage.join("dev"))?;
    let writable = NOSUID | NODEV | NOEXEC;
    mount::attach(mount::new("tmpfs", &job_tmpfs(spec.shm, slot), writable)?, &stage.join("dev/shm"))?;
    mount::attach(mount::new("tmpfs", &job_tmpfs(spec.tmp, slot), writable)?, &stage.join("tmp"))?;
    if let Some(own) = &spec.own_directory {
        share_tmp(stage, own, slot)?;
    }
    let proc = if spec.leaves_out(Layer::ProcSubset) { whole_proc() } else { proc_of_processes() };
    mount::attach(proc?, &stage.join("proc"))?;
    if !spec.leaves_out(Layer::ReadOnlyRoot) {
        mount::restrict_alone(&root, RDONLY)?;
    }
    mount::pivot_into(stage)
}

/// Has `/tmp` and another directory be two of one file system, so that its bounds are those of both together.
fn share_tmp(stage: &Path, own: &Path, slot: Slot) -> Result<()> {
    let tmp = stage.join("tmp");
    let halves = ["tmp", "own"].map(|name| tmp.join(name));
    for half in &halves {
        fs::DirBuilder::new().mode(0o700).create(half).doing(|| format!("mkdir {}", half.display()))?;
        chown(half, Some(slot.id()), Some(slot.id())).doing(|| format!("chown {}", half.display()))?;
    }
    let [half, other] = halves.map(|half| mount::copy_alone(&half));
    let (half, other) = (half?, other?);
    mount::detach(&tmp)?;
    mount::attach(half, &tmp)?;
    attach_inside(stage, own, &other, true)
}

fn whole_proc() -> Result<OwnedFd> {
    mount::new("proc", &[], NOSUID | NODEV | NOEXEC)
}

/// A `/proc` of processes alone, and of them only one's own: no kernel settings, no host statistics. proc(5).
pub(crate) fn proc_of_processes() -> Result<OwnedFd> {
    let options = [("subset", "pid".to_owned()), ("hidepid", "invisible".to_owned())];
    mount::new("proc", &options, NOSUID | NODEV | NOEXEC)
}

/// What of the host appears: the profile's mounts and nothing else.
fn shown(spec: &Plan) -> Vec<Mount> {
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

/// What a cell shows as `/dev`: the slot's own set, and where there are none what the launcher has itself. A slot that
/// lacks its set while others have theirs gets nothing else instead.
fn devices_of(spec: &Spec, slot: Slot) -> PathBuf {
    spec.devices.as_ref().map_or_else(|| PathBuf::from("/dev"), |_| Path::new(DEVICES).join(slot.0.to_string()))
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

fn attach_inside(root: &Path, inside: &Path, tree: &OwnedFd, is_directory: bool) -> Result<()> {
    let relative = inside.strip_prefix("/").unwrap_or(inside);
    let target = root.join(relative);
    if is_directory {
        make_directory(&target)?;
    } else {
        make_directory(target.parent().unwrap_or(root))?;
        make_file(&target)?;
    }
    mount::attach(tree, &target)
}

fn make_links(root: &Path, spec: &Spec) -> Result<()> {
    spec.links.iter().try_for_each(|(name, target)| make_link(&root.join(name), target))
}

fn make_link(path: &Path, target: &Path) -> Result<()> {
    symlink(target, path).doing(|| format!("symlink {}", path.display()))
}

fn make_directory(path: &Path) -> Result<()> {
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
fn in_order(mounts: &[Mount]) -> Vec<Mount> {
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

fn small_tmpfs(inodes: u32) -> [(&'static str, String); 3] {
    [("size", "256k".to_owned()), ("nr_inodes", inodes.to_string()), ("mode", "0755".to_owned())]
}

fn job_tmpfs(tmpfs: Tmpfs, slot: Slot) -> [(&'static str, String); 5] {
    [
        ("size", tmpfs.bytes.0.to_string()),
        ("nr_inodes", tmpfs.inodes.to_string()),
        ("mode", "0700".to_owned()),
        ("uid", slot.id().to_string()),
        ("gid", slot.id().to_string()),
    ]
}
