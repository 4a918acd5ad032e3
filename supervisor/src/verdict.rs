//! What stopped a job, turned into the contract's words. The kernel's evidence comes first; what the
//! job says of itself only counts where the kernel has nothing to say.

use std::time::Duration;

use cloister_protocol::{Denial, ErrorCode, Failure, Layer};
use cloister_sandbox::cgroup::Usage;
use cloister_sandbox::wire::End;
use nix::sys::signal::Signal;
use serde_json::value::RawValue;

use crate::locks::MOST;
use crate::profile::Bounds;
use crate::report::Report;

/// What stopped a job.
#[derive(Debug)]
pub enum Stop {
    /// Its own report.
    Reported(Report),
    /// Its process ended without one.
    Ended(End),
    /// Its wall time, this long.
    WallTime(Duration),
    /// Its CPU time.
    CpuTime,
    /// Its memory.
    OutOfMemory,
    /// Its record locks, which take memory of the kernel's.
    TooManyLocks,
}

/// The verdict on a job that stopped like this.
///
/// # Errors
/// The failure, when there is no result.
pub fn of(stop: Stop, used: &Usage, bounds: &Bounds) -> Result<Box<RawValue>, Failure> {
    match stop {
        Stop::Reported(Report::Result(json)) => Ok(json),
        Stop::Reported(Report::Failure(failure)) => Err(claimed(failure, used)),
        Stop::Reported(Report::Garbled | Report::Nothing) => Err(garbled()),
        Stop::WallTime(limit) => Err(Failure::new(
            ErrorCode::Timeout,
            format!("the script was still running after {} and was ended", seconds(limit)),
        )),
        Stop::CpuTime => Err(cpu_limit(bounds)),
        Stop::OutOfMemory => Err(memory_limit()),
        Stop::TooManyLocks => Err(too_many_locks()),
        Stop::Ended(_) if used.oom_kills > 0 => Err(memory_limit()),
        Stop::Ended(_) if used.cpu >= bounds.cpu => Err(cpu_limit(bounds)),
        Stop::Ended(End::Code(code)) => Err(Failure::new(
            ErrorCode::Exit,
            format!("the script ended its process with exit code {code} before main() returned"),
        )
        .with("exit_code", code)),
        Stop::Ended(End::Signal(number)) => Err(killed(number)),
    }
}

/// A failure that the job told of itself, with what only the supervisor knows.
fn claimed(mut failure: Failure, used: &Usage) -> Failure {
    let refused_a_fork = failure.details.remove("errno_hint").is_some_and(|hint| hint == "EAGAIN");
    if failure.code == ErrorCode::Exception && refused_a_fork && used.forks_refused > 0 {
        failure.code = ErrorCode::ProcessLimit;
        failure.message = format!("the profile's limit of processes and threads was reached: {}", failure.message);
    }
    failure
}

fn garbled() -> Failure {
    Failure::new(
        ErrorCode::Exit,
        "the script wrote to descriptor 3, through which main()'s result goes, and so ended without one",
    )
}

fn cpu_limit(bounds: &Bounds) -> Failure {
    Failure::new(ErrorCode::CpuLimit, format!("the script used its {} of CPU time and was ended", seconds(bounds.cpu)))
}

fn memory_limit() -> Failure {
    Failure::new(ErrorCode::MemoryLimit, "the script used more memory than its profile allows and was ended")
}

/// The kernel has no limit on these any more, which is why ours is the same in all profiles.
fn too_many_locks() -> Failure {
    let message = format!("the script held more than {MOST} record locks at once, which take memory, and was ended");
    let mut failure = Failure::new(ErrorCode::MemoryLimit, message);
    failure.denials.push(Denial {
        layer: Layer::Rlimit,
        what: format!("more than {MOST} record locks (fcntl F_SETLK) at once"),
        hint: "this is so in every profile: lock with flock, or one range for many".to_owned(),
    });
    failure
}

fn killed(number: i32) -> Failure {
    let name =
        Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |signal| signal.as_str().to_owned());
    let message = match name.as_str() {
        "SIGSEGV" => {
            "the script's process crashed (SIGSEGV): native code touched memory that is not its own".to_owned()
        }
        "SIGSYS" => "the script made a system call that is answered with death (SIGSYS)".to_owned(),
        "SIGXFSZ" => "the script wrote a file larger than its profile allows (SIGXFSZ)".to_owned(),
        _ => format!("the script's process was ended by {name}"),
    };
    Failure::new(ErrorCode::Killed, message).with("signal", name)
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
