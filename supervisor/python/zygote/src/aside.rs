//! A copy of this process that is nobody's child but init's, made with one copy of its memory: see `checkpoint.py`.
//!
//! As `fork(2)` twice, where the process between the two shares this one's memory, and this thread stands still for as long as it
//! lives: `vfork(2)`. It forks on a stack of its own. What returns there as the copy has to return to where this thread stands, on the
//! stack that it stands on: `swapcontext(3)` leads away from there, and back once in each process: in the copy when it is woken. Until
//! then it has written to next to nothing of its memory, all of which the original and it have in common.

use std::ffi::{CStr, c_int, c_void};
use std::io;
use std::mem::zeroed;
use std::ptr::{null_mut, without_provenance_mut};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering::Relaxed};

/// Room on a stack: handlers of forks run there, those of libraries too.
const STACK: usize = 256 << 10;

/// Which process this is, of two that have come from one.
#[derive(Debug, PartialEq, Eq)]
pub enum Aside {
    /// The copy.
    Copy,
    /// The one that was there before, with the number of the copy.
    Original(c_int),
}

/// What is known on the way. One call at a time uses it.
struct Way {
    home: libc::ucontext_t,
    away: libc::ucontext_t,
    stacks: *mut u8,
    is_copy: AtomicBool,
    copy: AtomicI32,
    between: AtomicI32,
    /// What wakes the copy.
    wake: AtomicI32,
}

/// For functions that are handed no arguments.
static WAY: AtomicPtr<Way> = AtomicPtr::new(null_mut());

/// Makes the copy, which waits for a byte from this descriptor: deaf to all signals that can be blocked, and to those that came meanwhile.
/// At the end of what can be read there it ends.
///
/// # Errors
/// The kernel's errno.
///
/// # Safety
/// As for `fork(2)`: with other threads, the copy may find locks held which the C library does not know of. No other thread calls
/// this meanwhile.
pub unsafe fn fork(wake: c_int) -> io::Result<Aside> {
    let way = way()?;
    // SAFETY: it lives for ever, and is this call's alone, as the caller vouches.
    let known = unsafe { &mut *way };
    known.is_copy.store(false, Relaxed);
    known.copy.store(-libc::EAGAIN, Relaxed);
    known.wake.store(wake, Relaxed);
    // SAFETY: a place for a context.
    if unsafe { libc::getcontext(&raw mut known.away) } != 0 {
        return Err(io::Error::last_os_error());
    }
    known.away.uc_stack.ss_sp = known.stacks.cast();
    known.away.uc_stack.ss_size = STACK;
    known.away.uc_link = &raw mut known.home;
    // SAFETY: a set of signals; on the way there are none for anybody.
    unsafe { libc::sigfillset(&raw mut known.away.uc_sigmask) };
    // SAFETY: a context of this thread's, with a stack that nothing else is on.
    unsafe { libc::makecontext(&raw mut known.away, depart, 0) };
    // SAFETY: both are contexts of this thread's; it returns once in each process.
    if unsafe { libc::swapcontext(&raw mut known.home, &raw const known.away) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above; in the copy it is the copy's.
    let known = unsafe { &*way };
    if known.is_copy.load(Relaxed) {
        restart_sequences();
        return Ok(Aside::Copy);
    }
    match known.between.load(Relaxed) {
        failed if failed < 0 => return Err(io::Error::from_raw_os_error(-failed)),
        between => reap(between),
    }
    match known.copy.load(Relaxed) {
        failed if failed < 0 => Err(io::Error::from_raw_os_error(-failed)),
        copy => Ok(Aside::Original(copy)),
    }
}

/// What is made once.
fn way() -> io::Result<*mut Way> {
    let made = WAY.load(Relaxed);
    if !made.is_null() {
        return Ok(made);
    }
    let (access, kind) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK);
    // SAFETY: new memory, of nobody else's.
    let stacks = unsafe { libc::mmap(null_mut(), 2 * STACK, access, kind, -1, 0) };
    if stacks == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: plain numbers and pointers, for which zero is a valid value.
    let [home, away] = unsafe { zeroed::<[libc::ucontext_t; 2]>() };
    let (is_copy, copy, between) = (AtomicBool::new(false), AtomicI32::new(0), AtomicI32::new(0));
    let stacks = stacks.cast();
    let way = Box::into_raw(Box::new(Way { home, away, stacks, is_copy, copy, between, wake: AtomicI32::new(-1) }));
    WAY.store(way, Relaxed);
    Ok(way)
}

