//! The files that a request wants back from its working directory: paths with wildcards, read once, and matched a name
//! at a time without ever trying the same thing twice over.

use std::str::Chars;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::field::{InvalidRequest, items, string, wrong_type};
use crate::files::{check_name_parts, check_relative};

/// How many patterns a request may have.
pub const MOST_PATTERNS: usize = 32;

/// The longest part of a pattern that has wildcards in it, in bytes: what is matched takes as many steps as the name
/// and this have letters, multiplied.
const LONGEST_WILD: usize = 64;

/// The directory that the interpreter keeps what it compiled in: no wildcard means it.
const CACHE: &str = "__pycache__";

/// A path relative to the working directory, with wildcards: `*`, `?` and `[...]` within a name, and `**` for any
/// directories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    parts: Vec<Part>,
}

/// What a pattern says of one name of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// This one.
    Name(String),
    /// One that these match.
    Wild(Vec<Wildcard>),
    /// Any number of directories, none too.
    Directories,
}

/// What a wildcard stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wildcard {
    /// Any letters, none too.
    Any,
    /// One letter: any.
    One,
    /// One letter of these ranges, or if `not`, one of no such.
    Of {
        /// The first and the last of each.
        ranges: Vec<(char, char)>,
        /// Whether all others are meant.
        not: bool,
    },
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// Parses the field `files_out`.
pub(crate) fn parse(value: &RawValue) -> Result<Vec<Pattern>, InvalidRequest> {
    if !value.get().starts_with('[') {
        return Err(wrong_type("files_out", "an array of paths", value));
    }
    items("files_out", value, MOST_PATTERNS, pattern)
}

fn pattern(field: &str, item: &RawValue) -> Result<Pattern, InvalidRequest> {
    let text = string(field, item)?;
    let wrong = |why: String| InvalidRequest::new(format!("{field} {why}"));
    // As people write a directory.
    let path = text.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(&text);
    check_relative(path).and_then(|()| check_name_parts(path)).map_err(|misplaced| wrong(misplaced.to_string()))?;
    let parts: Vec<_> = path.split('/').map(part).collect();
    let wild = path.split('/').zip(&parts).filter(|(_, part)| matches!(part, Part::Wild(_)));
    if let Some(long) = wild.map(|(name, _)| name.len()).find(|len| *len > LONGEST_WILD) {
        return Err(wrong(format!("has a name with wildcards of {long} bytes in it, expected at most {LONGEST_WILD}")));
    }
    Ok(Pattern { text, parts })
}

fn part(name: &str) -> Part {
    if name == "**" {
        return Part::Directories;
    }
    if !name.contains(['*', '?', '[']) {
        return Part::Name(name.to_owned());
    }
    let (mut wildcards, mut letters) = (Vec::new(), name.chars());
    while let Some(letter) = letters.next() {
        wildcards.push(match letter {
            '*' if wildcards.last() == Some(&Wildcard::Any) => continue,
            '*' => Wildcard::Any,
            '?' => Wildcard::One,
            '[' => set(&mut letters).unwrap_or(just('[')),
            letter => just(letter),
        });
    }
    Part::Wild(wildcards)
}

fn just(letter: char) -> Wildcard {
    Wildcard::Of { ranges: vec![(letter, letter)], not: false }
}

/// What stands behind a bracket, if that is closed: fnmatch(3). The first letter is one of the set whatever it is.
fn set(letters: &mut Chars<'_>) -> Option<Wildcard> {
    let mut rest = letters.clone();
    let not = rest.as_str().starts_with(['!', '^']);
    if not {
        rest.next();
    }
    let mut ranges = Vec::new();
    loop {
        match rest.next()? {
            ']' if !ranges.is_empty() => break,
            first => {
                let mut ahead = rest.clone();
                match (ahead.next(), ahead.next()) {
                    (Some('-'), Some(last)) if last != ']' => {
                        rest = ahead;
                        ranges.push((first, last));
                    }
                    _ => ranges.push((first, first)),
                }
            }
        }
    }
    *letters = rest;
    Some(Wildcard::Of { ranges, not })
}

impl Pattern {
    /// As the request has it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it says of each name.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The path, if it is one without wildcards.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        let plain = self.parts.iter().all(|part| matches!(part, Part::Name(_)));
        plain.then(|| self.text.strip_suffix('/').unwrap_or(&self.text))
    }
}

impl Part {
    /// Whether it says this name. A wildcard means no hidden one, as in a shell.
    #[must_use]
    pub fn says(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Directories => !is_hidden(name),
            Self::Wild(wildcards) => {
                let asked = wildcards.first() == Some(&just('.'));
                (asked || !is_hidden(name)) && matches(wildcards, name)
            }
        }
    }
}

/// Whether a name is of what nobody looks at who does not say so: `.cache`, `__pycache__`.
#[must_use]
pub fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || name == CACHE
}

