//! Problems in a policy file, told the way rustc does: the place, the line, a caret, what to do.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// It can, but probably not as meant.
    Warning,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Where, in bytes of the file.
    pub span: Range<usize>,
    /// What was expected there.
    pub label: String,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub(crate) fn error(span: Range<usize>, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self { severity: Severity::Error, message: message.into(), span, label: label.into(), help: None }
    }

    /// Something that can be used, but is probably not meant.
    pub(crate) fn warning(span: Range<usize>, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message, label) }
    }

    /// With advice.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// All problems of one file. Displayed, each is a paragraph with the source line.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    path: PathBuf,
    source: String,
    problems: Vec<Diagnostic>,
    /// Whether parts of the file could not be read, so that what is not there may only be unreadable.
    pub(crate) incomplete: bool,
}

impl Diagnostics {
    pub(crate) fn new(path: &Path, source: &str) -> Self {
        Self { path: path.to_owned(), source: source.to_owned(), problems: Vec::new(), incomplete: false }
    }

    pub(crate) fn push(&mut self, problem: Diagnostic) {
        self.problems.push(problem);
    }

    /// Adds one that could come from what could not be read elsewhere in the file, unless something could not.
    pub(crate) fn push_of_whole(&mut self, problem: Diagnostic) {
        if !self.incomplete {
            self.problems.push(problem);
        }
    }

    /// Adds those of another look at the same file.
    pub fn extend(&mut self, others: Self) {
        self.problems.extend(others.problems);
        self.sort();
    }

    /// None yet, of the same file.
    pub(crate) fn emptied(&self) -> Self {
        Self { problems: Vec::new(), ..self.clone() }
    }

    #[cfg(feature = "text")]
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// What the messages call the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The line and the column, both from 1 and in characters, of a byte of the file.
    #[must_use]
    pub fn position(&self, byte: usize) -> (usize, usize) {
        position(&self.source, byte)
    }

    /// The problems in the order of the file.
    #[must_use]
    pub fn problems(&self) -> &[Diagnostic] {
        &self.problems
    }

    /// Whether any makes the file unusable.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    pub(crate) fn sort(&mut self) {
        let mut each: Vec<Diagnostic> = Vec::new();
        for problem in self.problems.drain(..) {
            if !each.contains(&problem) {
                each.push(problem);
            }
        }
        each.sort_by_key(|problem| problem.span.start);
        self.problems = each;
    }

    fn render(&self, problem: &Diagnostic) -> String {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let path = self.path.display().to_string();
        let span = whole_characters(&self.source, &problem.span);
        let snippet = Snippet::source(&self.source)
            .path(&path)
            .annotation(AnnotationKind::Primary.span(span).label(&problem.label));
        let mut group = Group::with_title(level.primary_title(&problem.message)).element(snippet);
        if let Some(help) = &problem.help {
            group = group.element(Level::HELP.message(help));
        }
        Renderer::plain().render(&[group])
    }
}

impl Diagnostics {
    /// How many there are, in words.
    #[must_use]
    pub fn summary(&self) -> String {
        let warnings = self.problems.iter().filter(|problem| problem.severity == Severity::Warning).count();
        let count = |number: usize, word: &str| format!("{number} {word}{}", if number == 1 { "" } else { "s" });
        match (self.problems.len() - warnings, warnings) {
            (0, 0) => "no problems".to_owned(),
            (0, warnings) => count(warnings, "warning"),
            (errors, 0) => count(errors, "error"),
            (errors, warnings) => format!("{} and {}", count(errors, "error"), count(warnings, "warning")),
        }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{}\n", self.render(problem))?;
        }
        write!(f, "{}: {}", self.path.display(), self.summary())
    }
}

impl std::error::Error for Diagnostics {}

/// The line and the column, both from 1 and in characters, of a byte of a text.
pub(crate) fn position(source: &str, byte: usize) -> (usize, usize) {
    let before = &source[..boundary(source, byte)];
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// A span that begins and ends between characters of the text.
fn whole_characters(source: &str, span: &Range<usize>) -> Range<usize> {
    let start = boundary(source, span.start);
    let end = (span.end..source.len()).find(|at| source.is_char_boundary(*at)).unwrap_or(source.len());
    start..end.max(start)
}

/// The last place between characters at or before a byte.
fn boundary(source: &str, byte: usize) -> usize {
    (0..=byte.min(source.len())).rev().find(|at| source.is_char_boundary(*at)).unwrap_or(0)
}
