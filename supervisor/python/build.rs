//! Puts the parts of the runner together to the one text that an interpreter is started with.
//!
//! The order is that of `runner/parts`. What a part imports from others has to stand in front of it, and is left out:
//! in the text it is there already.

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=runner");
    let variable = |name| PathBuf::from(std::env::var_os(name).expect("cargo sets it"));
    let folder = variable("CARGO_MANIFEST_DIR").join("runner");
    std::fs::write(variable("OUT_DIR").join("runner.py"), put_together(&folder)).expect("write the runner's text");
}

fn put_together(folder: &Path) -> String {
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let (mut text, mut before) = (String::new(), Vec::new());
    let parts = read("parts");
    for part in parts.lines() {
        for line in read(&format!("{part}.py")).split_inclusive('\n') {
            match line.strip_prefix("from .").and_then(|rest| rest.split_once(" import ")) {
                Some((from, names)) => {
                    assert!(
                        before.contains(&from),
                        "runner/{part}.py imports from {from}, which is not in front of it"
                    );
                    assert!(!names.contains(['(', '\\']), "runner/{part}.py: an import from another part is one line");
                }
                None => text.push_str(line),
            }
        }
        before.push(part);
    }
    text
}