/// On the first stack: starts the process between, and goes home when that is over.
extern "C" fn depart() {
    let way = WAY.load(Relaxed);
    // SAFETY: it lives for ever.
    let stacks = unsafe { (*way).stacks };
    // SAFETY: the second of the two; what is on it grows down from its end.
    let top = unsafe { stacks.add(2 * STACK) };
    // No signal tells of its end, so that nobody finds it who waits for children: "clone children" in wait(2).
    let flags = libc::CLONE_VM | libc::CLONE_VFORK;
    // SAFETY: a stack of its own, and what it is handed outlives it.
    let between = unsafe { libc::clone(fork_between, top.cast(), flags, way.cast()) };
    let told = if between < 0 { -last_error() } else { between };
    // SAFETY: it lives for ever.
    unsafe { (*way).between.store(told, Relaxed) };
}

/// On the second stack, in the process between: forks, and ends.
extern "C" fn fork_between(way: *mut c_void) -> c_int {
    let way = way.cast::<Way>();
    // What is sent to this group of processes is not for the copy, from its beginning.
    // SAFETY: concerns this process alone.
    unsafe { libc::setsid() };
    // SAFETY: as the caller of `fork` vouches: the C library takes its own locks, which threads of the shared memory know.
    let copy = unsafe { libc::fork() };
    if copy == 0 {
        // SAFETY: it lives for ever, and is the copy's own.
        let way = unsafe { &*way };
        way.is_copy.store(true, Relaxed);
        wait(way.wake.load(Relaxed));
        // SAFETY: a context that stands still in this copy of the memory, and that nothing else goes home to.
        unsafe { libc::setcontext(&raw const way.home) };
    }
    let told = if copy < 0 { -last_error() } else { copy };
    // SAFETY: it lives for ever, and who else reads it stands still.
    unsafe { (*way).copy.store(told, Relaxed) };
    0
}

/// In the copy, where all signals are blocked: waits until it is woken.
fn wait(wake: c_int) {
    let mut byte = 0_u8;
    loop {
        // SAFETY: room for one byte.
        match unsafe { libc::read(wake, (&raw mut byte).cast(), 1) } {
            1 => break,
            failed if failed < 0 && last_error() == libc::EINTR => {}
            // SAFETY: nothing of this copy is of any use: as the end of any process that has come from a fork.
            _ => unsafe { libc::_exit(0) },
        }
    }
    // SAFETY: a plain set of bits, for which zero is a valid value.
    let mut all = unsafe { zeroed() };
    // SAFETY: a set.
    unsafe { libc::sigfillset(&raw mut all) };
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a set and a time; of what came nothing is asked.
    while unsafe { libc::sigtimedwait(&raw const all, null_mut(), &raw const now) } > 0 {}
}

fn reap(between: c_int) {
    // SAFETY: nothing is asked of how it ended.
    while unsafe { libc::waitpid(between, null_mut(), libc::__WCLONE) } < 0 && last_error() == libc::EINTR {}
}

fn last_error() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EAGAIN)
}

