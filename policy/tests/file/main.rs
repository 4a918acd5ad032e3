//! The policy file as its users meet it: its messages, what profiles inherit, what the program says.

mod corpus;
mod host;
mod inheritance;
mod messages;
mod program;
mod shipped;
