//! The engine: runs untrusted Python, each job in a sandbox of its own. It is root of nothing but a user namespace that has
//! the ids of jobs; what takes more is made before it begins, and done beside it, by the crate `cloister-supervisor`.
//!
//! Rooms from the top down; each names those below it, and none above:
//!
//! 1. [`daemon`]: from an empty host to an empty host: start, reload, end;
//! 2. [`door`]: the socket, who may come in, and the answers that leave;
//! 3. [`pool`]: what is kept ready for a profile's jobs;
//! 4. [`job`]: one job, from its slot to its verdict;
//! 5. [`link`]: orders and descriptors to launchers and zygotes.
//!
//! Above is the operator's program, the crate `cloister-command`, which uses these rooms and is not in the daemon. Below are
//! the crates `cloister-supervisor`, `cloister-sandbox`, `cloister-protocol` and `cloister-terms`.

pub mod daemon;
pub mod door;
pub mod job;
pub mod link;
pub mod pool;
