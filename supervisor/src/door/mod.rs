//! The door: HTTP/1.1 on a Unix socket, who may have a job now, what a request comes to, and the answers that are not read
//! yet. It starts no process.

pub mod admitted;
pub(crate) mod answers;
pub(crate) mod asked;
pub(crate) mod body;
pub(crate) mod connections;
pub(crate) mod conversations;
pub mod engine;
pub(crate) mod events;
pub(crate) mod in_force;
pub(crate) mod job_log;
pub mod places;
pub(crate) mod readiness;
pub(crate) mod requests;
pub(crate) mod response;
pub(crate) mod runs;
pub(crate) mod server;
pub(crate) mod session_requests;
pub mod sessions;
pub(crate) mod shares;
pub(crate) mod streamed;
pub(crate) mod timing;
