//! Puts the parts of the runner together to the one text that an interpreter is started with.
//!
//! The order is that of `runner/parts`. What a part imports from others has to stand in front of it, and is left out:
//! in the text it is there already. The parts of `runner/late` are in it as one string, `LATE`, in front of the last part:
//! who imports from one of them in a function has them compiled by that, for what only failures need would cost each
//! cold start its compilation.

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=runner");
    let variable = |name| PathBuf::from(std::env::var_os(name).expect("cargo sets it"));
    let folder = variable("CARGO_MANIFEST_DIR").join("runner");
    std::fs::write(variable("OUT_DIR").join("runner.py"), put_together(&folder)).expect("write the runner's text");
}

fn put_together(folder: &Path) -> String {
    let (parts, late) = (read(folder, "parts"), read(folder, "late"));
    let (mut text, mut before) = (String::new(), Vec::new());
    for part in parts.lines() {
        if Some(part) == parts.lines().last() {
            text.push_str(&literal(&put_behind(folder, late.lines(), &before)));
        }
        text.push_str(&put_behind(folder, std::iter::once(part), &before));
        before.push(part);
    }
    text
}

/// The text of parts, behind that of others.
fn put_behind<'a>(folder: &Path, parts: impl Iterator<Item = &'a str>, others: &[&'a str]) -> String {
    let (mut text, mut before) = (String::new(), others.to_vec());
    for part in parts {
        for line in read(folder, &format!("{part}.py")).split_inclusive('\n') {
            let code = line.trim_start();
            match code.strip_prefix("from .").and_then(|rest| rest.split_once(" import ")) {
                Some(_) if code.len() < line.len() => text.push_str(&line.replace(code, "load_late()\n")),
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

/// A text as a literal of Python's.
fn literal(text: &str) -> String {
    assert!(!text.contains("'''"), "runner: a late part holds what ends a raw string of three quotes");
    format!("LATE = r'''{text}'''\n")
}

fn read(folder: &Path, name: &str) -> String {
    let path = folder.join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
