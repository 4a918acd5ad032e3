//! What is said of a script's end in Python's own words: a result is what `main()` returns.

/// When a process ended that should have given a result.
pub const TOO_EARLY: &str = "before main() returned";

/// What goes through the result pipe.
pub const RESULT: &str = "main()'s result";
