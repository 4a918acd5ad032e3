//! The filter of a job that is recorded: a profile's own, but what it would answer with an error is put
//! to a listener instead, `seccomp_unotify(2)`, and so is every call that names a path.

use std::io;
use std::os::fd::RawFd;

use seccompiler::{BpfProgram, sock_filter};

use super::answered;
use super::compile::{LONGEST, compile};
use super::frame::prologue;
use crate::bpf::code::{IF_EQUAL, RETURN};
use crate::error::{Context, Error, Result};
use crate::paths::PATHS;
use crate::spec::Spec;

/// Where the listener lies in the job's process: the first number behind a job's descriptors. It is
/// closed on exec, before anything of a script's runs.
pub const LISTENER: RawFd = 5;

/// Compiles the filter. What may not change stays as it is: other architectures' calls are death, and
/// what a C library probes for does not exist.
///
/// # Errors
/// As [`compile`].
pub fn compile_recorded(spec: &Spec) -> Result<BpfProgram> {
    let ask = sock_filter { code: RETURN, jt: 0, jf: 0, k: libc::SECCOMP_RET_USER_NOTIF };
    let own = compile(spec)?;
    let (fixed, rest) = own.split_at(prologue().len());
    let mut program = fixed.to_vec();
    let mut numbers: Vec<u32> = PATHS.iter().filter_map(|path| u32::try_from(path.number).ok()).collect();
    numbers.dedup();
    for number in numbers {
        program.push(sock_filter { code: IF_EQUAL, jt: 0, jf: 1, k: number });
        program.push(ask.clone());
    }
    let is_error = |step: &sock_filter| {
        let refuses = step.k & libc::SECCOMP_RET_ACTION_FULL == libc::SECCOMP_RET_ERRNO;
        step.code == RETURN && refuses && !answered::is_final(step.k)
    };
    program.extend(rest.iter().map(|step| if is_error(step) { ask.clone() } else { step.clone() }));
    if program.len() > LONGEST {
        let reason = format!("{} instructions, the kernel takes {LONGEST}: have fewer rules", program.len());
        return Err(Error::layer("compile the filter of a recording", reason));
    }
    Ok(program)
}

/// Puts the filter in force as [`apply`](super::apply) does, its listener at [`LISTENER`], which must be the lowest
/// descriptor that is free.
///
/// # Errors
/// When the kernel refuses the program, or there is a listener already: `EBUSY`.
pub fn apply_recorded(program: &BpfProgram) -> Result<()> {
    const DOING: &str = "seccomp SECCOMP_FILTER_FLAG_NEW_LISTENER";
    let len = u16::try_from(program.len()).map_err(|error| Error::layer(DOING, error))?;
    // The kernel only reads what this points to; the type is that of the C structure.
    let filter = libc::sock_fprog { len, filter: program.as_ptr().cast::<libc::sock_filter>().cast_mut() };
    // SAFETY: the program and the structure that points to it live until the call returns. Both types of
    // an instruction have the C layout of `struct sock_filter`.
    let listener = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const filter,
        )
    };
    match i32::try_from(listener) {
        Ok(LISTENER) => Ok(()),
        Ok(-1) | Err(_) => Err(io::Error::last_os_error()).doing(|| DOING),
        Ok(other) => Err(Error::layer(DOING, format_args!("the listener came to lie at {other}"))),
    }
}
