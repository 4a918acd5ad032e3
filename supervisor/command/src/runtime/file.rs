//! Files of the operator's that everybody may read: jobs run as nobody.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cloister_program::replace_file;

use super::error::{Doing, Error};

const MODE: u32 = 0o644;

/// Puts a text in the place of what a file holds, or makes it.
pub fn replace(path: &Path, text: &str) -> Result<(), Error> {
    let replaced = replace_file(path, text, |file| file.set_permissions(Permissions::from_mode(MODE)));
    replaced.doing(|| format!("write {}", path.display()))
}
