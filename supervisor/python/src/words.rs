//! What is said of a script's end where Python's own words are needed: that a result is what `main()` returns.

/// A process that ended by itself, without a result.
#[must_use]
pub fn ended(code: i32) -> String {
    format!("the script ended its process with exit code {code} before main() returned")
}

/// Something on the result pipe that the runner would not write.
pub const WROTE_TO_RESULT_PIPE: &str =
    "the script wrote to descriptor 3, through which main()'s result goes, and so ended without one";
