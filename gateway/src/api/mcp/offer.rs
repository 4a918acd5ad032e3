//! The tool as a model is told of it: what it does, what there is to write code for, and what it takes.
//!
//! What depends on the node is the supervisor's word: versions, packages, limits, and those profiles that the key may use.

use cloister_protocol::{
    DEFAULT_PROFILE, Interpreter, LONGEST_ARGUMENTS, MOST_ARGUMENTS, MOST_PATTERNS, MOST_REQUIREMENTS, OUT,
    ProfileInfo, Profiles,
};
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, Object, ObjectBuilder, Type};

/// What the tool is called.
pub const TOOL: &str = "execute_python";

/// The same for people.
pub const TITLE: &str = "Run Python";

/// What a client may tell its model of this service as a whole.
pub const INSTRUCTIONS: &str = "Runs Python code in sandboxes, for computations, for data and for files.";

/// What it does.
const PURPOSE: &str = "Runs Python code in a fresh sandbox and returns the value of its last expression, or of main() if the code \
    defines main(), and everything that it prints. Nothing is kept between calls, neither variables nor files, unless they name a `session`: \
    with \"new\" the code is the first cell of a session as in a notebook, whose id the answer tells, and further calls with that id \
    find its variables, imports and files, and `await` and display() work. A session ends by itself if it is left unused for a while.";

/// The tool for one who may use these profiles.
pub struct Offer<'a> {
    /// The profile that is used unasked, if it may be.
    default: Option<&'a ProfileInfo>,
    /// All by name.
    profiles: Vec<(&'a str, &'a ProfileInfo)>,
}

impl<'a> Offer<'a> {
    /// Of these profiles those that may be used; all, if nobody says which.
    pub fn new(profiles: &'a Profiles, allowed: Option<&[String]>) -> Self {
        let may = |name: &str| allowed.is_none_or(|allowed| allowed.iter().any(|allowed| allowed == name));
        let profiles: Vec<_> =
            profiles.iter().map(|(name, info)| (name.as_str(), info)).filter(|(name, _)| may(name)).collect();
        let default = profiles.iter().find(|(name, _)| *name == DEFAULT_PROFILE).map(|(_, info)| *info);
        Self { default, profiles }
    }

    /// What the model reads before it writes code.
    pub fn description(&self) -> String {
        let first = self.default.or(self.profiles.first().map(|(_, info)| *info));
        let Some(info) = first else { return PURPOSE.to_owned() };
        let mut told = format!("{PURPOSE}\n\n{}", interpreter(info));
        told += if info.loopback { " No network but the sandbox's own loopback" } else { " No network" };
        told += ", no shell, no other programs.\n";
        told += &format!(
            "Limits: {} for stdout and stderr each, {} for the value as JSON.\n",
            [limits(info), size(info.stdout_bytes)].join(", "),
            size(info.result_bytes)
        );
        told += &format!(
            "Files: those in `files` are put into the working directory, {}. What the code leaves in {OUT}/ below it, such as \
             {OUT}/table.csv, is returned, at most {} files of {} together; PNG, JPEG, GIF and WebP as images.",
            info.working_directory,
            info.files_out,
            size(info.files_out_bytes)
        );
        told
    }

    /// What the tool takes. It also takes `code` for `script`, and all that a request to run a script may have.
    pub fn input(&self) -> Object {
        let entry = words(["main", "program"]).description(Some(
            "Leave it out, unless the code is a whole program: `program` runs it as `python3 script.py` does, with `argv`, and \
             returns its exit code. `main`: the code has to define main().",
        ));
        let nan = words(["null"])
            .description(Some("`null`: NaN and infinities in the value become null. Left out, they are an error."));
        let argv = ArrayBuilder::new()
            .items(text("An argument."))
            .max_items(Some(MOST_ARGUMENTS))
            .description(Some(format!("For `program`: sys.argv[1:], of {} at most.", size(LONGEST_ARGUMENTS as u64))));
        let files_out = ArrayBuilder::new()
            .items(
                text("A path from the working directory; * ? [a-z] and ** stand for others.").examples(["plots/*.png"]),
            )
            .max_items(Some(MOST_PATTERNS))
            .description(Some(format!("Files to return beside those in {OUT}/, by where the code leaves them.")));
        let script = text("Python source.").min_length(Some(1)).examples(["import math\nmath.comb(40, 20)"]);
        let input = ObjectBuilder::new()
            .property("script", script)
            .required("script")
            .property("stdin", text("Text for standard input."))
            .property("files", self.files())
            .property("files_out", files_out)
            .property("entry", entry)
            .property("argv", argv)
            .property("nan", nan);
        let packages = ArrayBuilder::new()
            .items(text("A requirement.").examples(["scipy>=1.11"]))
            .max_items(Some(MOST_REQUIREMENTS))
            .description(Some("What the code needs beside the standard library, if it is sure to need it: a profile that has it is used, or it is told what is missing."));
        let session = text(
            "Left out: a fresh sandbox. `new`: a session that is kept, with `profile` and `files` if they are given. The id of one: its next \
             cell, which takes `script` and `timeout_ms` alone. A cell that runs out of time or memory, or crashes, is undone, \
             and the session goes on.",
        );
        let input = input.property("packages", packages).property("session", session);
        self.bounded(input).build()
    }

