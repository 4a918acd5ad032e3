//! The launcher of a profile: a small process with one thread from which every cell and every cold
//! job of the profile is cloned.
//!
//! It runs no untrusted code and is confined itself: root only of a user namespace of unprivileged
//! host ids, in a root file system that holds the runtime and nothing of the host. It is the first
//! process of a PID namespace, so its death is the death of every sandbox below it, and it is killed
//! by the kernel when the supervisor dies.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::waitpid;
use nix::unistd::sethostname;

use crate::cell::Cell;
use crate::compiled::Compiled;
use crate::error::{Context, Error, Result};
use crate::forker::{Event, FAILED, Forker, Started, fork_plain, report_failure};
use crate::kept::Kept;
use crate::overlay::Tree;
use crate::program::{self, Program};
use crate::sealed::{Sealed, ToLoad};
use crate::slot_namespaces::Found;
use crate::spec::Slot;
use crate::sys::{self, Forked};
use crate::weaker::{Layer, Plan, Weaker};
use crate::wire::{self, Brought, IntoCgroup, Notice, Order, Span, Wire, exactly};
use crate::{cell, credentials, devices, limits, process_ids, root, zygote_place};

/// The namespaces that a launcher is born into. Not a cgroup namespace: where those bound what was
/// delegated (`nsdelegate`, as systemd mounts the hierarchy) nothing can be born into a group that its
/// parent's does not show, and the slots' groups lie beside the launchers'. A job makes one of its own.
const NAMESPACES: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS;

/// What `uname(2)` says of a domain on a host that has none.
const DOMAIN_NAME: &str = "(none)";

/// The body of the process that the supervisor starts for a profile, its control socket at standard
/// input: clones the launcher into its namespaces, maps its ids (which needs the host's privileges
/// that it still has), and stays as the parent whose death the launcher does not survive.
///
/// # Errors
/// The step that failed before the launcher was on its own.
pub fn guard() -> Result<()> {
    guard_weaker(Weaker::default())
}

/// The same for sandboxes that lack something, which only an operator's program starts.
///
/// # Errors
/// As [`guard`].
pub fn guard_weaker(weaker: Weaker) -> Result<()> {
    die_with_parent()?;
    // A job's pipes later: nothing of ours may come to lie there.
    for number in [3, 4] {
        // SAFETY: at the start of a process only 0, 1 and 2 are open.
        unsafe { sys::place_fd(libc::STDERR_FILENO, number) }.doing(|| format!("dup2 to {number}"))?;
    }
    // SAFETY: as above.
    unsafe { cell::reserve_numbers() }?;
    // SAFETY: the supervisor passes its control socket as our standard input; nothing else owns it.
    let wire = Wire::from_fd(unsafe { OwnedFd::from_raw_fd(libc::STDIN_FILENO) });
    let Some((Order::SetUp(spec, ids, brought), fds)) = wire.receive().doing(|| "receive the profile")? else {
        return Err(Error::Peer("the supervisor sent no profile".to_owned()));
    };
    let (mut mapped, mut tell_mapped) = io::pipe().doing(|| "pipe")?;
    let spec = Plan::less(*spec, weaker);
    // SAFETY: this process has one thread.
    let forked =
        unsafe { sys::clone3(spec.namespaces(NAMESPACES) | libc::CLONE_NEWPID, None) }.doing(|| "clone3 the launcher");
    match forked.inspect_err(|error| tell_failure(&wire, error))? {
        Forked::Child => {
            drop(tell_mapped);
            let ended =
                mapped.read_exact(&mut [0]).doing(|| "wait for ids").and_then(|()| run(&wire, spec, (brought, fds)));
            let ended = ended.inspect_err(|error| tell_failure(&wire, error));
            sys::exit_now(i32::from(ended.is_err()));
        }
        Forked::Parent { pid, .. } => {
            let told = credentials::map_ids(pid, ids)
                .and_then(|()| tell_mapped.write_all(&[0]).doing(|| "tell the launcher of its ids"))
                .inspect_err(|error| tell_failure(&wire, error));
            drop(wire);
            drop(tell_mapped);
            waitpid(pid, None).doing(|| "wait for the launcher")?;
            told
        }
    }
}

fn tell_failure(wire: &Wire, error: &Error) {
    let _ = wire.send(&Notice::failed(None, error), &[]);
}

