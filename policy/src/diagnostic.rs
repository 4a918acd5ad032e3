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
}

impl Diagnostics {
    pub(crate) fn new(path: &Path, source: &str) -> Self {
        Self { path: path.to_owned(), source: source.to_owned(), problems: Vec::new() }
    }

    pub(crate) fn push(&mut self, problem: Diagnostic) {
        self.problems.push(problem);
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
        self.problems.sort_by_key(|problem| problem.span.start);
    }

    fn render(&self, problem: &Diagnostic) -> String {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let path = self.path.display().to_string();
        let end = self.source.len();
        let span = problem.span.start.min(end)..problem.span.end.min(end);
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

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{}\n", self.render(problem))?;
        }
        let errors = self.problems.iter().filter(|problem| problem.severity == Severity::Error).count();
        let plural = if errors == 1 { "error" } else { "errors" };
        write!(f, "{}: {errors} {plural}", self.path.display())
    }
}

impl std::error::Error for Diagnostics {}

/// The candidate that a misspelt word most resembles, if any is close.
pub(crate) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}
