//! What the service manager gives and is told. Without one, nothing is given and nobody listens.

pub mod credentials;
pub mod notify;
pub mod sockets;