/// Whether all of a name is what the wildcards stand for. Only the last `*` is ever tried again, for what an earlier one
/// could take instead the last can take too.
fn matches(wildcards: &[Wildcard], name: &str) -> bool {
    let (mut at, mut rest) = (0, name.chars());
    let mut again: Option<(usize, Chars<'_>)> = None;
    loop {
        let mut ahead = rest.clone();
        let letter = ahead.next();
        match (wildcards.get(at), letter) {
            (Some(Wildcard::Any), _) => {
                at += 1;
                again = Some((at, rest.clone()));
                continue;
            }
            (Some(wildcard), Some(letter)) if wildcard.is(letter) => {
                (at, rest) = (at + 1, ahead);
                continue;
            }
            (None, None) => return true,
            _ => {}
        }
        // Let the last `*` have a letter more.
        let Some((behind, from)) = &mut again else { return false };
        if from.next().is_none() {
            return false;
        }
        (at, rest) = (*behind, from.clone());
    }
}

impl Wildcard {
    fn is(&self, letter: char) -> bool {
        match self {
            Self::Any | Self::One => true,
            Self::Of { ranges, not } => ranges.iter().any(|(first, last)| (*first..=*last).contains(&letter)) != *not,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_PATTERNS, Part, Pattern};
    use crate::request::ExecuteRequest;

    fn parse(patterns: &str) -> Result<Vec<Pattern>, String> {
        let body = format!(r#"{{"script": "x", "files_out": {patterns}}}"#);
        ExecuteRequest::parse(body.as_bytes()).map(|request| request.files_out).map_err(|error| error.to_string())
    }

    fn one(pattern: &str) -> Pattern {
        parse(&format!("[{}]", serde_json::to_string(pattern).expect("JSON"))).expect(pattern).remove(0)
    }

    fn says(pattern: &str, name: &str) -> bool {
        one(pattern).parts[0].says(name)
    }

    #[test]
    fn a_name_is_matched_as_a_shell_does() {
        for (pattern, names) in [
            ("*", &["a", "a.b", "é"][..]),
            ("*.png", &["a.png", "a.b.png"]),
            ("a*c*e", &["ace", "abcde", "acce", "accee"]),
            ("?", &["a", "é", "💡"]),
            ("a[0-9b]?", &["a0x", "abx", "a9]"]),
            ("[!a-c]", &["d", "é", "-"]),
            ("[^a]", &["b", "^"]),
            ("[]a]", &["]", "a"]),
            ("[a-]", &["a", "-"]),
            ("[a", &["[a"]),
            ("x[[]1]", &["x[1]"]),
            ("****a****", &["a", "ba", "bab"]),
            (".*", &[".a", ".gitignore"]),
            ("__pycache__", &["__pycache__"]),
            ("plain", &["plain"]),
        ] {
            for name in names {
                assert!(says(pattern, name), "{pattern} {name}");
            }
        }
        for (pattern, names) in [
            ("*", &[".hidden", "__pycache__", ""][1..2]),
            ("*.png", &["png", "a.png.txt", ".a.png"]),
            ("?", &["", "ab"]),
            ("a*c*e", &["aec", "ac", "e"]),
            ("[!a]", &["a", ".", ""]),
            ("[z-a]", &["m", "z"]),
            ("plain", &["Plain", "plain "]),
        ] {
            for name in names {
                assert!(!says(pattern, name), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn no_pattern_takes_long() {
        let name = "a".repeat(255);
        for pattern in ["*a".repeat(31) + "b", "*".repeat(64), "*[!b]".repeat(12) + "b", "?*".repeat(31) + "b"] {
            for _ in 0..100 {
                assert_eq!(says(&pattern, &name), !pattern.ends_with('b'));
            }
        }
    }

    #[test]
    fn every_mistake_names_the_pattern() {
        let long = format!("[\"{}*\"]", "n".repeat(64));
        let many = format!("[{}]", vec!["\"a\""; MOST_PATTERNS + 1].join(","));
        for (patterns, expected) in [
            ("null", "files_out is null, expected an array of paths"),
            (r#""a""#, "files_out is a string, expected an array of paths"),
            ("[1]", "files_out[0] is the number 1, expected a string"),
            (r#"["a", "/tmp/a"]"#, "files_out[1] is \"/tmp/a\", expected one relative to the working directory"),
            (r#"["../a"]"#, "files_out[0] is \"../a\", expected names between the slashes and not \"..\""),
            (r#"["a/../b"]"#, "files_out[0] is \"a/../b\""),
            (r#"["./a"]"#, "files_out[0] is \"./a\""),
            (r#"["a//b"]"#, "files_out[0] is \"a//b\""),
            (r#"[""]"#, "files_out[0] is \"\""),
            (r#"["/"]"#, "files_out[0] is \"/\""),
            (r#"["a\u0000*"]"#, "files_out[0] is \"a\\0*\", expected no NUL in it"),
            (&long, "files_out[0] has a name with wildcards of 65 bytes in it, expected at most 64"),
            (&many, "files_out has more than the 32 items that it may have"),
        ] {
            let message = parse(patterns).expect_err(patterns);
            assert!(message.starts_with(expected), "{patterns}: {message}");
        }
    }

    #[test]
    fn what_is_written_anew_is_the_same_request() {
        let patterns = r#"["a","plots/*.png","**/[!x]","out/","é\n"]"#;
        let parsed = parse(patterns).expect("valid");
        assert_eq!(serde_json::to_string(&parsed).expect("JSON"), patterns);
        assert_eq!(
            parsed.iter().map(Pattern::path).collect::<Vec<_>>(),
            [Some("a"), None, None, Some("out"), Some("é\n")]
        );
        assert_eq!(one("**").parts, [Part::Directories]);
    }
}
