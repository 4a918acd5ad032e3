//! What stopped a job, turned into the contract's words. The kernel's evidence comes first; what the
//! job says of itself only counts where the kernel has nothing to say.

use std::time::Duration;

use cloister_protocol::report::Report;
use cloister_protocol::{Beside, Denial, Details, ErrorCode, Failure, Layer, Reason};
use cloister_sandbox::cgroup::Usage;
use cloister_sandbox::wire::End;
use nix::sys::signal::Signal;
use serde_json::value::{RawValue, to_raw_value};

use crate::job::bounds::Bounds;
use crate::job::locks::MOST;
use crate::job::report::{Heard, Said};

/// What stopped a job.
#[derive(Debug)]
pub enum Stop {
    /// What it said itself.
    Said(Said),
    /// Its process ended without one.
    Ended(End),
    /// Its process ended, and how is not told.
    Gone,
    /// It did not heed an interrupt for so long.
    Unheeded(Duration),
    /// Its wall time, this long.
    WallTime(Duration),
    /// What it may wait for all of its calls of tools, this long.
    CallTime(Duration),
    /// Its CPU time.
    CpuTime,
    /// Its memory.
    OutOfMemory,
    /// Its record locks, which take memory of the kernel's.
    TooManyLocks,
}

/// What stopped a job, and what it had said by then.
#[derive(Debug)]
pub struct Stopped {
    /// What stopped it.
    pub stop: Stop,
    /// What it had said.
    pub heard: Heard,
    /// Whether it was a program, which comes to an exit code.
    pub program: bool,
}

/// The verdict: a result, or the failure.
pub type Verdict = Result<Box<RawValue>, Failure>;

/// The verdict on a job that stopped like this, with what is told beside it. A long report is read beside the event
/// loop, which others need.
pub async fn of(stopped: Stopped, used: &Usage, bounds: &Bounds) -> (Verdict, Beside) {
    let Stopped { stop, heard, program } = stopped;
    if let Some(code) = exit_code(&stop, used, bounds).filter(|_| program) {
        let null = to_raw_value(&()).expect("nothing has a form in JSON");
        return (Ok(null), Beside { exit_code: Some(code), ..Beside::default() });
    }
    let Heard { said, waits_for, notes } = heard;
    let (stop, unfinished) = match said {
        // What it has said of itself holds, whatever becomes of its end.
        Some(said) => (Stop::Said(said), unfinished(stop, &waits_for, used, bounds)),
        None => (stop, None),
    };
    let verdict = if matches!(&stop, Stop::Said(said) if said.is_large()) {
        let (used, bounds) = (*used, *bounds);
        let judged = tokio::task::spawn_blocking(move || judge(stop, &used, &bounds));
        judged.await.expect("reading a report neither panics nor is cancelled")
    } else {
        judge(stop, used, bounds)
    };
    (verdict, Beside { exit_code: None, unfinished, notes })
}

/// What a program came to, if it ended of its own accord.
fn exit_code(stop: &Stop, used: &Usage, bounds: &Bounds) -> Option<u8> {
    match stop {
        Stop::Said(Said::Exited(code)) => Some(*code),
        Stop::Ended(End::Code(code)) if used.oom_kills == 0 && used.cpu < bounds.cpu => u8::try_from(*code).ok(),
        _ => None,
    }
}

/// How the end of a job that had given its verdict was cut short, if it was.
fn unfinished(stop: Stop, waits_for: &str, used: &Usage, bounds: &Bounds) -> Option<String> {
    let what = match stop {
        Stop::Said(_) => return None,
        Stop::Ended(End::Code(code)) if used.oom_kills == 0 && used.cpu < bounds.cpu => {
            format!("the script ended its process with exit code {code}")
        }
        stop => judge(stop, used, bounds).err()?.message,
    };
    let waited = if waits_for.is_empty() { "what is done at the end, such as finalizers" } else { waits_for };
    Some(format!("{what}; by then it had come to its end, which waited for {waited}"))
}

