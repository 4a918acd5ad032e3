//! A job's answer as a model reads it: what it returned, why it did not, and what it printed, each once and nothing empty.

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::fields::{Fields, text};

/// What is told in a place of its own, or to programs alone.
const PLACED: [&str; 20] = [
    "error",
    "result",
    "exit_code",
    "stdout",
    "stderr",
    "truncated",
    "files",
    "files_left",
    "files_left_more",
    "files_missing",
    "notes",
    "usage",
    "id",
    "session",
    "cell",
    "text",
    "data",
    "display",
    "restored",
    "not_kept",
];

/// What is told of an error in its first line, or is in its message.
const IN_MESSAGE: [&str; 9] = ["code", "message", "exception", "traceback", "denials", "ran", "path", "signal", "line"];

/// An answer in words. Its text is written as it is needed, and never as a whole.
pub struct Told<'a> {
    /// The answer.
    pub answer: &'a Fields<'a>,
    /// The files in it.
    pub files: &'a [Fields<'a>],
}

impl Serialize for Told<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Lines { f, first: true };
        if let Some(error) = self.answer.read::<Fields<'_>>("error") {
            tell_error(&mut lines, &error)?;
        }
        self.tell_result(&mut lines)?;
        for (name, value) in self.answer.0.iter().filter(|(name, _)| !PLACED.contains(&&**name)) {
            lines.field(name, value)?;
        }
        for note in self.answer.read::<Vec<Cow<'_, str>>>("notes").into_iter().flatten() {
            lines.line(format_args!("note: {note}"))?;
        }
        let truncated = self.answer.read::<Vec<Cow<'_, str>>>("truncated").unwrap_or_default();
        for stream in ["stdout", "stderr"] {
            let printed = self.answer.text(stream).unwrap_or_default();
            let cut =
                if truncated.contains(&stream.into()) { " (the beginning; more was printed than is kept)" } else { "" };
            if !printed.is_empty() || !cut.is_empty() {
                lines.line(format_args!("{stream}{cut}:"))?;
                lines.line(format_args!("{}", printed.strip_suffix('\n').unwrap_or(&printed)))?;
            }
        }
        self.tell_files(&mut lines, truncated.contains(&"files".into()))?;
        self.tell_others(&mut lines)?;
        self.tell_session(&mut lines)
    }
}