    /// With what a profile decides.
    fn bounded(&self, mut input: ObjectBuilder) -> ObjectBuilder {
        if self.profiles.is_empty() || self.profiles.iter().any(|(_, info)| info.may_lower_timeout) {
            let timeout = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
            input =
                input.property("timeout_ms", timeout.description(Some("Less time than the limit, in milliseconds.")));
        }
        if self.profiles.is_empty() {
            return input;
        }
        let told: Vec<_> = self.profiles.iter().map(|(name, info)| self.differs(name, info)).collect();
        let told = match (self.default, self.profiles.len()) {
            (Some(_), 1) => "Limits and packages. Left out: default.".to_owned(),
            (Some(_), _) => format!("Limits and packages. Left out: default. {}.", told.join("; ")),
            (None, _) => format!("Limits and packages. {}.", told.join("; ")),
        };
        let names = self.profiles.iter().map(|(name, _)| *name);
        input = input.property("profile", words(names).description(Some(told)));
        if self.default.is_none() { input.required("profile") } else { input }
    }

    /// A profile, and where it is another than the one that was described.
    fn differs(&self, name: &str, info: &ProfileInfo) -> String {
        let first = self.default.or(self.profiles.first().map(|(_, info)| *info));
        let mut told = format!("{name}: {}", limits(info));
        if first.is_some_and(|first| (&first.interpreter, &first.packages) != (&info.interpreter, &info.packages)) {
            told += &format!(", {}", interpreter(info).trim_end_matches('.'));
        }
        if first.is_some_and(|first| first.loopback != info.loopback) {
            told += if info.loopback { ", a loopback network" } else { ", no network" };
        }
        told
    }

    fn files(&self) -> ArrayBuilder {
        let file = ObjectBuilder::new()
            .property("path", text("Relative to the working directory.").examples(["data/input.csv"]))
            .required("path")
            .property("content", text("What is in it, as text."))
            .property("content_base64", text("Or as base64, for what is not text."))
            .additional_properties(Some(AdditionalProperties::FreeForm(false)));
        let first = self.default.or(self.profiles.first().map(|(_, info)| *info));
        let most =
            first.map(|info| format!("; at most {} files of {} together", info.files_in, size(info.files_in_bytes)));
        let what = format!("Files for the code to read{}.", most.unwrap_or_default());
        ArrayBuilder::new().items(file).description(Some(what))
    }
}

/// The interpreter and its packages, in a sentence or two.
fn interpreter(info: &ProfileInfo) -> String {
    let (version, packages) = match (&info.interpreter, &info.python) {
        (Some(Interpreter { version, packages }), _) => (version, packages.clone()),
        // What it has not said itself its lock does.
        (None, Some(python)) => {
            (python, info.packages.iter().map(|one| format!("{} {}", one.name, one.version)).collect())
        }
        (None, None) => return "Python.".to_owned(),
    };
    match packages.is_empty() {
        true => format!("Python {version} with its standard library alone; nothing can be installed."),
        false => format!(
            "Python {version} with its standard library and {}. Nothing else can be installed.",
            packages.join(", ")
        ),
    }
}

fn limits(info: &ProfileInfo) -> String {
    let seconds = info.wall_ms as f64 / 1000.0;
    format!("{seconds} s, {} of memory", size(info.memory_bytes))
}

/// Bytes in the unit in which they are a whole number.
fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let whole = units.into_iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{bytes} bytes"), |(unit, name)| format!("{} {name}", bytes / unit))
}

fn text(what: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(what))
}

fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words))
}
