//! Whose a body is.

/// Who wrote a body, which decides a little of what may stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// A client of `POST /execute`.
    Client,
    /// An assistant that calls the tool: it may say `code` for `script`, and a script of its need not have a `main()`.
    Assistant,
    /// A client that sends it as a message of a conversation, with its `type`.
    Conversation,
    /// The gateway, which passes on what it was sent by any of them.
    Gateway,
}