impl Told<'_> {
    /// What came of it. Of a cell's value there is its text, as an interpreter shows it, and nothing of `None`.
    fn tell_result(&self, lines: &mut Lines<'_, '_>) -> fmt::Result {
        match (self.answer.get("exit_code"), self.answer.get("result"), self.answer.text("text")) {
            (Some(code), ..) => lines.field("exit_code", code),
            (None, _, Some(text)) => lines.line(format_args!("result: {text}")),
            (None, Some(result), None) if self.answer.get("session").is_none() => lines.field("result", result),
            (None, ..) => Ok(()),
        }?;
        for shown in self.answer.read::<Vec<Fields<'_>>>("display").into_iter().flatten() {
            match shown.text("text/plain") {
                Some(text) => lines.line(format_args!("shown: {text}"))?,
                None => {
                    lines.line(format_args!(
                        "shown: {}",
                        shown.0.iter().map(|(name, _)| &**name).collect::<Vec<_>>().join(", ")
                    ))?;
                }
            }
        }
        Ok(())
    }

    /// Where the next cell goes, and what this one cost.
    fn tell_session(&self, lines: &mut Lines<'_, '_>) -> fmt::Result {
        let Some(session) = self.answer.text("session") else { return Ok(()) };
        let restored = self.answer.read::<bool>("restored");
        match restored {
            Some(true) => lines.line(format_args!("restored: the session goes on as it was before this call"))?,
            Some(false) => lines.line(format_args!("the session {session} is over: begin a new one"))?,
            None => {}
        }
        let not_kept = self.answer.read::<Vec<Cow<'_, str>>>("not_kept").unwrap_or_default();
        if !not_kept.is_empty() {
            lines.line(format_args!("not brought back: {}", not_kept.join("; ")))?;
        }
        if restored == Some(false) { Ok(()) } else { lines.line(format_args!("session: {session}")) }
    }

    /// The names of files, which some kinds of content have no place for.
    fn tell_files(&self, lines: &mut Lines<'_, '_>, cut: bool) -> fmt::Result {
        if self.files.is_empty() && !cut {
            return Ok(());
        }
        lines.line(format_args!("files, in the order in which they follow:"))?;
        for file in self.files {
            // Of a file that the request named beside `out` there is its path.
            let named = file.text("path").map(|path| (path, ""));
            let (name, place) = named.unwrap_or_else(|| (file.text("name").unwrap_or_default(), "out/"));
            match file.text("omitted") {
                Some(why) => lines.line(format_args!("{place}{name} (not here: {why})"))?,
                None => lines.line(format_args!("{place}{name}"))?,
            }
        }
        if cut { lines.line(format_args!("(there were more)")) } else { Ok(()) }
    }

    /// What was asked for and is not there, and what is there and was not asked for.
    fn tell_others(&self, lines: &mut Lines<'_, '_>) -> fmt::Result {
        let missing = self.answer.read::<Vec<Cow<'_, str>>>("files_missing").unwrap_or_default();
        if !missing.is_empty() {
            lines.line(format_args!("files_out that matched no file: {}", missing.join(", ")))?;
        }
        let left = self.answer.read::<Vec<Fields<'_>>>("files_left").unwrap_or_default();
        if left.is_empty() {
            return Ok(());
        }
        lines.line(format_args!(
            "files that were left and are not returned (files_out, or writing to out/, returns them):"
        ))?;
        for file in &left {
            let size = file.get("size").map_or("?", RawValue::get);
            lines.line(format_args!("{} ({size} bytes)", file.text("path").unwrap_or_default()))?;
        }
        match self.answer.get("files_left_more") {
            Some(more) if more.get() != "0" => lines.line(format_args!("(and {} more)", more.get())),
            _ => Ok(()),
        }
    }
}

fn tell_error(lines: &mut Lines<'_, '_>, error: &Fields<'_>) -> fmt::Result {
    let field = |name: &str| error.text(name).unwrap_or_default();
    let (message, traceback) = (field("message"), field("traceback"));
    let traceback = traceback.trim_end_matches('\n');
    // Python's own last line says it, too.
    if traceback.ends_with(&*message) && !message.is_empty() {
        lines.line(format_args!("error: {}", field("code")))?;
    } else {
        lines.line(format_args!("error: {}: {message}", field("code")))?;
    }
    if !traceback.is_empty() {
        lines.line(format_args!("{traceback}"))?;
    }
    for denial in error.read::<Vec<Fields<'_>>>("denials").into_iter().flatten() {
        let [what, hint] = ["what", "hint"].map(|name| denial.text(name).unwrap_or_default());
        lines.line(format_args!("refused: {what}: {hint}"))?;
    }
    for (name, value) in error.0.iter().filter(|(name, _)| !IN_MESSAGE.contains(&&**name)) {
        lines.field(name, value)?;
    }
    Ok(())
}

/// Lines with nothing before the first.
struct Lines<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
    first: bool,
}

impl Lines<'_, '_> {
    fn line(&mut self, line: fmt::Arguments<'_>) -> fmt::Result {
        if !std::mem::take(&mut self.first) {
            self.f.write_str("\n")?;
        }
        self.f.write_fmt(line)
    }

    /// A field that is not empty: text as text, anything else as it is written.
    fn field(&mut self, name: &str, value: &RawValue) -> fmt::Result {
        match text(value) {
            Some(text) if name != "result" => self.line(format_args!("{name}: {text}")),
            _ => self.line(format_args!("{name}: {}", value.get())),
        }
    }
}
