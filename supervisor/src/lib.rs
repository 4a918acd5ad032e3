//! The supervisor: runs untrusted Python, each job in a sandbox of its own.
//!
//! Rooms from the top down; each names those below it, and none above:
//!
//! 1. [`tools`]: what an operator runs at a terminal: `doctor`, `run`, `learn`;
//! 2. [`daemon`]: from an empty host to an empty host: start, confinement, reload, end;
//! 3. [`door`]: the socket, who may come in, and the answers that leave;
//! 4. [`pool`]: what is kept ready for a profile's jobs;
//! 5. [`job`]: one job, from its slot to its verdict;
//! 6. [`link`]: orders and descriptors to launchers and zygotes.
//!
//! Below are the crates `cloister-sandbox`, `cloister-protocol` and `cloister-policy`.

pub mod daemon;
pub mod door;
pub mod job;
pub mod link;
pub mod pool;
pub mod tools;
