//! Whatever a file holds, reading it never panics: every file of the fuzzer's corpus and of
//! `tests/messages`, and mutations of them with a fixed seed, the same in every run.

use std::fs;
use std::path::Path;

use cloister_policy::Checked;

use crate::messages;

/// Mutations of each file.
const MUTATIONS: usize = 20;

/// What a mutation may put in: what the file's grammar and its readers stumble over.
const WORDS: [&str; 24] = [
    "[",
    "]",
    "{",
    "}",
    "=",
    "\"",
    "'''",
    "#",
    "-",
    "@",
    ".",
    ":",
    "\0",
    "ä",
    "☃",
    "\u{202e}",
    "extends = \"default\"\n",
    "[profile.default]\n",
    "1e999",
    "-9223372036854775809",
    "\"-@python\"",
    "\"arg0 & 0 == 0\"",
    "18446744073709551616",
    "\\u0000",
];

/// Marsaglia's xorshift: enough to choose by.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound.max(1) as u64).expect("below a usize")
    }
}

fn corpus() -> Vec<String> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/parse");
    let mut paths: Vec<_> = [fuzz, messages::directory()]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).expect("the folder is there"))
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.sort();
    paths.iter().map(|path| String::from_utf8_lossy(&fs::read(path).expect("readable")).into_owned()).collect()
}

/// Reads a text and everything that can be said of it.
fn try_out(text: &str) {
    match Checked::parse(text, "policy.toml".as_ref()) {
        Err(problems) => {
            assert!(problems.has_errors());
            assert!(!problems.to_string().is_empty());
        }
        Ok(checked) => {
            let explained = checked.explain(None).expect("no profile is asked for").to_text();
            let again = Checked::parse(&explained, "explained".as_ref())
                .unwrap_or_else(|problems| panic!("{text}\nexplained is no policy:\n{problems}"));
            assert_eq!(cloister_policy::diff::diff(&checked, &again), [], "{text}\n{explained}");
        }
    }
}

fn mutated(text: &str, others: &[String], chance: &mut Chance) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for _ in 0..=chance.below(3) {
        let (from, to) = (chance.below(text.len() + 1), chance.below(text.len() + 1));
        let (from, to) = (from.min(to), from.max(to).min(from.min(to) + 40));
        match chance.below(5) {
            0 => drop(text.drain(from..to)),
            1 => drop(text.splice(from..from, WORDS[chance.below(WORDS.len())].chars())),
            2 => drop(text.splice(from..to, WORDS[chance.below(WORDS.len())].chars())),
            3 => {
                let piece: Vec<char> = text[from..to].to_vec();
                text.splice(from..from, piece);
            }
            _ => {
                let other: Vec<char> = others[chance.below(others.len())].chars().collect();
                let at = chance.below(other.len() + 1);
                text.splice(from..from, other[at..].iter().copied().take(200));
            }
        }
    }
    text.into_iter().collect()
}

#[test]
fn every_file_of_the_corpus_is_read_without_a_panic() {
    let corpus = corpus();
    assert!(corpus.len() >= 40);
    corpus.iter().for_each(|text| try_out(text));
}

#[test]
fn mutations_of_the_corpus_are_read_without_a_panic() {
    let corpus = corpus();
    let mut chance = Chance(0x0c10_1573);
    for text in &corpus {
        for _ in 0..MUTATIONS {
            try_out(&mutated(text, &corpus, &mut chance));
        }
    }
}

#[test]
fn depth_and_length_are_no_way_to_exhaust_the_reader() {
    for text in [
        format!("x = {}", "[".repeat(100_000)),
        format!("x = {}", "{a=".repeat(50_000)),
        format!("[{}]", "a.".repeat(50_000)),
        format!("{} = 1", vec!["a"; 20_000].join(".")),
        "\"".repeat(100_001),
        (0..300).map(|number| format!("[profile.p{number}]\nextends = \"p{}\"\n", number + 1)).collect(),
    ] {
        try_out(&text);
    }
}
