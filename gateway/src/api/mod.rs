//! What clients see: the paths, the contract that describes them, and every answer that the gateway gives by itself.
//!
//! A request comes here with its id and its client's address, and goes on to the supervisor when it was let in and is
//! whole. Nothing here knows of connections, or how bytes come and go.

pub mod app;
pub mod asked;
pub mod body;
pub mod chosen;
pub mod connect;
pub mod described;
pub mod execute;
pub mod health;
pub mod held;
pub mod job;
pub mod jupyter;
pub mod known;
pub mod mcp;
pub mod methods;
pub mod negotiation;
pub mod openapi;
pub mod page;
pub mod refusal;
pub mod returns;
pub mod router;
pub mod schemas;
pub mod sessions;
pub mod streamed;
