//! Lays a warm interpreter's memory out anew, so that forking it is cheap.
//!
//! An interpreter with numpy and pandas has some 550 mappings, nearly all of them pieces of shared
//! libraries. A fork copies each mapping and each page table entry, and the child then faults in
//! every page of a file that it looks at. Here everything private is copied, address for address,
//! into a few anonymous mappings of huge pages: a fork copies some dozens of entries, and a child
//! takes a fault only where it writes. What nearly nobody looks at of a library's file stays the file's, huge page by huge page: it
//! would be copied for nothing.
//!
//! The price: code, constants and data lie in mappings that are readable, writable and executable
//! alike. Between a script and the kernel that changes nothing, for a script may map executable
//! memory as it likes; see `docs/warm-pool.md`.

use std::io;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use cloister_sandbox::{Context, Result};

use crate::maps::{HUGE, Listing, Mapping, PAGE, Touched, span};
use crate::unused::{cut, unused};

/// A reserved range without access that is larger than this is left as it is; a smaller one, such as
/// lies between the parts of some libraries, is moved with them and is zeroes then.
const RESERVED: usize = 8 << 20;

/// How many pages make a huge page worth having; fewer take less memory as they are.
const DENSE: usize = HUGE / PAGE / 2;

/// More ranges than one time adds to those that are settled.
const MOST_RANGES: usize = 4096;

/// What was moved before, and what was left to its file. Of a zygote that was forked from another this is what the two share, for as
/// long as neither writes to it, and it stays where it is.
static SETTLED: Mutex<Vec<Range<usize>>> = Mutex::new(Vec::new());

/// Moves every private mapping but the stack, the kernel's own, those that it treats in their own way at a fork, what was moved
/// before and what nearly nobody looks at of a file into anonymous memory, in place.
/// Returns how many bytes were moved.
///
/// # Errors
/// The call that failed. What was moved before is good to use.
///
/// # Safety
/// The process has one thread, which runs on its initial stack.
pub unsafe fn settle() -> Result<usize> {
    let mut settled = SETTLED.lock().unwrap_or_else(PoisonError::into_inner);
    // The listing is gone by then, for it may lie in one.
    let gaps = gaps(&Listing::read("/proc/self/maps")?.mappings());
    gaps.into_iter().for_each(close);
    settled.reserve(MOST_RANGES);
    // From here on memory is taken and none given back, until all is moved: what is listed has to be there.
    let listing = Listing::read("/proc/self/smaps")?;
    let mappings = listing.mappings();
    // Where that is not told, all is moved.
    let left = Touched::open().map_or_else(|_| Vec::new(), |touched| unused(&mappings, |huge| touched.count(huge)));
    let mappings = cut(&mappings, &left);
    settled.extend_from_slice(&left);
    // What is mapped from here on lies in no run, for a run has no gaps.
    let mut moved = Vec::with_capacity(mappings.len());
    let mut done = Ok(());
    for run in runs(&mappings, &settled) {
        // SAFETY: the run consists of this process's own mappings, and as the caller vouches no other
        // thread writes to them meanwhile.
        done = unsafe { replace(run) }.doing(|| "move the interpreter's memory");
        if done.is_err() {
            break;
        }
        moved.push(span(run));
    }
    let bytes = moved.iter().map(Range::len).sum();
    settled.append(&mut moved);
    done.map(|()| bytes)
}

/// The gaps between mappings that would keep a huge page from being one: those that are smaller, and what
/// is missing at both ends of a row of mappings until a huge page begins or ends. Not behind the heap and
/// not in front of the stack, which grow there.
fn gaps(mappings: &[Mapping<'_>]) -> Vec<Range<usize>> {
    let mut gaps = Vec::new();
    for (one, next) in mappings.iter().zip(mappings.iter().skip(1)) {
        let (start, end) = (one.range.end, next.range.start);
        let (from_start, to_end) = (one.name != "[heap]", next.name != "[stack]");
        if end - start < HUGE && from_start && to_end {
            gaps.push(start..end);
        } else if end - start >= HUGE {
            gaps.extend(from_start.then(|| start..start.next_multiple_of(HUGE)));
            gaps.extend(to_end.then(|| end - end % HUGE..end));
        }
    }
    gaps.retain(|gap| !gap.is_empty());
    gaps
}

/// Takes a range, where nothing else has been put meanwhile: without access, as room in a library's middle.
fn close(gap: Range<usize>) {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: the kernel maps nothing over what exists already.
    unsafe { libc::mmap(gap.start as *mut libc::c_void, gap.len(), libc::PROT_NONE, flags, -1, 0) };
}

/// The rows of mappings without a gap that are moved, each at once.
fn runs<'a>(mappings: &'a [Mapping<'a>], settled: &'a [Range<usize>]) -> impl Iterator<Item = &'a [Mapping<'a>]> {
    let stays = |mapping: &Mapping<'_>| {
        let Mapping { range, permissions, name, apart } = mapping;
        let special = *apart || name.starts_with('[') && *name != "[heap]";
        let reserved = *permissions == "---p" && range.len() <= RESERVED;
        let before = settled.iter().any(|moved| moved.start < range.end && range.start < moved.end);
        before || special || !permissions.ends_with('p') || !(mapping.readable() || reserved)
    };
    mappings
        .chunk_by(move |one, next| !stays(one) && !stays(next) && one.range.end == next.range.start)
        .filter(move |run| span(run).len() >= HUGE && !stays(&run[0]))
}