fn judge(stop: Stop, used: &Usage, bounds: &Bounds) -> Verdict {
    match stop {
        Stop::Said(said) => match said.read() {
            Report::Result(json) => Ok(json),
            Report::Failure(failure) => Err(claimed(failure, used)),
            Report::Garbled => Err(garbled(bounds)),
        },
        Stop::WallTime(limit) => Err(timeout(limit, bounds)),
        Stop::CallTime(limit) => Err(call_time(limit)),
        Stop::CpuTime => Err(cpu_limit(bounds)),
        Stop::OutOfMemory => Err(memory_limit()),
        Stop::TooManyLocks => Err(too_many_locks()),
        Stop::Ended(_) | Stop::Gone if used.made_way() => Err(node_memory()),
        Stop::Ended(_) | Stop::Gone if used.oom_kills > 0 => Err(memory_limit()),
        Stop::Ended(_) | Stop::Gone if used.cpu >= bounds.cpu => Err(cpu_limit(bounds)),
        Stop::Ended(End::Code(code)) => Err(Failure::new(
            ErrorCode::Exit,
            format!("the script ended its process with exit code {code} {}", bounds.language.too_early),
        )
        .with(Details { exit_code: Some(code.into()), ..Details::default() })),
        Stop::Ended(End::Signal(number)) => Err(killed(number)),
        Stop::Gone => Err(Failure::new(ErrorCode::Killed, "the process of the session ended: it crashed, or the code ended it")),
        Stop::Unheeded(wait) => Err(unheeded(wait)),
    }
}

/// A failure that the job told of itself, with what only the supervisor knows.
fn claimed(mut failure: Failure, used: &Usage) -> Failure {
    if failure.code == ErrorCode::Exception && failure.no_fork && used.forks_refused > 0 {
        failure.code = ErrorCode::ProcessLimit;
        failure.message = format!("the profile's limit of processes and threads was reached: {}", failure.message);
    }
    failure
}

fn timeout(limit: Duration, bounds: &Bounds) -> Failure {
    let (whose, reason) = if limit < bounds.wall {
        ("which is the request's timeout_ms", Reason::RequestTimeout)
    } else {
        ("which is the profile's wall_time: timeout_ms can lower it and never raise it", Reason::ProfileTimeout)
    };
    let message = format!("the script was still running after {} and was ended, {whose}", seconds(limit));
    Failure::new(ErrorCode::Timeout, message).with(Details { reason: Some(reason), ..Details::default() })
}

fn unheeded(wait: Duration) -> Failure {
    let message = format!(
        "the cell was interrupted, went on for {} and was ended, which is the profile's sessions.interrupt_wait",
        seconds(wait)
    );
    Failure::new(ErrorCode::Interrupted, message)
}

fn call_time(limit: Duration) -> Failure {
    let message = format!(
        "the script had waited for its calls of tools for {} in all and was ended, which is the profile's tools.total",
        seconds(limit)
    );
    Failure::new(ErrorCode::Timeout, message).with(Details { reason: Some(Reason::ToolsTimeout), ..Details::default() })
}

fn garbled(bounds: &Bounds) -> Failure {
    let result = bounds.language.result;
    Failure::new(
        ErrorCode::Exit,
        format!("the script wrote to descriptor 3, through which {result} goes, and so ended without one"),
    )
}

fn cpu_limit(bounds: &Bounds) -> Failure {
    Failure::new(ErrorCode::CpuLimit, format!("the script used its {} of CPU time and was ended", seconds(bounds.cpu)))
}

fn memory_limit() -> Failure {
    Failure::new(ErrorCode::MemoryLimit, "the script used more memory than its profile allows and was ended")
}

/// Neither the script's fault nor the profile's.
fn node_memory() -> Failure {
    let message = "the memory of the node was used up by all that runs on it, and the script was ended although its profile \
                   allows it more: send it again later, or elsewhere";
    let hint = "the operator can give the node more memory, or its policy fewer slots".to_owned();
    let details = Details { reason: Some(Reason::NodeMemory), hint: Some(hint), ..Details::default() };
    Failure::new(ErrorCode::MemoryLimit, message).with(details)
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
            "the script's process crashed (SIGSEGV): its stack was used up by deep recursion (the profile's rlimits.stack), or \
             native code touched memory that is not its own"
                .to_owned()
        }
        "SIGSYS" => "the script made a system call that is answered with death (SIGSYS)".to_owned(),
        "SIGXFSZ" => "the script wrote a file larger than its profile allows (SIGXFSZ)".to_owned(),
        _ => format!("the script's process was ended by {name}"),
    };
    Failure::new(ErrorCode::Killed, message).with(Details { signal: Some(name), ..Details::default() })
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
