//! Puts the parts of the runner together to the one text that an interpreter is started with, and those of a zygote.
//!
//! The order is that of `runner/parts`. What a part imports from others has to stand in front of it, and is left out:
//! in the text it is there already, and what is for readers alone. The parts of `runner/late` are in it as strings, in `LATE`, in front of the last part:
//! who imports from one of them, in a function or in another such part, has it compiled by that, for what most jobs do not
//! need would cost each start with the text its compilation. Those of `runner/sessions` are strings likewise, in a text of their own.

use std::path::{Path, PathBuf};

/// The parts of a zygote's Python half.
const ZYGOTE: [&str; 3] = ["renew", "layout", "zygote"];

fn main() {
    println!("cargo:rerun-if-changed=runner");
    println!("cargo:rerun-if-changed=zygote");
    let variable = |name| PathBuf::from(std::env::var_os(name).expect("cargo sets it"));
    let [runner, zygote] = ["runner", "zygote"].map(|name| variable("CARGO_MANIFEST_DIR").join(name));
    let zygote: String = ZYGOTE.iter().map(|part| alone(&zygote, part, &ZYGOTE, &[])).collect();
    let (runner, sessions) = put_together(&runner);
    for (name, text) in [("runner.py", runner), ("sessions.py", sessions), ("zygote.py", zygote)] {
        std::fs::write(variable("OUT_DIR").join(name), text).expect("write a text");
    }
}

/// The runner's text, and that of what of it serves sessions.
fn put_together(folder: &Path) -> (String, String) {
    let lists = ["parts", "late", "sessions"].map(|list| read(folder, list));
    let [early, late, sessions] = lists.each_ref().map(|list| list.lines().collect::<Vec<_>>());
    let (last, before) = early.split_last().expect("there are parts");
    let any_late = [&late[..], &sessions].concat();
    let alone = |part: &&str| alone(folder, part, &early, &any_late);
    let strings = |parts: &[&str]| -> String {
        let string = |part: &&str| {
            let text = alone(part);
            assert!(!text.contains("'''"), "{part}.py holds what ends a raw string of three quotes");
            format!("{part:?}: r'''{text}''',\n")
        };
        parts.iter().map(string).collect()
    };
    let before: String = before.iter().map(alone).collect();
    let runner = format!("{before}LATE = {{\n{}}}\n{}", strings(&late), alone(last));
    (runner, format!("LATE.update({{\n{}}})\n", strings(&sessions)))
}

/// The text of a part, with what it imports from others left out, or compiled where it is late.
fn alone(folder: &Path, part: &str, early: &[&str], late: &[&str]) -> String {
    let mut text = String::new();
    for line in without_words(&read(folder, &format!("{part}.py"))).split_inclusive('\n') {
        let code = line.trim_start();
        let Some((from, names)) = code.strip_prefix("from .").and_then(|rest| rest.split_once(" import ")) else {
            text.push_str(line);
            continue;
        };
        assert!(!names.contains(['(', '\\']), "{part}.py: an import from another part is one line");
        if late.contains(&from) {
            let needed = late.contains(&part) || code.len() < line.len();
            assert!(needed, "{part}.py imports from {from}, which is late, outside of a function");
            text.push_str(&line.replace(code, &format!("load_late({from:?})\n")));
        } else {
            let at = |name| early.iter().position(|other| *other == name);
            let there = at(from).is_some_and(|from| at(part).is_none_or(|part| from < part));
            assert!(there && code.len() == line.len(), "{part}.py imports from {from}, which is not in front of it");
        }
    }
    text
}

/// A part without its comments, documentation and empty lines: an interpreter reads all of it where it is not compiled before, and an
/// argument has room for so much (`execve(2)`).
fn without_words(text: &str) -> String {
    let (mut kept, mut in_string, mut is_kept, mut opened) = (String::new(), false, true, true);
    for line in text.split_inclusive('\n') {
        let code = line.trim();
        if !in_string {
            if code.is_empty() || code.starts_with('#') {
                continue;
            }
            is_kept = !(opened && code.starts_with("\"\"\""));
            opened = ["def ", "class ", "async def "].iter().any(|word| code.starts_with(word)) && code.ends_with(':');
        }
        if is_kept {
            kept.push_str(line);
        }
        in_string ^= code.matches("\"\"\"").count() % 2 == 1;
    }
    kept
}

fn read(folder: &Path, name: &str) -> String {
    let path = folder.join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
