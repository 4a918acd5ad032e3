//! What is for people and their editors: what holds and where it was said, what a change means, the reference of every
//! key and the schema. Nothing that enforces a policy needs it.

pub mod diff;
mod explain;
pub mod reference;
mod schema;
mod show;

pub use explain::{Explanation, NoProfile};
pub use schema::schema;
