//! A zygote that is forked from another and imports more: its place, its wire, and what it tells of itself.

use std::ffi::{CString, c_char};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Mutex;

use cloister_sandbox::forker::Forker;
use cloister_sandbox::sys::{self, exit_now};
use cloister_sandbox::wire::{Holds, Notice, Wire, announce, exactly};
use cloister_sandbox::{Context, Result, limits, zygote_place};
use nix::sys::signal::SigSet;
use nix::unistd::setsid;

/// What this zygote was asked to import beside what the one has that it was forked from, a name a line.
static ASKED: Mutex<Option<CString>> = Mutex::new(None);

/// Of these, what there is.
static FOUND: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The wire that an order to fork another zygote carries.
///
/// # Errors
/// When it carries something else.
pub fn wire(fds: Vec<OwnedFd>) -> Result<Wire> {
    let [wire] = exactly(fds)?;
    Ok(Wire::from_fd(wire))
}

/// Makes this process, just forked from a zygote, one of its own: in a session, with files and a wire of its own, and with
/// the limits under which a zygote imports, and of so much memory beside what it has. Where that fails the supervisor is told, and the process ends.
///
/// # Safety
/// Nothing that owns descriptor 0 is dropped in this process.
pub unsafe fn become_zygote(forker: Forker, wire: &Wire, modules: &[String], memory: u64) {
    let place = || {
        // So that all which an import starts can be ended together.
        setsid().doing(|| "setsid")?;
        SigSet::empty().thread_set_mask().doing(|| "unblock signals")?;
        zygote_place::enter_beside(forker.confinement().plan())?;
        announce(wire)?;
        // SAFETY: as the caller vouches.
        unsafe { sys::place_fd(wire.as_raw_fd(), 0) }.doing(|| "dup2 to 0")?;
        limits::anticipate(forker.confinement().plan())?;
        limits::bound_growth(memory)
    };
    if let Err(error) = place() {
        let _ = wire.send(&Notice::failed(None, &error), &[]);
        exit_now(1);
    }
    // Its descriptors are the parent's. What it knows of the parent's jobs is nothing to this process.
    drop(forker);
    *lock(&ASKED) = CString::new(modules.join("\n")).ok();
}

/// What a zygote takes and has.
pub fn holds() -> Holds {
    Holds { bytes: private().unwrap_or(0), modules: lock(&FOUND).clone() }
}

/// Memory that no other process shares: `proc_pid_smaps_rollup(5)`. None where the kernel does not tell.
fn private() -> Option<u64> {
    let told = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let kib =
        told.lines().filter(|line| line.starts_with("Private_")).filter_map(|line| line.split_whitespace().nth(1));
    Some(kib.filter_map(|kib| kib.parse::<u64>().ok()).sum::<u64>() << 10)
}

/// What a zygote is to import that was forked from another: a C string with a name a line, valid for good.
#[unsafe(no_mangle)]
pub extern "C" fn cloister_zygote_asked() -> *const c_char {
    lock(&ASKED).take().map_or(std::ptr::null(), |names| names.into_raw().cast_const())
}

/// Tells which of them there are, in UTF-8, a name a line. There will be no more imports.
///
/// # Safety
/// `names` points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloister_zygote_found(names: *const u8, length: usize) {
    // SAFETY: as the caller vouches; the bytes are only read.
    let names = unsafe { std::slice::from_raw_parts(names, length) };
    let _ = limits::allow_growth();
    *lock(&FOUND) = String::from_utf8_lossy(names).lines().map(str::to_owned).collect();
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
