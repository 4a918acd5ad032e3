//! The native half of a zygote, loaded into the warm interpreter by `zygote.py`.
//!
//! It takes the supervisor's orders on descriptor 0 and forks a child for each. The child confines
//! itself with the same code as a cold start and only then returns to Python; the parent never runs
//! anything of a script's.

mod aside;
mod growth;
mod holes;
mod maps;
mod memory;
mod unused;
// A test of this crate runs in no interpreter.
#[cfg(not(test))]
mod output;

use std::ffi::c_int;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use chacha20::ChaCha12Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use cloister_sandbox::forker::{Event, Forker, Started};
use cloister_sandbox::limits;
use cloister_sandbox::sys::{Forked, exit_now};
use cloister_sandbox::weaker::Plan;
#[cfg(feature = "leave-out")]
use cloister_sandbox::weaker::Weaker;
use cloister_sandbox::wire::{IntoCgroup, Notice, Order, Wire};
use cloister_sandbox::{Context, Error, Result};
use nix::unistd::ForkResult;
use rustix::process::PidfdFlags;
use rustix::rand::GetRandomFlags;

use crate::holes::Allocate;

/// Memory of this library's own. In the interpreter's heap the zygote would write to pages all over it
/// from order to order, and each huge page that is written to once is copied page by page in every fork
/// from then on.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// What [`cloister_zygote_serve`] returns in a confined child.
const CHILD: c_int = 1;
/// What it returns in a zygote that this one has forked, which is to import more and then to serve itself.
const GROWN: c_int = 2;
/// What it returns in the zygote when there will be no more orders.
const DONE: c_int = 0;
/// What it returns when it failed; the reason was told.
const FAILED: c_int = -1;

/// What is done in this process around a fork.
#[derive(Clone, Copy)]
struct Around {
    /// CPython's own steps, `PyOS_BeforeFork` and its kin; none where the interpreter needs none.
    before: Option<extern "C" fn()>,
    after_in_parent: Option<extern "C" fn()>,
    after_in_child: Option<extern "C" fn()>,
    /// Addresses and lengths of memory that is filled with random bytes in each child.
    random: *const [usize; 2],
    random_count: usize,
}

/// Serves orders until the supervisor closes its end: 0 then, -1 on a failure, 1 in each child, and 2 in each zygote that
/// it forks, whose wire then is descriptor 0.
///
/// # Safety
/// The process has one thread and holds the interpreter's lock; descriptor 0 is the wire and is not
/// owned by anything else; the functions are CPython's own or null; `random` points to `random_count`
/// pairs of an address and a length of memory whose bytes may be anything, and which nothing reads
/// meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloister_zygote_serve(
    before: Option<extern "C" fn()>,
    after_in_parent: Option<extern "C" fn()>,
    after_in_child: Option<extern "C" fn()>,
    random: *const [usize; 2],
    random_count: usize,
) -> c_int {
    // SAFETY: as the caller vouches.
    let wire = Wire::from_fd(unsafe { OwnedFd::from_raw_fd(0) });
    match serve(&wire, Around { before, after_in_parent, after_in_child, random, random_count }) {
        Ok(returned) => {
            // In a child 0 is its standard input now, and in a zygote a wire of its own.
            std::mem::forget(wire);
            returned
        }
        Err(error) => {
            let _ = wire.send(&Notice::failed(None, &error), &[]);
            FAILED
        }
    }
}

/// Tells the supervisor why the interpreter cannot serve, in UTF-8.
///
/// # Safety
/// `text` points to `length` bytes; descriptor 0 is the wire.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloister_zygote_failed(text: *const u8, length: usize) {
    // SAFETY: as the caller vouches; the bytes are only read.
    let text = unsafe { std::slice::from_raw_parts(text, length) };
    // SAFETY: as the caller vouches; the descriptor stays open with the process.
    let wire = std::mem::ManuallyDrop::new(Wire::from_fd(unsafe { OwnedFd::from_raw_fd(0) }));
    let _ = wire.send(&Notice::Failed(None, String::from_utf8_lossy(text).into_owned()), &[]);
}

/// Fills the holes of the interpreter's heaps, so that what is made from here on lies together. Where that fails, as with
/// [`cloister_zygote_settle`].
///
/// # Safety
/// The process has one thread, which holds the interpreter's lock; the function is CPython's `PyObject_Malloc`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloister_zygote_fill(object_malloc: Allocate) {
    // SAFETY: as the caller vouches.
    unsafe { holes::fill(object_malloc) }
        .unwrap_or_else(|error| tell_of_cost("the holes in its memory could not be filled", &error));
}

/// Lays the interpreter's memory out for cheap forks; how many bytes. What is not laid out is as good as it was, and forks cost more: standard
/// error, which goes to the supervisor's log, has why.
///
/// # Safety
/// The process has one thread, which runs on its initial stack and holds the interpreter's lock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloister_zygote_settle() -> usize {
    // SAFETY: as the caller vouches.
    unsafe { memory::settle() }.unwrap_or_else(|error| {
        tell_of_cost("its memory could not be laid out for them", &error);
        0
    })
}

