//! What a command is doing, told while it does it: to standard error, so that standard output has the result alone.

/// Tells a step.
pub fn tell(step: impl std::fmt::Display) {
    eprintln!("cloister: {step}");
}