/// Has the kernel keep up the thread's restartable sequences again: a process that shares memory has none, and neither has its copy.
/// Where the C library has them, `__rseq_size` in its manual.
fn restart_sequences() {
    #[cfg(target_arch = "x86_64")]
    const SIGNATURE: u32 = 0x5305_3053;
    #[cfg(target_arch = "aarch64")]
    const SIGNATURE: u32 = 0xd428_bc00;
    const SMALLEST: u32 = 32;
    // SAFETY: the name of a variable; null where the C library has none of it.
    let variable = |name: &CStr| unsafe { libc::dlsym(null_mut(), name.as_ptr()) };
    let (offset, size) = (variable(c"__rseq_offset"), variable(c"__rseq_size"));
    if offset.is_null() || size.is_null() {
        return;
    }
    // SAFETY: a variable of the C library's, which never changes: `ptrdiff_t`.
    let offset = unsafe { *offset.cast::<isize>() };
    // SAFETY: as above: `unsigned int`.
    let size = unsafe { *size.cast::<u32>() };
    if size > 0 {
        let area = without_provenance_mut::<c_void>(thread_pointer().wrapping_add_signed(offset));
        // SAFETY: the area that the C library has for this thread, as it registers it itself.
        unsafe { libc::syscall(libc::SYS_rseq, area, size.max(SMALLEST), 0, SIGNATURE) };
    }
}

fn thread_pointer() -> usize {
    let pointer;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads the first word of the thread's own block, which holds its address: the psABI.
    unsafe {
        std::arch::asm!("mov {}, fs:0", out(reg) pointer, options(nostack, pure, readonly));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads a register.
    unsafe {
        std::arch::asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nostack, pure, nomem));
    }
    pointer
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;

    use super::{Aside, fork, last_error};

    // One call at a time: both are parts of one test.
    #[test]
    fn a_copy_goes_on_when_it_is_woken_and_ends_when_nobody_can() {
        goes_on();
        ends();
    }

    fn ends() {
        let (mut read, write) = std::io::pipe().expect("a pipe");
        // It has the end that would wake it too, unless that was closed before.
        let woken = std::io::pipe().expect("a pipe").0;
        // SAFETY: the copy calls nothing that another thread may hold a lock of.
        match unsafe { fork(woken.as_raw_fd()) }.expect("a copy") {
            // SAFETY: ends the copy without the tests' harness.
            Aside::Copy => unsafe { libc::_exit(1) },
            Aside::Original(_) => {
                drop(write);
                assert_eq!(read.read_to_end(&mut Vec::new()).expect("its end"), 0);
            }
        }
    }

    /// Where the original stands, and not as its child.
    fn goes_on() {
        for round in 0..50_u32 {
            let (mut read, mut write) = std::io::pipe().expect("a pipe");
            let (woken, mut wake) = std::io::pipe().expect("a pipe");
            // SAFETY: the copy calls nothing that another thread may hold a lock of.
            match unsafe { fork(woken.as_raw_fd()) }.expect("a copy") {
                Aside::Copy => {
                    // Each by itself: to put them together takes memory, and so the allocator's lock.
                    for number in [std::process::id(), std::os::unix::process::parent_id()] {
                        let _ = write.write_all(&number.to_ne_bytes());
                    }
                    // SAFETY: ends the copy without the tests' harness.
                    unsafe { libc::_exit(i32::try_from(round).unwrap_or(0)) }
                }
                Aside::Original(copy) => {
                    drop(write);
                    // What comes before it is woken is nothing to it.
                    // SAFETY: a number, and a signal that would end it.
                    assert_eq!(unsafe { libc::kill(copy, libc::SIGTERM) }, 0);
                    wake.write_all(&[1]).expect("it waits");
                    let mut told = Vec::new();
                    read.read_to_end(&mut told).expect("what the copy says");
                    assert_eq!(told.len(), 8, "it has said all of it");
                    assert_eq!(told[..4], copy.to_ne_bytes());
                    assert_ne!(told[4..8], std::process::id().to_ne_bytes());
                    // SAFETY: nothing is asked of how it ended.
                    assert_eq!(unsafe { libc::waitpid(copy, std::ptr::null_mut(), libc::__WALL) }, -1);
                    assert_eq!(last_error(), libc::ECHILD);
                }
            }
        }
    }
}
