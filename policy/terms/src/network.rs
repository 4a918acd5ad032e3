//! The networks that a job may have.

use serde::{Deserialize, Serialize};

/// The network that a job sees. In neither is there anything but what the job itself brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// A namespace of its own with no interface up, and no family of sockets but Unix.
    None,
    /// A namespace of its own in which the loopback interface is up, with TCP and UDP.
    Loopback,
}
