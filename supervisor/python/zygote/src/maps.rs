//! What is mapped in this process, read so that the reading itself changes nothing of it.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use cloister_sandbox::{Context, Result};
use nix::sys::prctl;

/// What a huge page holds, and the alignment at which one can be mapped.
pub const HUGE: usize = 2 << 20;

/// What a page holds.
pub const PAGE: usize = 4096;

/// Where files lie that are the zygote's own, or nobody's.
const PASSING: [&str; 3] = ["/memfd:", "/dev/", "/tmp/"];

/// What the kernel was asked to do with a mapping at a fork, as `proc_pid_smaps(5)` writes it: wipe it, or not hand it on. Random
/// generators live in memory that is wiped, the C library's and OpenSSL's kin: a copy would draw the same in every child.
const AT_FORK: [&str; 3] = ["wf", "dc", "dp"];

/// A listing of the kernel's, as text: `proc_pid_maps(5)`, `proc_pid_smaps(5)`.
///
/// It lies in a mapping of its own, made before the first line is read. In memory of an allocator it would be listed itself and
/// might be given back before somebody looks at what is listed, or be moved while it grows between two lines.
pub struct Listing {
    room: &'static mut [u8],
    length: usize,
}

impl Listing {
    /// Reads a file of `/proc/self`.
    ///
    /// # Errors
    /// When it cannot be read, or there is no memory for it.
    pub fn read(path: &str) -> Result<Self> {
        let mut room = 1 << 20;
        loop {
            let mut listing = Self::with_room(room).doing(|| format!("make room for {path}"))?;
            if listing.fill(path).doing(|| format!("read {path}"))? {
                return Ok(listing);
            }
            room *= 2;
        }
    }

    /// Shared, which no mapping is that is moved.
    fn with_room(room: usize) -> io::Result<Self> {
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), room, access, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: so long is the mapping, of zeroes, which this alone knows of and gives back in the end.
        Ok(Self { room: unsafe { std::slice::from_raw_parts_mut(base.cast(), room) }, length: 0 })
    }

    /// Whether all of the file has found room.
    fn fill(&mut self, path: &str) -> io::Result<bool> {
        let mut file = File::open(path)?;
        while self.length < self.room.len() {
            match file.read(&mut self.room[self.length..])? {
                0 => return Ok(true),
                read => self.length += read,
            }
        }
        Ok(false)
    }

    /// The mappings that were there before it, in the order of their addresses. Memory is taken for them, and none given back.
    #[must_use]
    pub fn mappings(&self) -> Vec<Mapping<'_>> {
        let own = self.room.as_ptr_range();
        let mut mappings = mappings(self.text());
        mappings.retain(|mapping| mapping.range.start != own.start as usize);
        mappings
    }

    /// Nothing, where a file's name in it is no text: what stands behind that would not be known.
    fn text(&self) -> &str {
        std::str::from_utf8(&self.room[..self.length]).unwrap_or_default()
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        // SAFETY: nothing borrows from it any more.
        unsafe { libc::munmap(self.room.as_mut_ptr().cast(), self.room.len()) };
    }
}

/// A mapping, as the kernel lists it.
#[derive(Debug)]
pub struct Mapping<'a> {
    /// Its addresses.
    pub range: Range<usize>,
    /// `rwxp` or what of it there is, `s` for one that is shared.
    pub permissions: &'a str,
    /// The file, `[heap]` and the like, or nothing.
    pub name: &'a str,
    /// Whether the kernel treats it in its own way at a fork; known where the listing is `/proc/self/smaps`.
    pub apart: bool,
}

impl<'a> Mapping<'a> {
    /// Whether there is content to be had.
    #[must_use]
    pub fn readable(&self) -> bool {
        self.permissions.starts_with('r')
    }

    /// Whether it shows a file and nothing but that, as long as nobody has made a page of it private.
    #[must_use]
    pub fn is_of_file(&self) -> bool {
        let is_kept = self.name.starts_with('/') && !PASSING.iter().any(|place| self.name.starts_with(place));
        is_kept && self.permissions.ends_with('p') && !self.permissions.contains('w')
    }

    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        let range = number(start)?..number(end)?;
        Some(Self { range, permissions: fields.next()?, name: fields.nth(3).unwrap_or_default(), apart: false })
    }
}

/// The addresses of a row of mappings without a gap, of which there is one at least.
#[must_use]
pub fn span(run: &[Mapping<'_>]) -> Range<usize> {
    run[0].range.start..run[run.len() - 1].range.end
}

/// Which pages this process has in its tables: `proc_pid_pagemap(5)`.
pub struct Touched(File);

impl Touched {
    const HELD: u64 = 1 << 63;
    const SWAPPED: u64 = 1 << 62;
    const OF_FILE: u64 = 1 << 61;

    /// Where the interpreter's file is not for everybody to read, the process is not dumpable, and this file is root's:
    /// `PR_SET_DUMPABLE`. It is made dumpable for the moment of opening.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open() -> io::Result<Self> {
        // SAFETY: asks the kernel for a number.
        let is_open = unsafe { libc::prctl(libc::PR_GET_DUMPABLE) } == 1;
        if !is_open {
            prctl::set_dumpable(true)?;
        }
        let opened = File::open("/proc/self/pagemap");
        if !is_open {
            prctl::set_dumpable(false)?;
        }
        opened.map(Self)
    }

    /// How many pages of a huge page these are; `None` if one is no file's, or that is not told.
    #[must_use]
    pub fn count(&self, huge: Range<usize>) -> Option<usize> {
        let mut entries = [0; HUGE / PAGE * size_of::<u64>()];
        self.0.read_exact_at(&mut entries, (huge.start / PAGE * size_of::<u64>()) as u64).ok()?;
        let held = entries.chunks_exact(8).map(|entry| u64::from_ne_bytes(entry.try_into().expect("eight bytes")));
        let held = held.filter(|entry| entry & (Self::HELD | Self::SWAPPED) != 0);
        held.map(|entry| (entry & Self::OF_FILE != 0).then_some(1)).sum()
    }
}

/// The mappings in the text of a listing.
pub fn mappings(listing: &str) -> Vec<Mapping<'_>> {
    let mut mappings: Vec<Mapping<'_>> = Vec::with_capacity(listing.lines().filter_map(Mapping::parse).count());
    for line in listing.lines() {
        if let Some(mapping) = Mapping::parse(line) {
            mappings.push(mapping);
        } else if let (Some(flags), Some(last)) = (line.strip_prefix("VmFlags:"), mappings.last_mut()) {
            last.apart = flags.split_whitespace().any(|flag| AT_FORK.contains(&flag));
        }
    }
    mappings
}