fn tell_of_cost(why: &str, error: &Error) {
    // Who cannot be told is no reason to end.
    let _ = writeln!(std::io::stderr(), "forks of a warm interpreter will cost more, as {why}: {error}");
}

fn serve(wire: &Wire, around: Around) -> Result<c_int> {
    let Some((Order::Serve(spec), _)) = wire.receive().doing(|| "receive the profile")? else {
        return Err(Error::Peer("the supervisor sent no profile".to_owned()));
    };
    #[cfg(feature = "leave-out")]
    let plan = Plan::less(*spec, Weaker::handed_on()?);
    #[cfg(not(feature = "leave-out"))]
    let plan = Plan::whole(*spec);
    limits::allow_files()?;
    let mut forker = Forker::new(plan)?;
    forker.confine_ahead()?;
    // What the processor can do is found out here, and not by each child.
    random()?.fill_bytes(&mut [0; 64]);
    wire.send(&Notice::Holds(growth::holds()), &[]).doing(|| "tell the supervisor")?;
    wire.send(&Notice::Ready, &[]).doing(|| "tell the supervisor")?;
    loop {
        match forker.wait(wire)? {
            Event::Child => drop(forker.reap(wire)?),
            Event::Order => match wire.receive().doing(|| "receive an order")? {
                None => return Ok(DONE),
                Some((Order::Ping, _)) => wire.send(&Notice::Pong, &[]).doing(|| "answer the supervisor")?,
                Some((Order::Grow(modules, memory), fds)) => {
                    let new = growth::wire(fds)?;
                    // Who asked hears of it over the new wire.
                    match fork(around) {
                        Ok(Forked::Child) => {
                            // SAFETY: of all that owns a descriptor of the parent's only what is dropped here is dropped.
                            unsafe { growth::become_zygote(forker, &new, &modules, memory) };
                            return Ok(GROWN);
                        }
                        Ok(Forked::Parent { pid, .. }) => forker.has_forked(pid),
                        Err(error) => drop(new.send(&Notice::failed(None, &error), &[])),
                    }
                }
                Some((Order::Fork(slot, span), fds)) => {
                    match forker.start((slot, span), IntoCgroup::Walks, fds, |_| fork(around)) {
                        Ok(Started::Parent(pidfd)) => wire.send(&Notice::Started(slot), &[pidfd.as_raw_fd()]),
                        Ok(Started::Job(place)) => {
                            // From its first moment as another user, so that nobody takes it for a running job.
                            let _ = nix::sys::prctl::set_name(c"parked");
                            if place.take(forker.confinement(), None).is_err() {
                                exit_now(127);
                            }
                            // Its descriptors are closed already, and a job has no use for the rest.
                            std::mem::forget(forker);
                            return Ok(CHILD);
                        }
                        Err(error) => wire.send(&Notice::failed(slot, &error), &[]),
                    }
                    .doing(|| "answer the supervisor")?
                }
                Some(_) => return Err(Error::Peer("a zygote was asked for what only a launcher does".to_owned())),
            },
        }
    }
}

/// Forks as `os.fork()` does. The C library's own fork, not a bare `clone3`, because the child goes
/// on to use threads and locks, for which the library must know its new thread id.
fn fork(around: Around) -> Result<Forked> {
    let step = |step: Option<extern "C" fn()>| step.map_or((), |step| step());
    step(around.before);
    // SAFETY: the process has one thread, which the start has made sure of.
    match unsafe { nix::unistd::fork() } {
        Ok(ForkResult::Child) => {
            step(around.after_in_child);
            // Never back into the parent's code from here, whatever happens.
            if randomise(around).is_err() {
                exit_now(127);
            }
            Ok(Forked::Child)
        }
        Ok(ForkResult::Parent { child }) => {
            step(around.after_in_parent);
            let pid = rustix::process::Pid::from_raw(child.as_raw()).expect("a child's id is positive");
            // The child is not waited for yet, so the id is still its own.
            let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).doing(|| "pidfd_open a job")?;
            Ok(Forked::Parent { pid: child, pidfd })
        }
        Err(errno) => {
            step(around.after_in_parent);
            Err(errno).doing(|| "fork a job")
        }
    }
}

/// Fills the states of random number generators anew, each child's from a seed of its own.
fn randomise(around: Around) -> Result<()> {
    let mut random = random()?;
    for number in 0..around.random_count {
        // SAFETY: as the caller of the start vouched: so many pairs lie there.
        let pair = unsafe { around.random.add(number) };
        // SAFETY: as above, and nothing writes to them.
        let [address, length] = unsafe { pair.read() };
        // SAFETY: as above: the memory is there, may hold anything, and this process has one thread.
        random.fill_bytes(unsafe { std::slice::from_raw_parts_mut(address as *mut u8, length) });
    }
    Ok(())
}

/// A stream of random bytes whose seed is the kernel's: `getrandom(2)`, which takes ten times as long for as many.
fn random() -> Result<ChaCha12Rng> {
    let mut seed = [0; 32];
    // As much is given at once: getrandom(2).
    rustix::rand::getrandom(&mut seed, GetRandomFlags::empty()).doing(|| "getrandom")?;
    Ok(ChaCha12Rng::from_seed(seed))
}
