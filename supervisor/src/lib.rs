//! The supervisor: runs untrusted Python, each job in a sandbox of its own.
//!
//! Rooms from the top down; each names those below it, and none above:
//!
//! 1. [`daemon`]: from an empty host to an empty host: start, confinement, reload, end;
//! 2. [`door`]: the socket, who may come in, and the answers that leave;
//! 3. [`pool`]: what is kept ready for a profile's jobs;
//! 4. [`job`]: one job, from its slot to its verdict;
//! 5. [`link`]: orders and descriptors to launchers and zygotes.
//!
//! Above is the operator's program, the crate `cloister-command`, which uses these rooms and is not in the daemon. Below are
//! the crates `cloister-sandbox`, `cloister-protocol` and `cloister-terms`.

pub mod daemon;
pub mod door;
pub mod job;
pub mod link;
pub mod pool;