fn run(wire: &Wire, spec: Plan, (brought, fds): (Brought, Vec<OwnedFd>)) -> Result<()> {
    die_with_parent()?;
    wire::announce(wire)?;
    // Still with the id of who started this, who may pass to them.
    let devices = devices::open(&spec)?;
    let mut fds = fds.into_iter();
    // An interpreter can do without.
    let library = brought.library.then(|| fds.next()).flatten().and_then(|library| Sealed::copy(library).ok());
    let interpreter = brought.interpreter.then(|| fds.next()).flatten().map(File::from);
    credentials::become_namespace_root()?;
    // The change of ids cleared it: prctl(2), PR_SET_PDEATHSIG.
    die_with_parent()?;
    if !spec.leaves_out(Layer::UtsNamespace) {
        // For the zygotes' sake, whose imports may remember whatever they find out about the host.
        sethostname(&spec.hostname).doing(|| format!("sethostname {}", spec.hostname))?;
        sys::set_domain_name(DOMAIN_NAME).doing(|| "setdomainname")?;
    }
    // Directories above what is mounted, and files of the root's own, are for jobs to pass and read, whatever
    // the service's mask. A job has a mask of its own.
    umask(Mode::from_bits_truncate(0o022));
    let trees = root::enter_launcher_root(&spec, interpreter, devices)?;
    if !spec.leaves_out(Layer::NoNewPrivileges) {
        credentials::forgo_new_privileges()?;
    }
    let mut launcher = Launcher::new(spec, trees, library)?;
    wire.send(&Notice::Ready, &[]).doing(|| "tell the supervisor")?;
    launcher.serve(wire)
}

fn die_with_parent() -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).doing(|| "prctl PR_SET_PDEATHSIG")
}

struct Launcher {
    forker: Forker,
    cells: cell::Plans,
    job: Program,
    /// What a cold job's interpreter loads.
    library: Option<Sealed>,
    /// Its program once it has been compiled, for jobs that load a library as well.
    compiled: Option<Compiled>,
    kept: Kept,
    /// Whether the ids of processes from here on are none that jobs commonly have.
    is_past_jobs_ids: bool,
}

impl Launcher {
    fn new(spec: Plan, trees: Vec<Tree>, library: Option<Sealed>) -> Result<Self> {
        let environment = program::environment(&spec, &spec.environment);
        let job = Program::new(&spec.command, &environment)?;
        let compiled = if library.is_some() { Compiled::new(&spec, &environment)? } else { None };
        let kept = Kept::new(&spec, &trees)?;
        let cells = cell::Plans::new(&spec, &kept, trees)?;
        Ok(Self { forker: Forker::new(spec)?, cells, job, library, compiled, kept, is_past_jobs_ids: false })
    }

    /// Carries out orders until the supervisor closes its end.
    fn serve(&mut self, wire: &Wire) -> Result<()> {
        loop {
            match self.forker.wait(wire)? {
                Event::Child => {
                    for (pid, end) in self.forker.reap(wire)? {
                        if let Some(compiled) = &mut self.compiled {
                            compiled.has_ended(pid, end);
                        }
                    }
                }
                Event::Order => match wire.receive().doing(|| "receive an order")? {
                    Some((order, fds)) => self.obey(wire, order, fds)?,
                    None => return Ok(()),
                },
            }
        }
    }

    fn obey(&mut self, wire: &Wire, order: Order, fds: Vec<OwnedFd>) -> Result<()> {
        let (slot, outcome) = match order {
            Order::Cell(slot) => {
                (slot, self.build_cell(slot)?.map(|cell| (Notice::Cell(slot), vec![cell.init, cell.files])))
            }
            Order::Start(slot, into, span) => {
                (slot, self.start((slot, span), into, fds).map(|pidfd| (Notice::Started(slot), vec![pidfd])))
            }
            Order::Zygote(command, environment) => {
                let environment = program::environment(self.forker.confinement().plan(), &environment);
                return self.start_zygote(&Program::new(&command, &environment)?, fds);
            }
            Order::Ping => return wire.send(&Notice::Pong, &[]).doing(|| "answer the supervisor"),
            Order::SetUp(..) => return Err(Error::Peer("the profile was sent twice".to_owned())),
            Order::Fork(..) | Order::Grow(..) | Order::Serve(_) => {
                return Err(Error::Peer("a launcher was asked for what only a zygote does".to_owned()));
            }
        };
        match outcome {
            Ok((notice, fds)) => wire.send(&notice, &fds.iter().map(AsRawFd::as_raw_fd).collect::<Vec<_>>()),
            Err(error) => wire.send(&Notice::failed(slot, &error), &[]),
        }
        .doing(|| "answer the supervisor")
    }

