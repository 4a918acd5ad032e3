//! Uses up the free memory that lies between used memory, so that what a child allocates is new and in
//! one place.
//!
//! After its imports an interpreter's heaps are full of small holes. A child that filled them would copy
//! a page for each; from memory that nobody has used yet, the same takes some pages beside one another.

use std::ops::Range;

use cloister_sandbox::Result;
use libc::{c_void, size_t};

use crate::maps::{Listing, Mapping};

/// A function like `malloc(3)`.
pub type Allocate = unsafe extern "C" fn(size_t) -> *mut c_void;

/// The largest object that CPython's own allocator serves, and the step between its sizes:
/// `Objects/obmalloc.c`.
const LARGEST_OBJECT: usize = 512;
const STEP: usize = 16;

/// Sizes above are allocated seldom, and from the end of the heap.
const LARGEST: usize = 64 << 10;

/// The step between the larger sizes: none of them needs to fit a hole exactly.
const LARGE_STEP: usize = 1 << 10;

/// Fills the holes of CPython's allocator and of the C library's, for good.
///
/// # Errors
/// When the list of what is mapped cannot be read.
///
/// # Safety
/// `object_malloc` is CPython's `PyObject_Malloc`, whose lock this thread holds.
pub unsafe fn fill(object_malloc: Allocate) -> Result<()> {
    // SAFETY: gives back free memory only.
    unsafe { libc::malloc_trim(0) };
    let used = used()?;
    // Largest first: what is left of a hole is a smaller one.
    for size in (STEP..=LARGEST_OBJECT).rev().step_by(STEP) {
        // SAFETY: as the caller vouches.
        unsafe { fill_size(object_malloc, size, &used) };
    }
    let large = (LARGEST_OBJECT + 1..=LARGEST).rev().step_by(LARGE_STEP);
    for size in large.chain((STEP..=LARGE_STEP).rev().step_by(STEP)) {
        // SAFETY: the C library's own allocator may be used at any time.
        let new = unsafe { fill_size(libc::malloc, size, &used) };
        // So the end of the heap begins where it did, but for what the C library keeps of small sizes.
        // SAFETY: it is nobody's.
        unsafe { libc::free(new) };
    }
    Ok(())
}

/// Allocates until what is allocated is new, and returns that.
///
/// # Safety
/// The function may be called.
unsafe fn fill_size(allocate: Allocate, size: usize, used: &[Range<usize>]) -> *mut c_void {
    loop {
        // SAFETY: as the caller vouches. What was free before is never given back, which is the purpose.
        let block = unsafe { allocate(size) };
        if !used.iter().any(|range| range.contains(&(block as usize))) {
            return block;
        }
    }
}

/// What is mapped by now; what is allocated elsewhere is new. `proc_pid_maps(5)`.
fn used() -> Result<Vec<Range<usize>>> {
    let listing = Listing::read("/proc/self/maps")?;
    let mut used: Vec<Range<usize>> = Vec::new();
    for Mapping { range, .. } in listing.mappings() {
        match used.last_mut().filter(|last| last.end == range.start) {
            Some(last) => last.end = range.end,
            None => used.push(range),
        }
    }
    Ok(used)
}
