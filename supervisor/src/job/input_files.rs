//! Whether the files of a request fit where its job is to find them.

use std::collections::HashSet;

use cloister_protocol::{ErrorCode, Failure, InputFile, directories};
use cloister_sandbox::spec::Spec;

use crate::job::bounds::Bounds;

/// What the kernel counts a file's memory in.
const PAGE: u64 = 4096;

/// Says whether the files of a request may be put where they should.
///
/// # Errors
/// The limit that they exceed.
pub fn check(files: &[InputFile], bounds: &Bounds, spec: &Spec, profile: &str) -> Result<(), Failure> {
    let too_large = |message: String| Err(Failure::new(ErrorCode::TooLarge, message));
    let (count, most) = (files.len() as u64, bounds.files_in);
    if count > most {
        return too_large(format!("files are {count}, profile {profile:?} accepts {most}"));
    }
    let sizes = || files.iter().map(|file| file.bytes().len() as u64);
    let (bytes, most) = (sizes().sum::<u64>(), bounds.files_in_bytes);
    if bytes > most {
        return too_large(format!("files are {bytes} bytes together, profile {profile:?} accepts {most}"));
    }
    if let Some((at, size)) = sizes().enumerate().find(|(_, size)| *size > spec.rlimits.file_size.0) {
        let most = spec.rlimits.file_size.0;
        return too_large(format!("files[{at}] is {size} bytes, a file of profile {profile:?} may have {most}"));
    }
    if files.is_empty() {
        return Ok(());
    }
    let (place, room) = spec.own_file_system(&spec.out).expect("a job may write where it leaves its files");
    let name = place.display();
    let needed = sizes().map(|size| size.next_multiple_of(PAGE)).sum::<u64>();
    if needed > room.bytes.0 {
        let most = room.bytes.0;
        return too_large(format!("files take {needed} bytes, {name} of profile {profile:?} has {most}"));
    }
    let made: HashSet<_> = files.iter().flat_map(|file| directories(file.path())).collect();
    // The file system's root, and the directories from there to `out`; its two halves, where it is shared.
    let shared = if spec.own_directory.is_some() && room == spec.tmp { 2 } else { 0 };
    let beside = spec.out.components().count() as u64 - place.components().count() as u64 + 1 + shared;
    let needed = count + made.len() as u64 + beside;
    if needed > room.inodes {
        let most = room.inodes;
        return too_large(format!(
            "files need {needed} files and directories, {name} of profile {profile:?} has {most}"
        ));
    }
    Ok(())
}
