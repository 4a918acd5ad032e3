//! What is said of a script's end in Python's own words: a result is what `main()` returns.

/// When a process ended that should have given a result.
pub const TOO_EARLY: &str = "before main() returned";

/// What goes through the result pipe.
pub const RESULT: &str = "main()'s result";

/// When the process of a session ended in a cell.
pub const CELL_TOO_EARLY: &str = "in the middle of a cell";

/// What goes through the result pipe of a session.
pub const VALUE: &str = "what a cell comes to";