    /// A cell, or why there is none; and an error of its own where this process could not come back from where the cell is.
    fn build_cell(&mut self, slot: Slot) -> Result<Result<Cell>> {
        let plan = self.forker.confinement().plan();
        // SAFETY: a launcher has one thread, and `guard` has reserved the numbers.
        let built = unsafe { self.kept.namespaces(plan, &self.cells.trees, slot) }
            .and_then(|namespaces| unsafe { cell::build(plan, &self.cells, &namespaces, slot) });
        self.kept.leave()?;
        if built.as_ref().is_ok_and(|cell| cell.found == Found::InIpc) {
            self.kept.forget_ipc(slot);
        }
        Ok(built)
    }

    /// A cold job: forked from here, and an interpreter started in it.
    fn start(&mut self, slot: (Slot, Span), into: IntoCgroup, fds: Vec<OwnedFd>) -> Result<OwnedFd> {
        // SAFETY: a launcher has one thread.
        match self.forker.start(slot, into, fds, |cgroup| unsafe { fork_plain(cgroup) })? {
            Started::Parent(pidfd) => {
                if let Some(compiled) = &mut self.compiled {
                    // Where it is short of something, the next job asks again, and this one has all that it needs.
                    // SAFETY: as above; the first descriptors are what a zygote's child replaces too.
                    let _ = unsafe { compiled.job_started(self.forker.confinement().plan()) };
                }
                Ok(pidfd)
            }
            Started::Job(place) => {
                sys::heed_signals();
                let (program, code) = match self.compiled.as_ref().and_then(Compiled::program) {
                    Some((program, code)) => (program, Some(code)),
                    None => (&self.job, None),
                };
                let to_load = self.library.as_ref().map(|library| ToLoad { library, code });
                if place.take(self.forker.confinement(), to_load).is_ok() {
                    report_failure(FAILED, &program.exec());
                }
                sys::exit_now(127)
            }
        }
    }

    /// A zygote: an interpreter in the launcher's own namespaces and root, that will import what the
    /// profile asks for and fork jobs itself. Its wire to the supervisor lies at 0, its library at 3, and 4 is taken.
    fn start_zygote(&mut self, program: &Program, fds: Vec<OwnedFd>) -> Result<()> {
        let [wire, library] = exactly(fds)?;
        let wire = Wire::from_fd(wire);
        if !self.is_past_jobs_ids {
            process_ids::leave_those_of_jobs()?;
            self.is_past_jobs_ids = true;
        }
        // SAFETY: a launcher has one thread.
        let forked = unsafe { sys::clone3(0, None) }.doing(|| "clone3 a zygote");
        if let Err(error) = &forked {
            // No reason to end what runs: who asked for the zygote is told, and may ask again.
            let _ = wire.send(&Notice::failed(None, error), &[]);
        }
        if let Ok(Forked::Child) = forked {
            sys::heed_signals();
            let placed = SigSet::empty().thread_set_mask().doing(|| "unblock signals").and_then(|()| {
                wire::announce(&wire)?;
                zygote_place::enter(self.forker.confinement().plan())?;
                #[cfg(feature = "leave-out")]
                self.forker.confinement().plan().weaker().hand_on()?;
                // SAFETY: this process is about to exec; nothing of the launcher's is used again.
                unsafe { sys::place_fd(wire.as_raw_fd(), 0) }.doing(|| "dup2 to 0")?;
                // SAFETY: as above.
                unsafe { sys::place_fd(library.as_raw_fd(), 3) }.doing(|| "dup2 to 3")?;
                // SAFETY: as above.
                unsafe { sys::place_fd(libc::STDERR_FILENO, 4) }.doing(|| "dup2 to 4")?;
                // Last, for what is open already may have numbers beyond them.
                limits::anticipate(self.forker.confinement().plan())
            });
            let error = match placed {
                Ok(()) => program.exec(),
                Err(error) => error.to_string(),
            };
            let _ = wire.send(&Notice::Failed(None, error), &[]);
            sys::exit_now(127);
        }
        Ok(())
    }
}
