//! Orders and descriptors to launchers and zygotes, and their answers. What is sent is the sandbox crate's to say.

pub(crate) mod activity;
pub mod connection;
pub mod event_loop;
pub mod forkers;
pub mod job_fds;
pub mod launcher;
pub mod launcher_error;
pub(crate) mod replies;
pub(crate) mod silence;