/// Copies a run to new memory and puts that in its place.
///
/// # Safety
/// As [`settle`].
unsafe fn replace(run: &[Mapping<'_>]) -> io::Result<()> {
    let all = span(run);
    let length = all.len();
    let reserved = length + 2 * HUGE;
    // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
    let base = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            reserved,
            libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if base == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // At the same distance from a huge page's start as the original, so that huge pages stay whole.
    let base = base as usize;
    let target = base + HUGE - base % HUGE + all.start % HUGE;
    // SAFETY: the margins on both sides lie within the mapping just made, and hold nothing.
    unsafe { unmap(base..target) };
    // SAFETY: as above.
    unsafe { unmap(target + length..base + reserved) };
    // Without huge pages all is as right, and a little slower.
    // SAFETY: advice on a mapping of our own.
    unsafe { libc::madvise(target as *mut libc::c_void, length, libc::MADV_HUGEPAGE) };
    // Nothing here may allocate: what the allocator wrote after its pages were copied would be lost.
    // A mapping is moved by itself, for kernels before 6.17 move no two at once: mremap(2).
    let (mut from, mut was_dense) = (all.start, true);
    for start in (all.start - all.start % HUGE..all.end).step_by(HUGE) {
        let huge = start.max(all.start)..all.end.min(start + HUGE);
        let copy = target + (huge.start - all.start);
        // At the ends of a run none would fit.
        // SAFETY: the run's pages are mapped as the kernel has just listed them, and nobody writes to them.
        let is_dense = huge.len() < HUGE || unsafe { used_pages(run, &huge) }.take(DENSE).count() == DENSE;
        if is_dense != was_dense {
            // SAFETY: all in front of this one is copied.
            unsafe { place(target, &all, from..huge.start) }?;
            (from, was_dense) = (huge.start, is_dense);
        }
        if !is_dense {
            // SAFETY: advice on a mapping of our own.
            unsafe { libc::madvise(copy as *mut libc::c_void, huge.len(), libc::MADV_NOHUGEPAGE) };
        }
        // SAFETY: as above.
        for page in unsafe { used_pages(run, &huge) } {
            let copy = (copy + (page.as_ptr() as usize - huge.start)) as *mut u64;
            // SAFETY: the target is as long as the run, and no part of it.
            unsafe { std::ptr::copy_nonoverlapping(page.as_ptr(), copy, PAGE / 8) };
        }
    }
    // SAFETY: all is copied.
    unsafe { place(target, &all, from..all.end) }
}

/// Puts a part of the copy of a run, which begins at `target`, where that part of the run is.
///
/// # Safety
/// It is the exact copy of it, and only this thread could have changed that since.
unsafe fn place(target: usize, all: &Range<usize>, part: Range<usize>) -> io::Result<()> {
    if part.is_empty() {
        return Ok(());
    }
    let (copy, flags) = (target + (part.start - all.start), libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED);
    // SAFETY: as the caller vouches; it is replaced in one step.
    let placed = unsafe {
        libc::mremap(copy as *mut libc::c_void, part.len(), part.len(), flags, part.start as *mut libc::c_void)
    };
    if placed == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The pages of a run in this range that hold something. Zeroes are there already where they are copied to, and memory that was never
/// used stays unused.
///
/// # Safety
/// The run's mappings are this process's own, and nobody writes to them meanwhile.
unsafe fn used_pages<'a>(run: &'a [Mapping<'_>], range: &Range<usize>) -> impl Iterator<Item = &'a [u64]> {
    let range = range.clone();
    let parts = run.iter().filter(|mapping| mapping.readable());
    let pages =
        parts.flat_map(move |part| (part.range.start.max(range.start)..part.range.end.min(range.end)).step_by(PAGE));
    // SAFETY: as the caller vouches, for each that can be read.
    pages
        .map(|page| unsafe { std::slice::from_raw_parts(page as *const u64, PAGE / 8) })
        .filter(|page| page.iter().any(|word| *word != 0))
}

/// Gives a range back.
///
/// # Safety
/// Nothing uses the range.
unsafe fn unmap(range: Range<usize>) {
    if !range.is_empty() {
        // SAFETY: as the caller vouches.
        unsafe { libc::munmap(range.start as *mut libc::c_void, range.len()) };
    }
}

#[cfg(test)]
mod tests {
    use super::{gaps, runs};
    use crate::maps::{Mapping, mappings, span};

    #[test]
    fn what_is_wiped_or_left_out_at_a_fork_stays_what_it_is() {
        let mapping = |start: &str, end: &str, flags: &str| {
            format!(
                "7f00{start}-7f00{end} rw-p 00000000 00:00 0 \nSize: 4 kB\nTHPeligible: 0\nVmFlags: rd wr mr mw me ac {flags} \n"
            )
        };
        let flags = ["sd", "wf", "sd nr", "dc", "ht", "dd dp"];
        let place = |at: usize| format!("{:08x}", at * 0x40_0000);
        let smaps: String =
            flags.iter().enumerate().map(|(at, flags)| mapping(&place(at), &place(at + 1), flags)).collect();
        let moved: Vec<_> = runs(&mappings(&smaps), &[]).map(|run| span(run).start).collect();
        assert_eq!(moved, [0x7f00_0000_0000, 0x7f00_0080_0000, 0x7f00_0100_0000]);
    }

    #[test]
    fn what_is_shared_special_or_reserved_is_left_alone() {
        let maps = "\
556266f20000-556266f25000 r-xp 00000000 fe:00 12 /usr/bin/python3.11
556274000000-556274400000 rw-p 00000000 00:00 0 [heap]
7f0000000000-7f0000300000 r-xp 00000000 fe:00 13 /usr/lib/one.so
7f0000300000-7f0000400000 rw-p 00300000 fe:00 13 /usr/lib/one.so
7f0000400000-7f0000401000 ---p 00000000 00:00 0
7f0000401000-7f0000500000 rw-p 00000000 00:00 0
7f0000500000-7f0000900000 rw-s 00000000 00:01 14 /dev/zero (deleted)
7f0000900000-7f0000c00000 rw-p 00000000 00:00 0
7f1000000000-7f1004000000 ---p 00000000 00:00 0
7f1004000000-7f1004400000 rw-p 00000000 00:00 0
7ffd00000000-7ffd00400000 rw-p 00000000 00:00 0 [stack]
7ffd00500000-7ffd00502000 r-xp 00000000 00:00 0 [vdso]";
        let maps = mappings(maps);
        let parts = |run: &[Mapping<'_>]| run.iter().filter(|mapping| mapping.readable()).count();
        let found: Vec<_> = runs(&maps, &[]).map(|run| (span(run), parts(run))).collect();
        assert_eq!(
            found,
            [
                (0x5562_7400_0000..0x5562_7440_0000, 1),
                (0x7f00_0000_0000..0x7f00_0050_0000, 3),
                (0x7f00_0090_0000..0x7f00_00c0_0000, 1),
                (0x7f10_0400_0000..0x7f10_0440_0000, 1),
            ]
        );
        let moved = [0x5562_7400_0000..0x5562_7430_0000, 0x7f00_0000_0000..0x7f00_0050_0000];
        let more: Vec<_> = runs(&maps, &moved).map(span).collect();
        assert_eq!(more, [0x7f00_0090_0000..0x7f00_00c0_0000, 0x7f10_0400_0000..0x7f10_0440_0000]);
    }

    #[test]
    fn small_gaps_and_the_ends_of_huge_pages_are_closed_and_heap_and_stack_can_grow() {
        let maps = "\
556266f20000-556266f25000 r-xp 00000000 fe:00 12 /usr/bin/python3.11
556274000000-556274480000 rw-p 00000000 00:00 0 [heap]
7f0000010000-7f0000300000 r-xp 00000000 fe:00 13 /usr/lib/one.so
7f0000301000-7f0000400000 rw-p 00300000 fe:00 13 /usr/lib/one.so
7f0000f00000-7f0001000000 rw-p 00000000 00:00 0
7ffd00001000-7ffd00400000 rw-p 00000000 00:00 0 [stack]";
        assert_eq!(
            gaps(&mappings(maps)),
            [
                0x5562_66f2_5000..0x5562_6700_0000,
                0x7f00_0000_0000..0x7f00_0001_0000,
                0x7f00_0030_0000..0x7f00_0030_1000,
                0x7f00_00e0_0000..0x7f00_00f0_0000,
            ]
        );
    }
}
