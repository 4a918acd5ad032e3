//! Every message, as a person sees it: `tests/messages` holds a file for each family of mistakes, and
//! beside it what is said. With BLESS set, what is said now is what is expected from now on.

use std::fs;
use std::path::{Path, PathBuf};

use cloister_policy::Checked;

pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/messages")
}

fn said_of(text: &str) -> String {
    match Checked::parse(text, "policy.toml".as_ref()) {
        Ok(checked) => format!("{}\n", checked.warnings),
        Err(problems) => format!("{problems}\n"),
    }
}

#[test]
fn each_mistake_is_told_with_its_place_and_what_to_do() {
    let bless = std::env::var_os("BLESS").is_some();
    let files = fs::read_dir(directory()).expect("the folder is there").map(|entry| entry.expect("readable").path());
    let mut count = 0;
    for file in files.filter(|path| path.extension().is_some_and(|extension| extension == "toml")) {
        let said = said_of(&fs::read_to_string(&file).expect("text"));
        let expected = file.with_extension("txt");
        if bless {
            fs::write(&expected, &said).expect("writable");
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(said, expected, "{}; BLESS=1 cargo test takes what is said now", file.display());
        count += 1;
    }
    assert!(count >= 20);
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file() {
    let text = fs::read_to_string(directory().join("ranges.toml")).expect("text");
    let problems = Checked::parse(&text, "policy.toml".as_ref()).expect_err("full of mistakes");
    let places: Vec<_> = problems.problems().iter().map(|problem| problem.span.start).collect();
    assert!(places.len() >= 15 && places.is_sorted());
}
