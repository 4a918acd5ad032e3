//! What a job left in `out`.
//!
//! It is read when every process of its cell is dead, through a descriptor of the job's own file system
//! that was taken before the job began. Nothing in it is followed or trusted: `openat2(2)` neither leaves that
//! file system nor passes a link, only regular files are read, and how much is looked at, named and read is bounded.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use cloister_protocol::{DEEPEST, Encoded, OutputFile};
use cloister_sandbox::root;
use cloister_sandbox::spec::Spec;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, StatFs, fstat, fstatfs, openat2, statat};
use rustix::path::Arg;

use crate::job::bounds::Bounds;
use crate::job::media_type::media_type;

/// How many names below `out` are looked at.
const MOST_SEEN: usize = 4096;

/// How many files are named whose content is left out.
const MOST_OMITTED: usize = 64;

/// Up to so many pages and files a file system's end is no work worth a thread.
const LIGHT: u64 = 256;

/// What a job left.
#[derive(Debug, Default)]
pub struct Left {
    /// The files, with or without their content.
    pub files: Vec<OutputFile>,
    /// Whether anything was left out.
    pub truncated: bool,
}

/// The file system that a job's files are on, held past the job's end. Closing it frees what is in it.
#[derive(Debug)]
pub struct JobFiles {
    root: OwnedFd,
    out: PathBuf,
}

impl JobFiles {
    /// The file system with this root, on which the profile's jobs have their files.
    #[must_use]
    pub fn new(root: OwnedFd, spec: &Spec) -> Self {
        Self { root, out: spec.out.clone() }
    }

    /// Where those of a request are put, as the job sees it.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.out.parent().expect("it lies in a directory")
    }

    // What follows is for when all processes of the job are dead.

    /// Whether there is nothing to return.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self.open_out() {
            Ok(mut out) => entries(&mut out).next().is_none(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Whether there is so little in it that it can be closed on the event loop.
    #[must_use]
    pub fn is_light(&self) -> bool {
        let used = |all: u64, free: u64| all.saturating_sub(free);
        // Its blocks are pages.
        let weight = |stat: StatFs| used(stat.f_blocks, stat.f_bfree) + used(stat.f_files, stat.f_ffree);
        fstatfs(&self.root).is_ok_and(|stat| weight(stat) <= LIGHT)
    }

    /// Reads what may be returned. Takes its time: not for the event loop.
    #[must_use]
    pub fn collect(&self, bounds: &Bounds) -> Left {
        let mut walk = Walk {
            left: Left::default(),
            seen: 0,
            omitted: 0,
            files: bounds.files_out,
            bytes: bounds.files_out_bytes,
            bounds,
        };
        match self.open_out() {
            Ok(out) => walk.directory(out, "", 0),
            // The script may remove it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => walk.left.truncated = true,
        }
        walk.left
    }

    fn open_out(&self) -> io::Result<Dir> {
        let root = root::writable_root(&self.out).unwrap_or_default();
        open_directory(&self.root, self.out.strip_prefix(root).unwrap_or(&self.out))
    }
}

/// A walk through what a job left, in the order of the names.
struct Walk<'a> {
    left: Left,
    /// Names looked at so far.
    seen: usize,
    omitted: usize,
    /// How many files may still be returned.
    files: u64,
    /// How many bytes.
    bytes: u64,
    bounds: &'a Bounds,
}

impl Walk<'_> {
    fn directory(&mut self, mut directory: Dir, prefix: &str, depth: usize) {
        let left = MOST_SEEN - self.seen;
        let mut names: Vec<_> = entries(&mut directory).take(left + 1).collect();
        self.left.truncated |= names.len() > left;
        names.truncate(left);
        self.seen += names.len();
        names.sort_unstable();
        let Ok(directory) = directory.fd() else {
            self.left.truncated = true;
            return;
        };
        for name in names {
            self.entry(directory, &name, prefix, depth);
        }
    }

    fn entry(&mut self, directory: impl AsFd, name: &CString, prefix: &str, depth: usize) {
        let text = name.to_str();
        let shown = format!("{prefix}{}", text.map_or_else(|_| name.to_string_lossy(), Into::into));
        let Ok(stat) = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
            self.left.truncated = true;
            return;
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory if text.is_err() || depth >= DEEPEST => self.left.truncated = true,
            FileType::Directory => match open_directory(&directory, name) {
                Ok(inner) => self.directory(inner, &format!("{shown}/"), depth + 1),
                Err(_) => self.left.truncated = true,
            },
            FileType::RegularFile if text.is_err() => self.omit(shown, &stat, "its name is not UTF-8".to_owned()),
            FileType::RegularFile => match self.read(directory, name, &stat) {
                Ok(content) => self.keep(shown, &content),
                Err(why) => self.omit(shown, &stat, why),
            },
            _ => self.omit(shown, &stat, "it is not a regular file".to_owned()),
        }
    }

    /// The content of a regular file, or why it is left out.
    fn read(&self, directory: impl AsFd, name: &CString, stat: &Stat) -> Result<Vec<u8>, String> {
        if self.files == 0 {
            return Err(format!("more than {} files are not returned", self.bounds.files_out));
        }
        let too_large =
            || format!("files of more than {} bytes together are not returned", self.bounds.files_out_bytes);
        if size(stat) > self.bytes {
            return Err(too_large());
        }
        let unreadable = |error: io::Error| format!("it cannot be read: {error}");
        let file = open(directory, name, OFlags::empty()).map_err(unreadable)?;
        match fstat(&file) {
            Ok(now) if FileType::from_raw_mode(now.st_mode).is_file() => {}
            _ => return Err("it is not a regular file".to_owned()),
        }
        let mut content = Vec::new();
        File::from(file).take(self.bytes.saturating_add(1)).read_to_end(&mut content).map_err(unreadable)?;
        if content.len() as u64 > self.bytes { Err(too_large()) } else { Ok(content) }
    }

    fn keep(&mut self, name: String, content: &[u8]) {
        self.files -= 1;
        self.bytes -= content.len() as u64;
        let media_type = media_type(&name);
        let (size, content_base64) = (content.len() as u64, Some(Encoded::new(content)));
        self.left.files.push(OutputFile { name, size, media_type, content_base64, omitted: None });
    }

    fn omit(&mut self, name: String, stat: &Stat, why: String) {
        self.left.truncated = true;
        if self.omitted == MOST_OMITTED {
            return;
        }
        self.omitted += 1;
        let media_type = media_type(&name);
        self.left.files.push(OutputFile {
            name,
            size: size(stat),
            media_type,
            content_base64: None,
            omitted: Some(why),
        });
    }
}

fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// The names in a directory, without those of itself and of the one above.
fn entries(directory: &mut Dir) -> impl Iterator<Item = CString> {
    let names = directory.map_while(Result::ok).map(|entry| entry.file_name().to_owned());
    names.filter(|name| !matches!(name.to_bytes(), b"." | b".."))
}

fn open_directory(at: impl AsFd, path: impl Arg) -> io::Result<Dir> {
    Ok(Dir::new(open(at, path, OFlags::DIRECTORY)?)?)
}

/// Opens for reading what is below a directory, on its file system, without passing a link or waiting for anyone.
fn open(at: impl AsFd, path: impl Arg, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    Ok(openat2(at, path, flags, Mode::empty(), resolve)?)
}
