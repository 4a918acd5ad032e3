//! What holds in the end, and for each value where it was said.

use std::fmt::{self, Write};
use std::path::Path;

use serde_json::{Map, Value as Json, json};

use super::show;
use crate::diagnostic::position;
use crate::keys::profile::{EXTENDS, RUNTIME, WARM};
use crate::keys::runtime::BASE;
use crate::keys::{Key, Kind, Table};
use crate::load::Checked;
use crate::read::{Origin, Placed, Value, Values, is_said_beside_a_base};
use crate::seccomp::Syscall;
use crate::suggest::{meant, nearest, quoted};

/// The width that lists of system calls are wrapped at.
const WIDTH: usize = 100;

/// Where the comment on a value begins, if the value leaves room.
const COLUMN: usize = 40;

/// What holds in a policy, in words of the file.
pub struct Explanation<'a> {
    checked: &'a Checked,
    only: Option<&'a str>,
}

/// A profile that is asked for and not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoProfile {
    name: String,
    known: Vec<String>,
}

impl fmt::Display for NoProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, known } = self;
        write!(f, "there is no profile {name:?}, profiles are: {}", known.join(", "))?;
        match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => write!(f, ": {}", meant(&quoted(near))),
            None => Ok(()),
        }
    }
}

impl std::error::Error for NoProfile {}

impl Checked {
    /// What holds: in all, or in one profile with its runtime.
    ///
    /// # Errors
    /// [`NoProfile`], which names the profiles there are.
    pub fn explain<'a>(&'a self, profile: Option<&'a str>) -> Result<Explanation<'a>, NoProfile> {
        if let Some(name) = profile
            && !self.tables.profiles.contains_key(name)
        {
            return Err(NoProfile { name: name.to_owned(), known: self.tables.profiles.keys().cloned().collect() });
        }
        Ok(Explanation { checked: self, only: profile })
    }

    fn file(&self) -> &Path {
        self.warnings.path()
    }

    /// A place as `file:line`.
    fn origin(&self, origin: &Origin) -> String {
        match origin {
            Origin::Default => "default".to_owned(),
            Origin::File(span) => {
                format!("{}:{}", self.file().display(), position(self.warnings.source(), span.start).0)
            }
        }
    }
}

