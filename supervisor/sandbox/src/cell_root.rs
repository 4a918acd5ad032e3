//! A cell's root file system, in which a job lives: what all cells of a slot have alike, which is read-only and kept, and in a copy of
//! that what is the cell's own.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};

use cloister_terms::Mount;
use nix::sched::{CloneFlags, setns, unshare};

use crate::devices::NODES;
use crate::error::{Context, Result};
use crate::etc;
use crate::mount::{self, NODEV, NOEXEC, NOSUID, RDONLY};
use crate::overlay::Tree;
use crate::root::{
    DEVICES, attach_inside, in_order, make_directory, make_links, make_place, proc_of_processes, shown, small_tmpfs,
    staged, whole_proc,
};
use crate::spec::{Slot, Spec, Tmpfs};
use crate::weaker::{Layer, Plan, Weaker};

/// Where a launcher puts a cell's root together; an empty directory otherwise.
const CELL: &str = "/cell";

/// Moves a cell's init, and with it the cell's mount namespace, into a fresh root, in which the trees are its own.
///
/// # Errors
/// The step that failed.
pub fn enter_cell_root(spec: &Plan, trees: &[Tree], slot: Slot) -> Result<()> {
    let stage = Path::new(CELL);
    let root = make_cell_root(stage, spec, trees, slot)?;
    furnish(stage, own_mounts(spec, trees, slot)?, (spec, slot))?;
    // An overlay shows neither: only the build that tests the canary leaves these out.
    if spec.leaves_out(Layer::HostTree) || spec.leaves_out(Layer::ReadOnlyRuntime) {
        for Mount { inside, .. } in in_order(&shown(spec)) {
            attach_inside(stage, &inside, &mount::copy(&inside)?, inside.is_dir())?;
        }
    }
    if !spec.leaves_out(Layer::ReadOnlyRoot) {
        mount::restrict_alone(&root, RDONLY)?;
    }
    mount::pivot_into(stage)
}

/// Whether the root of a slot's cells can be kept from cell to cell: all that is mounted in it is made without being put anywhere first,
/// and no layer is left out.
pub(crate) fn can_be_kept(spec: &Plan, trees: &[Tree]) -> bool {
    *spec.weaker() == Weaker::default() && trees.iter().all(Tree::is_made_detached)
}

/// Moves this mount namespace into the root that a slot's cells begin with, which none of them can change. Returns what of its own a job
/// may open.
///
/// # Errors
/// The step that failed.
pub(crate) fn enter_kept_root(spec: &Plan, trees: &[Tree], slot: Slot) -> Result<Vec<File>> {
    let stage = Path::new(CELL);
    let root = make_cell_root(stage, spec, trees, slot)?;
    mount::restrict_alone(&root, RDONLY)?;
    mount::pivot_into(stage)?;
    let places: BTreeSet<_> = etc::readable(spec).into_iter().chain(etc::files(spec)).collect();
    places.into_iter().map(open).collect()
}

/// Opens what a job may open of the slot's own devices, if there are any.
///
/// # Errors
/// What cannot be opened.
pub(crate) fn open_devices(spec: &Plan, slot: Slot) -> Result<Vec<File>> {
    if spec.devices.is_none() {
        return Ok(Vec::new());
    }
    let directory = devices_of(spec, slot);
    NODES.map(|name| directory.join(name)).iter().chain([&directory]).map(|path| open(path)).collect()
}

fn open(path: &Path) -> Result<File> {
    File::open(path).doing(|| format!("open {}", path.display()))
}

/// Moves a cell's init, which is in the launcher's mount namespace, into a copy of the slot's, with all in it that is the cell's own.
///
/// # Errors
/// The step that failed.
pub(crate) fn enter_copy_of(kept: BorrowedFd<'_>, spec: &Plan, trees: &[Tree], slot: Slot) -> Result<()> {
    // Made here, where what lies below the trees can be seen.
    let own = own_mounts(spec, trees, slot)?;
    setns(kept, CloneFlags::CLONE_NEWNS).doing(|| "setns the slot's mounts")?;
    unshare(CloneFlags::CLONE_NEWNS).doing(|| "unshare CLONE_NEWNS")?;
    furnish(Path::new("/"), own, (spec, slot))
}

/// Mounts what is a cell's own in the root that is, or is being made, at `stage`.
fn furnish(stage: &Path, own: Vec<(&Path, OwnedFd)>, (spec, slot): (&Plan, Slot)) -> Result<()> {
    for (inside, mount) in own {
        mount::attach(mount, &staged(stage, inside))?;
    }
    spec.own_directory.as_ref().map_or(Ok(()), |own| share_tmp(stage, own, slot))
}

/// What all cells of a slot have alike, at `stage`: links, files that are made up, devices, and the places of what is mounted.
fn make_cell_root(stage: &Path, spec: &Plan, trees: &[Tree], slot: Slot) -> Result<OwnedFd> {
    let root = mount::new("tmpfs", &small_tmpfs(256), NOSUID | NODEV)?;
    mount::attach(&root, stage)?;
    for directory in ["proc", "dev", "tmp"] {
        make_directory(&stage.join(directory))?;
    }
    if let Some(own) = &spec.own_directory {
        make_directory(&staged(stage, own))?;
    }
    let lies_in =
        |tree: &Tree, other: &Tree| tree.inside() != other.inside() && tree.inside().starts_with(other.inside());
    for tree in trees.iter().filter(|tree| !trees.iter().any(|other| lies_in(tree, other))) {
        make_place(&staged(stage, tree.inside()), tree.is_directory())?;
    }
    make_links(stage, spec)?;
    etc::make(stage, spec)?;
    mount::attach(mount::copy(&devices_of(spec, slot))?, &stage.join("dev"))?;
    Ok(root)
}

/// The file systems that are a cell's own, detached, and where a job sees them: parents first.
fn own_mounts<'a>(spec: &Plan, trees: &'a [Tree], slot: Slot) -> Result<Vec<(&'a Path, OwnedFd)>> {
    let trees = trees.iter().map(|tree| Ok((tree.inside(), tree.mount()?)));
    let writable = NOSUID | NODEV | NOEXEC;
    let proc = if spec.leaves_out(Layer::ProcSubset) { whole_proc() } else { proc_of_processes() };
    let others = [
        ("/dev/shm", mount::new("tmpfs", &job_tmpfs(spec.shm, slot), writable)?),
        ("/tmp", mount::new("tmpfs", &job_tmpfs(spec.tmp, slot), writable)?),
        ("/proc", proc?),
    ];
    trees.chain(others.map(|(inside, mount)| Ok((Path::new(inside), mount)))).collect()
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

/// What a cell shows as `/dev`: the slot's own set, and where there are none what the launcher has itself. A slot that
/// lacks its set while others have theirs gets nothing else instead.
fn devices_of(spec: &Spec, slot: Slot) -> PathBuf {
    spec.devices.as_ref().map_or_else(|| PathBuf::from("/dev"), |_| Path::new(DEVICES).join(slot.0.to_string()))
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
