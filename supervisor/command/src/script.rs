//! An operator's script.

use std::io::Read;
use std::path::Path;

use crate::error::Error;

/// Reads a script; `-` is standard input.
///
/// # Errors
/// Why it cannot be read.
pub fn read(path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    read.map_err(|error| Error::Script(path.to_owned(), error))
}
