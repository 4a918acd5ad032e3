//! An operator's script.

use std::io::Read;

/// Reads a script; `-` is standard input.
///
/// # Errors
/// Why it cannot be read.
pub fn read(path: &std::path::Path) -> Result<String, String> {
    let mut text = String::new();
    let read = if path == std::path::Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    read.map_err(|error| format!("read {}: {error}", path.display()))
}
