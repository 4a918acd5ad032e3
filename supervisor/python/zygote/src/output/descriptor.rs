//! Bytes on their way to a descriptor: all of them, at once, and no line in parts where the kernel can help it.

use std::ffi::{c_int, c_void};
use std::io::{Error, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::output::python;

/// What a pipe takes in one piece, whoever else writes: `PIPE_BUF`, pipe(7).
const PIECE: usize = libc::PIPE_BUF;

/// A descriptor that output goes to.
pub struct Descriptor {
    number: c_int,
    /// Whether it is worth asking to write only if nobody has to be waited for.
    at_once: AtomicBool,
}

impl Descriptor {
    pub const fn new(number: c_int) -> Self {
        Self { number, at_once: AtomicBool::new(true) }
    }

    /// Writes all of it. `None`: an exception is set.
    pub fn write(&self, bytes: &[u8]) -> Option<()> {
        if self.number == libc::STDOUT_FILENO {
            flush_c();
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            // To its end before the next is looked for: that of a long line would be sought anew behind each part that a pipe takes.
            let (mut piece, behind) = rest.split_at(piece(rest));
            while !piece.is_empty() {
                piece = &piece[self.write_some(piece)?..];
            }
            rest = behind;
        }
        Some(())
    }

    /// Writes some of it. As long as there is room, the interpreter's lock is kept: who gives it up gets it back only
    /// when it is another thread's turn to, and prints wait for that one by one.
    fn write_some(&self, bytes: &[u8]) -> Option<usize> {
        if self.at_once.load(Ordering::Relaxed) {
            match write_at_once(self.number, bytes) {
                Ok(written) => return Some(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // An older kernel, another kind of file, a filter: from now on the usual way, which tells what is wrong.
                Err(_) => self.at_once.store(false, Ordering::Relaxed),
            }
        }
        loop {
            match python::unlocked(|| write(self.number, bytes)) {
                Ok(written) => return Some(written),
                Err(error) if error.kind() == ErrorKind::Interrupted => python::handle_signals()?,
                Err(error) => {
                    python::fail_by_errno(&error);
                    return None;
                }
            }
        }
    }
}

/// How much is written in one piece: whole lines up to what a pipe takes so, or one line that is longer.
fn piece(bytes: &[u8]) -> usize {
    if bytes.len() <= PIECE {
        return bytes.len();
    }
    let end = |at: usize| at + 1;
    let lines = bytes[..PIECE].iter().rposition(|&byte| byte == b'\n').map(end);
    let longer = || first_newline(&bytes[PIECE..]).map(|at| PIECE + end(at));
    lines.or_else(longer).unwrap_or(bytes.len())
}

/// The C library's, which looks at many bytes at once: a line can be as long as a job's memory.
fn first_newline(bytes: &[u8]) -> Option<usize> {
    // SAFETY: it looks at so many bytes from there, which are these.
    let found = unsafe { libc::memchr(bytes.as_ptr().cast(), c_int::from(b'\n'), bytes.len()) };
    (!found.is_null()).then(|| found.addr() - bytes.as_ptr().addr())
}

/// Puts what C has printed by now in front. What is in lines C has written already: see [`by_lines`].
fn flush_c() {
    let file = c_stdout();
    // SAFETY: a stream that is there.
    if unsafe { __fpending(file) } > 0 {
        // SAFETY: as above.
        python::unlocked(|| unsafe { libc::fflush(file) });
    }
}

/// Has C write its lines as they end, as it would to a terminal.
pub fn by_lines() {
    // SAFETY: a stream that is there, with a buffer of its own making.
    unsafe { libc::setvbuf(c_stdout(), std::ptr::null_mut(), libc::_IOLBF, 0) };
}

fn c_stdout() -> *mut libc::FILE {
    // SAFETY: the C library sets it; only code that could do anything to this process can set it to what is none.
    unsafe { stdout }
}

unsafe extern "C" {
    static mut stdout: *mut libc::FILE;
    fn __fpending(file: *mut libc::FILE) -> usize;
}

/// `write(2)`.
fn write(number: c_int, bytes: &[u8]) -> Result<usize, Error> {
    // SAFETY: the bytes are only read, within the call.
    let written = unsafe { libc::write(number, bytes.as_ptr().cast(), bytes.len()) };
    usize::try_from(written).map_err(|_| Error::last_os_error())
}

/// `pwritev2(2)` where the descriptor is, if it need not wait: pipes know of that since Linux 6.5.
fn write_at_once(number: c_int, bytes: &[u8]) -> Result<usize, Error> {
    let part = libc::iovec { iov_base: bytes.as_ptr().cast::<c_void>().cast_mut(), iov_len: bytes.len() };
    // SAFETY: one part, whose bytes are only read, within the call.
    let written = unsafe { libc::pwritev2(number, &raw const part, 1, -1, libc::RWF_NOWAIT) };
    usize::try_from(written).map_err(|_| Error::last_os_error())
}
