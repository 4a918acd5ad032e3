//! The program of cold jobs' interpreters as the code that one of them has compiled it to: the same for all, and several
//! milliseconds of each start else.
//!
//! An interpreter that serves nobody compiles it, in a place like a zygote's and without a capability, once a second job has
//! started; until then, and where it cannot be had, jobs are started with the text. No stranger's byte is in that process or
//! in its mounts, and it loads no packages.

use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::SigSet;
use nix::unistd::Pid;

use crate::error::{Context, Error, Result};
use crate::program::Program;
use crate::sealed::{Sealed, Unsealed};
use crate::sys::{self, Forked};
use crate::weaker::Plan;
use crate::wire::End;
use crate::{credentials, limits, zygote_place};

/// Seconds of CPU time that it may take, of which it takes a hundredth.
const CPU_SECONDS: u64 = 10;

/// A profile's program and its code.
pub(crate) struct Compiled {
    compiler: Program,
    load: Program,
    code: Code,
}

enum Code {
    /// No job has been started, which may be the only one: an operator's programs start launchers for one.
    Unasked,
    /// The next job has it compiled.
    NotYet,
    /// This process writes it.
    Coming(Pid, Unsealed),
    There(Sealed),
    /// There will be none.
    Never,
}

impl Compiled {
    /// What a profile's jobs can be started with, if its interpreter compiles.
    ///
    /// # Errors
    /// When there is a NUL in any of it.
    pub fn new(plan: &Plan, environment: &[String]) -> Result<Option<Self>> {
        let Some(compiler) = &plan.compiler else { return Ok(None) };
        let (mut compile, mut load) = (compiler.compile.clone(), plan.command.clone());
        let Some(text) = load.get_mut(compiler.program) else { return Ok(None) };
        compile.push(std::mem::replace(text, compiler.load.clone()));
        Ok(Some(Self {
            compiler: Program::new(&compile, environment)?,
            load: Program::new(&load, environment)?,
            code: Code::Unasked,
        }))
    }

    /// The program to start, with its code at [`CODE`](crate::sealed::CODE), if it is there.
    pub fn program(&self) -> Option<(&Program, &Sealed)> {
        match &self.code {
            Code::There(code) => Some((&self.load, code)),
            _ => None,
        }
    }

    /// A job has been started: has it compiled, if nobody does or has, and there was one before.
    ///
    /// # Errors
    /// The call that failed, of which no job is the worse.
    ///
    /// # Safety
    /// The process has one thread, and its first descriptors are not used by the child that this makes.
    pub unsafe fn job_started(&mut self, plan: &Plan) -> Result<()> {
        match self.code {
            Code::Unasked => self.code = Code::NotYet,
            // SAFETY: as the caller vouches.
            Code::NotYet => return unsafe { self.compile(plan) },
            Code::Coming(..) | Code::There(_) | Code::Never => {}
        }
        Ok(())
    }

    /// As [`Self::job_started`].
    unsafe fn compile(&mut self, plan: &Plan) -> Result<()> {
        let code = Unsealed::new()?;
        // SAFETY: as the caller vouches.
        match unsafe { sys::clone3(0, None) }.doing(|| "clone3 a compiler")? {
            Forked::Parent { pid, .. } => self.code = Code::Coming(pid, code),
            Forked::Child => {
                sys::heed_signals();
                // SAFETY: as the caller vouches.
                let why = match unsafe { enter(plan, &code) } {
                    Ok(()) => self.compiler.exec(),
                    Err(error) => error.to_string(),
                };
                say(&why);
                sys::exit_now(127);
            }
        }
        Ok(())
    }

    /// A child of the launcher's has ended.
    pub fn has_ended(&mut self, ended: Pid, end: End) {
        self.code = match std::mem::replace(&mut self.code, Code::Never) {
            Code::Coming(pid, code) if pid == ended => match whole(code, end) {
                Ok(code) => Code::There(code),
                Err(why) => {
                    say(&why.to_string());
                    Code::Never
                }
            },
            other => other,
        };
    }
}

/// The code, of a compiler that has ended so.
fn whole(code: Unsealed, end: End) -> Result<Sealed> {
    match end {
        End::Code(0) if !code.is_empty()? => code.seal(),
        End::Code(0) => Err(Error::Peer("its compiler wrote nothing".to_owned())),
        End::Code(status) => Err(Error::Peer(format!("its compiler ended with {status}"))),
        End::Signal(signal) => Err(Error::Peer(format!("its compiler was ended by signal {signal}"))),
    }
}

/// Tells the operator, in the supervisor's log, why there is no code; nobody may be there to read it.
fn say(why: &str) {
    let _ = writeln!(
        io::stderr(),
        "cloister-supervisor: cold starts of a profile compile the runner each for itself: {why}"
    );
}

/// Goes where a zygote would be, with the code as standard output.
unsafe fn enter(plan: &Plan, code: &Unsealed) -> Result<()> {
    SigSet::empty().thread_set_mask().doing(|| "unblock signals")?;
    zygote_place::enter(plan)?;
    // SAFETY: the caller vouches that nothing of the first descriptors' owners is used again here.
    unsafe { sys::place_fd(code.as_fd().as_raw_fd(), libc::STDOUT_FILENO) }.doing(|| "dup2 to 1")?;
    // SAFETY: as above. Nothing is read.
    unsafe { sys::place_fd(libc::STDERR_FILENO, libc::STDIN_FILENO) }.doing(|| "dup2 to 0")?;
    setrlimit(Resource::RLIMIT_CPU, CPU_SECONDS, CPU_SECONDS).doing(|| "setrlimit RLIMIT_CPU")?;
    limits::anticipate(plan)?;
    credentials::drop_capabilities(&credentials::known_capabilities())
}