impl Explanation<'_> {
    /// As TOML that has the same meaning, with the origins as comments.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Checked { policy, tables, .. } = self.checked;
        let mut text = format!("# {}, digest {}\nversion = 1\n", self.checked.file().display(), policy.digest);
        self.table(&mut text, "supervisor", &tables.supervisor, |_| false);
        for (name, values) in &tables.runtimes {
            if self.shows_runtime(name) {
                let based = values.of(BASE).is_some();
                let left_out = |key: &Key| based && !is_said_beside_a_base(key.name);
                self.table(&mut text, &format!("runtime.{}", show::key(name)), values, left_out);
                self.packages(&mut text, name);
            }
        }
        for (name, values) in &tables.profiles {
            if self.only.is_none_or(|only| only == name) {
                // A profile that keeps nothing warm has no use for how; one that does says so with a table.
                let (warm, how) = (values.of(WARM), format!("{}.", WARM.name()));
                let left_out = |key: &Key| if warm { key.name == WARM.name() } else { key.name.starts_with(&how) };
                self.table(&mut text, &format!("profile.{}", show::key(name)), values, left_out);
                self.calls(&mut text, name);
            }
        }
        text
    }

    /// As JSON: `{"file", "digest", "supervisor", "runtimes", "profiles"}`, each value with its origin.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let Checked { policy, tables, .. } = self.checked;
        let runtimes = tables.runtimes.iter().filter(|(name, _)| self.shows_runtime(name)).map(|(name, values)| {
            let mut table = self.json(values);
            table.extend(self.packages_as_json(name));
            (name.clone(), Json::Object(table))
        });
        let profiles = tables.profiles.iter().filter(|(name, _)| self.only.is_none_or(|only| only == *name));
        let profiles = profiles.map(|(name, values)| {
            let mut table = self.json(values);
            let calls = policy.profiles[name].syscalls.iter().map(|call| call.name()).collect::<Vec<_>>();
            table.insert("syscalls".to_owned(), json!(calls));
            (name.clone(), Json::Object(table))
        });
        json!({
            "file": self.checked.file().display().to_string(),
            "digest": policy.digest,
            "supervisor": self.json(&tables.supervisor),
            "runtimes": runtimes.collect::<Map<_, _>>(),
            "profiles": profiles.collect::<Map<_, _>>(),
        })
    }

    /// Whether a runtime is one that is asked for: with a profile its own, and the base of that.
    fn shows_runtime(&self, name: &str) -> bool {
        let tables = &self.checked.tables;
        let Some(wanted) = self.only.map(|profile| tables.profiles[profile].of(RUNTIME)) else { return true };
        name == wanted || tables.runtimes.get(wanted).and_then(|values| values.of(BASE)) == Some(name)
    }

    /// What a runtime has, as far as the host was looked at.
    fn packages(&self, text: &mut String, name: &str) {
        let Some(known) = self.checked.looked().and_then(|looked| looked.known.get(name)) else { return };
        let build = known.build.as_ref().map(|(id, _)| format!(", build {id}")).unwrap_or_default();
        let _ = writeln!(text, "# Python {}, {} packages{build}:", known.python, known.packages.len());
        let shown = known.packages.iter().map(|package| format!("{} {},", package.name, package.version));
        wrapped(text, shown);
    }

    fn packages_as_json(&self, name: &str) -> Map<String, Json> {
        let Some(known) = self.checked.looked().and_then(|looked| looked.known.get(name)) else { return Map::new() };
        let build = known.build.as_ref().map(|(id, _)| id.to_string());
        let has =
            json!({ "python": known.python, "build": build, "packages": known.packages, "modules": known.modules });
        Map::from_iter([("has".to_owned(), has)])
    }

    fn table<T: Table>(&self, text: &mut String, name: &str, values: &Values<T>, left_out: impl Fn(&Key) -> bool) {
        let _ = writeln!(text, "\n[{name}]");
        for (key, placed) in values.iter() {
            if let Some(placed) = placed.filter(|_| !left_out(key)) {
                // In TOML's own order of things, a profile that is shown whole extends nothing.
                let comment = if key.name == EXTENDS.name() { "# " } else { "" };
                self.value(text, &format!("{comment}{}", key.name), placed, matches!(key.kind, Kind::Calls));
            }
        }
    }

    fn value(&self, text: &mut String, name: &str, placed: &Placed<Value>, always_by_item: bool) {
        let items = show::items(&placed.value).unwrap_or_default();
        if items.is_empty() || (items.len() == 1 && !always_by_item) {
            let origin = self.checked.origin(items.first().map_or(&placed.origin, |item| &item.origin));
            let _ = writeln!(text, "{:COLUMN$} # {origin}", format!("{name} = {}", show::value(&placed.value)));
            return;
        }
        let _ = writeln!(text, "{name} = [");
        for Placed { value, origin } in items {
            let _ = writeln!(text, "{:COLUMN$} # {}", format!("    {value},"), self.checked.origin(&origin));
        }
        text.push_str("]\n");
    }

    /// The system calls that a profile comes to.
    fn calls(&self, text: &mut String, name: &str) {
        let profile = &self.checked.policy.profiles[name];
        let _ = writeln!(text, "# {} system calls are allowed whatever rules say of some:", profile.syscalls.len());
        let mut names: Vec<_> = profile.syscalls.iter().copied().map(Syscall::name).collect();
        names.sort_unstable();
        wrapped(text, names.into_iter().map(str::to_owned));
    }

    fn json<T: Table>(&self, values: &Values<T>) -> Map<String, Json> {
        let mut table = Map::new();
        for (key, placed) in values.iter() {
            let Some(placed) = placed else { continue };
            let mut said = Map::new();
            said.insert("value".to_owned(), to_json(&placed.value));
            said.insert("origin".to_owned(), json!(self.checked.origin(&placed.origin)));
            if let Some(items) = show::items(&placed.value) {
                let origins: Vec<_> = items.iter().map(|item| self.checked.origin(&item.origin)).collect();
                said.insert("origins".to_owned(), json!(origins));
            }
            table.insert(key.name.to_owned(), Json::Object(said));
        }
        table
    }
}

/// Words in as many lines of comment as they take.
fn wrapped(text: &mut String, words: impl Iterator<Item = String>) {
    let mut line = String::from("#");
    for word in words {
        if line.len() + word.len() >= WIDTH {
            let _ = writeln!(text, "{line}");
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(&word);
    }
    if line.len() > 1 {
        let _ = writeln!(text, "{}", line.trim_end_matches(','));
    }
}

/// A value as JSON, of the type that it has in the file.
fn to_json(value: &Value) -> Json {
    let text = show::value(value);
    toml::from_str::<Map<String, Json>>(&format!("value = {text}"))
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or(Json::String(text))
}
