//! The metadata that a script brings (PEP 723): found as the PEP's own regular expression finds it, in one pass, and read as TOML
//! into what is known of it.

use std::iter::Peekable;
use std::str::Split;

use serde::Deserialize;

/// The longest metadata that is read, in bytes.
pub const LONGEST: usize = 32 * 1024;

/// What every block begins with, before its kind, and what it ends with.
const BEGIN: &str = "# /// ";
const END: &str = "# ///";

/// The kind of block that is about a script.
const KIND: &str = "script";

/// What is told again of TOML that is none, in characters.
const SHOWN: usize = 300;

/// What a script says that it needs. What else stands there is for other tools.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Metadata {
    /// Requirements.
    #[serde(default)]
    pub dependencies: Vec<String>,
    /// What is asked of Python's version.
    #[serde(default)]
    pub requires_python: Option<String>,
}

impl Metadata {
    /// Reads a script's metadata; `None` if it has none.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn of(script: &str) -> Result<Option<Self>, String> {
        // Most have none, and are not looked at line by line.
        if !script.contains("# /// script") {
            return Ok(None);
        }
        let mut blocks = Blocks::of(script).filter(|block| block.kind == KIND);
        let Some(block) = blocks.next() else { return Ok(None) };
        if blocks.next().is_some() {
            return Err("it has more than one block \"# /// script\", expected at most one".to_owned());
        }
        let size: usize = block.lines.iter().map(|line| line.len()).sum();
        if size > LONGEST {
            return Err(format!("its block \"# /// script\" is {size} bytes long, expected at most {LONGEST}"));
        }
        let content = block.content();
        toml::from_str(&content).map(Some).map_err(|error| {
            let place = error.span().map(|span| place(&content, span.start)).unwrap_or_default();
            let why: String = error.message().chars().take(SHOWN).collect();
            format!("its block \"# /// script\" is not what PEP 723 has there: {place}{why}")
        })
    }
}

/// Where in a text, from 1 on, in lines and in bytes.
fn place(text: &str, at: usize) -> String {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    let line = before.split(|byte| *byte == b'\n').next_back().unwrap_or_default();
    let lines = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    format!("line {lines}, column {} of it: ", line.len() + 1)
}

/// A block of a script.
struct Block<'a> {
    kind: &'a str,
    lines: Vec<&'a str>,
}

impl Block<'_> {
    /// Its lines as they are without the comment.
    fn content(&self) -> String {
        let plain =
            |line: &&str| line.strip_prefix("# ").or(line.strip_prefix('#')).unwrap_or_default().to_owned() + "\n";
        self.lines.iter().map(plain).collect()
    }
}

/// The blocks of a script, in their order. A block is in a run of comments, and ends with the last line of it that may end one.
struct Blocks<'a> {
    lines: Peekable<Split<'a, char>>,
    run: Vec<&'a str>,
    /// How far the run was looked at.
    at: usize,
    /// Where in the run the last line is that may end a block.
    end: Option<usize>,
}

impl<'a> Blocks<'a> {
    fn of(script: &'a str) -> Self {
        Self { lines: script.split('\n').peekable(), run: Vec::new(), at: 0, end: None }
    }

    /// Goes on to the next run of comments.
    fn next_run(&mut self) -> Option<()> {
        // As Python reads files, a line may end with a carriage return before its end.
        let plain = |line: &'a str| line.strip_suffix('\r').unwrap_or(line);
        let is_comment = |line: &&'a str| plain(line) == "#" || line.starts_with("# ");
        while self.lines.next_if(|line| !is_comment(line)).is_some() {}
        self.lines.peek()?;
        self.run.clear();
        while let Some(line) = self.lines.next_if(is_comment) {
            self.run.push(plain(line));
        }
        self.at = 0;
        self.end = self.run.iter().rposition(|line| *line == END);
        Some(())
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Block<'a>;

    fn next(&mut self) -> Option<Block<'a>> {
        loop {
            // Between its first line and its last there is at least one.
            while let Some(end) = self.end.filter(|end| *end > self.at + 1) {
                let (first, inside) = (self.run[self.at], self.at + 1..end);
                self.at += 1;
                if let Some(kind) = first.strip_prefix(BEGIN).filter(|kind| is_kind(kind)) {
                    self.at = end;
                    return Some(Block { kind, lines: self.run[inside].to_vec() });
                }
            }
            self.next_run()?;
        }
    }
}

fn is_kind(kind: &str) -> bool {
    !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
