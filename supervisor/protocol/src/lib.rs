//! What crosses the socket between the gateway and the supervisor, and nothing else.
//!
//! Both sides parse what they receive with the same strict code: the gateway the client's body,
//! the supervisor the gateway's. No input or output happens here and nothing needs a privilege.

#![forbid(unsafe_code)]

mod answer;
mod bundle;
mod call;
mod calls;
mod cell;
mod checkpoint;
mod claim;
mod code;
mod entry;
pub mod event;
mod failure;
mod field;
mod file;
mod files;
mod fork;
mod id;
mod imports;
mod json;
mod kernel_count;
mod message;
mod packages;
mod pattern;
mod profile;
mod quota;
mod recent;
pub mod report;
mod request;
mod returns;
#[cfg(feature = "openapi")]
pub mod schemas;
mod session;
mod session_files;
mod stats;
mod tenant;
mod tools;
mod writer;

pub use cloister_terms::{DEFAULT_PROFILE, OUT, Package};

pub use answer::{Answer, Beside, Given, Stream, Usage};
pub use bundle::MimeBundle;
pub use call::Call;
pub use calls::Calls;
pub use cell::{Busy, CellGiven, CellRequest};
pub use checkpoint::Checkpoint;
pub use claim::Claim;
pub use code::ErrorCode;
pub use entry::{Entry, LONGEST_ARGUMENTS, MOST_ARGUMENTS, Nan};
pub use failure::{Denial, Details, Failure, Layer, Reason};
pub use field::InvalidRequest;
pub use file::{Encoded, InputFile, LeftFile, OutputFile, directories};
pub use files::DEEPEST;
pub use fork::{ForkRequest, Forked, MOST_BRANCHES};
pub use id::JobId;
pub use imports::{ImportSet, is_data};
pub use json::{MAX_DEPTH, NotJson, check, check_result};
pub use kernel_count::KernelCount;
pub use message::Message;
pub use packages::{LONGEST_REQUIREMENTS, MOST_REQUIREMENTS, MissingPackage, MissingPackages};
pub use pattern::{MOST_PATTERNS, Part, Pattern, is_hidden};
pub use profile::{Interpreter, ProfileInfo, Profiles};
pub use quota::{Amount, QuotaKind, SpentQuota};
pub use recent::Recent;
pub use request::ExecuteRequest;
pub use returns::{LONGEST_MESSAGE, RefusedReturn, Return, Returned, Returns, Taken, ToolFailure};
pub use session::{
    Interrupted, SessionCell, SessionEnd, SessionInfo, SessionRequest, SessionState, SessionUsage, Sessions,
};
pub use session_files::{SessionFile, SessionFiles, check_file_path};
pub use stats::{Cost, ImportedStats, ProfileStats, Restarts, Stats, WarmStats};
pub use tenant::Tenant;
pub use tools::{MOST_TOOLS, Tool, Tools};
pub use writer::Writer;

/// The header that carries the job's id, in a request to the supervisor and in every response.
pub const ID_HEADER: &str = "x-cloister-id";

/// The header by which the gateway tells for whom a request is: a [`Tenant`]. Without it a request is for tenant 0, which is
/// root on the host.
pub const TENANT_HEADER: &str = "x-cloister-tenant";

/// The header by which the gateway tells for which runtime it has chosen the request's profile: [`ProfileInfo::runtime`]. Under
/// another the job is not begun.
pub const RUNTIME_HEADER: &str = "x-cloister-runtime";

/// The header by which the gateway tells which profile it has chosen, for a request whose script says what it needs.
pub const PROFILE_HEADER: &str = "x-cloister-profile";

/// The request header that asks for the layers in force, and the response header that tells them.
pub const EXPLAIN_HEADER: &str = "x-cloister-explain";

/// The header by which the supervisor tells what became of a job, without a look into the answer:
/// [`RETURNED`] or an error code. Of a streamed answer it is in the trailer.
pub const OUTCOME_HEADER: &str = "x-cloister-outcome";

/// The header by which the supervisor tells what the kernel counted of a job that ran, a [`KernelCount`]. Of a streamed answer
/// it is in the trailer.
pub const COUNTED_HEADER: &str = "x-cloister-counted";

/// The header by which the gateway tells that the client of a stream will have the answer whole: nothing of it is told before there is a
/// call, and nothing of what is printed beside the answer.
pub const WHOLE_HEADER: &str = "x-cloister-whole";

/// The header by which the supervisor tells what a job's calls of tools came to, [`Calls`], if it could make any. It is in the
/// trailer of a streamed answer.
pub const CALLS_HEADER: &str = "x-cloister-calls";

/// The header by which the supervisor tells how long it waits for what a call of the job's returns, in milliseconds.
pub const RETURNS_WITHIN_HEADER: &str = "x-cloister-returns-within";

/// The header by which the gateway tells of which session a script is a cell: its [`JobId`].
pub const SESSION_HEADER: &str = "x-cloister-session";

/// The header by which the gateway tells what a cell does while another of its session runs: a [`Busy`], which waits unless it is said.
pub const BUSY_HEADER: &str = "x-cloister-busy";

/// The header by which the supervisor tells that it takes no jobs yet, because it is only starting: nothing of the request was
/// looked at, and it can be sent again.
pub const AWAY_HEADER: &str = "x-cloister-away";

/// What [`OUTCOME_HEADER`] says of a job that returned.
pub const RETURNED: &str = "returned";

/// The header that tells how long each stage took (W3C Server Timing): `queue` until there was a place, `setup` until the job ran, `run` until its verdict,
/// and of that apart `wait` for its calls of tools.
pub const TIMING_HEADER: &str = "server-timing";

/// The path that runs a job, on the gateway's listener and on the supervisor's socket alike.
pub const EXECUTE_PATH: &str = "/execute";

/// What follows the path that runs a job and the job's id, where what its calls of tools return is sent: `/execute/{id}/returns`.
pub const RETURNS: &str = "returns";

/// The path under which sessions are, on the gateway's listener and on the supervisor's socket alike: each at `/sessions/{id}`.
pub const SESSIONS_PATH: &str = "/sessions";

/// What follows a session's path, where its cell is interrupted.
pub const INTERRUPT: &str = "interrupt";

/// What follows a session's path, where it is forked.
pub const FORK: &str = "fork";

/// What follows a session's path, where its files are.
pub const FILES: &str = "files";

/// What follows a session's path, where it is exported.
pub const EXPORT: &str = "export";

/// What follows it where its cells alone are, without its files.
pub const CELLS: &str = "cells";

/// The path that answers with [`Stats`], on the supervisor's socket alone.
pub const STATS_PATH: &str = "/stats";

/// The path that answers with [`Profiles`], on the supervisor's socket alone.
pub const PROFILES_PATH: &str = "/profiles";

/// Whether a `Content-Type` header's value says JSON; parameters such as a charset are accepted.
#[must_use]
pub fn is_json_content_type(value: &str) -> bool {
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}
