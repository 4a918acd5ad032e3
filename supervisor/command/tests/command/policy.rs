//! `cloister policy`: what it prints, and its exit codes.

use serde_json::Value as Json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Standard output, standard error and the exit code.
fn run(arguments: &[&str]) -> (String, String, i32) {
    crate::run(&[&["policy"], arguments].concat())
}

fn json(arguments: &[&str]) -> (Json, i32) {
    let (out, error, code) = run(arguments);
    (serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{error}")), code)
}

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policy/policy.toml")
}

/// A policy file of the test's own.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("policy-test-{name}-{}.toml", std::process::id()));
        fs::write(&path, text).expect("writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("ours");
        Self(path)
    }

    /// The shipped policy with something else in it.
    fn changed(name: &str, from: &str, to: &str) -> Self {
        let text = fs::read_to_string(shipped()).expect("part of the repository");
        assert!(text.contains(from), "{from}");
        Self::new(name, &text.replacen(from, to, 1))
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn check_says_what_is_well() {
    let file = File::changed("well", "", "");
    let (out, error, code) = run(&["check", "--file-only", file.path()]);
    assert_eq!((error.as_str(), code), ("", 0));
    assert!(out.starts_with(&format!("{}: no problems; profiles: default; digest ", file.path())), "{out}");
    let (told, code) = json(&["check", "--file-only", "--json", file.path()]);
    assert_eq!((&told["ok"], code), (&Json::Bool(true), 0));
    assert_eq!(told["digest"].as_str().map(str::len), Some(64));
}

#[test]
fn check_says_what_is_not_on_standard_error_or_as_json() {
    let file = File::changed("not", "memory = \"512MiB\"", "memroy = \"512\"");
    let (out, error, code) = run(&["check", file.path()]);
    assert_eq!((out.as_str(), code), ("", 1));
    assert!(error.contains("did you mean `memory`?") && error.ends_with(": 1 error\n"), "{error}");
    let (told, code) = json(&["check", "--json", file.path()]);
    assert_eq!((&told["ok"], code), (&Json::Bool(false), 1));
    let problem = &told["problems"][0];
    assert_eq!((&problem["message"], &problem["column"]), (&"unknown key `memroy`".into(), &1.into()));
    let line = fs::read_to_string(&file.0).expect("ours").lines().position(|line| line.starts_with("memroy"));
    assert_eq!(problem["line"].as_u64().map(|line| line - 1), line.map(|line| line as u64));
}

#[test]
fn warnings_are_errors_only_where_that_is_asked_for() {
    let file = File::changed("warning", "cpu_time = \"10s\"", "cpu_time = \"11s\"");
    let (out, error, code) = run(&["check", "--file-only", file.path()]);
    assert!(code == 0 && out.contains(": 1 warning; ") && error.starts_with("warning: "), "{out}{error}");
    let (out, error, code) = run(&["check", "--file-only", "--strict", file.path()]);
    assert!(code == 1 && out.is_empty() && error.starts_with("warning: "), "{out}{error}");
}

#[test]
fn a_file_that_others_may_write_is_refused() {
    let file = File::changed("writable", "", "");
    for mode in [0o664, 0o646, 0o666] {
        fs::set_permissions(&file.0, fs::Permissions::from_mode(mode)).expect("ours");
        let (_, error, code) = run(&["check", "--file-only", file.path()]);
        assert_eq!(code, 1);
        assert!(error.contains("may be written by others") && error.contains("chmod go-w"), "{error}");
    }
}

#[test]
fn a_file_in_a_directory_where_others_could_replace_it_is_refused() {
    let top = std::env::temp_dir().join(format!("policy-test-places-{}", std::process::id()));
    let below = top.join("open/below");
    fs::create_dir_all(&below).expect("writable");
    let (policy, link) = (below.join("policy.toml"), top.join("link.toml"));
    fs::copy(shipped(), &policy).expect("writable");
    fs::set_permissions(&policy, fs::Permissions::from_mode(0o644)).expect("ours");
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
    let said = |path: &Path| run(&["check", "--file-only", path.to_str().expect("text")]);
    for (bits, refused) in [(0o755, false), (0o775, true), (0o757, true), (0o1777, false), (0o711, false)] {
        mode(&top.join("open"), bits);
        let (_, error, code) = said(&policy);
        assert_eq!(code == 1, refused, "{bits:o}: {error}");
        assert!(!refused || error.contains("open, where others could put another in its place"), "{error}");
    }
    // Both where a link lies and where it leads.
    std::os::unix::fs::symlink(&policy, &link).expect("writable");
    assert_eq!(said(&link).2, 0);
    mode(&below, 0o777);
    assert_eq!(said(&link).2, 1);
    mode(&below, 0o755);
    mode(&top, 0o777);
    assert_eq!(said(&link).2, 1);
    fs::remove_dir_all(&top).expect("made above");
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_and_a_wrong_command_line_another() {
    let (_, error, code) = run(&["check", "/nonexistent/policy.toml"]);
    assert!(code == 1 && error.contains("read the policy /nonexistent/policy.toml"), "{error}");
    let (told, code) = json(&["check", "--json", "/nonexistent/policy.toml"]);
    assert!(code == 1 && told["problems"][0]["message"].as_str().is_some_and(|said| said.contains("No such file")));
    assert_eq!(run(&["chekc"]).2, 2);
    assert_eq!(run(&["check", "--try", "--file-only"]).2, 2);
    let (_, error, code) = run(&["check", "/"]);
    assert!(code == 1 && error.contains("read the policy /"), "{error}");
}

#[test]
fn explain_says_where_each_value_is_from() {
    let file = File::new(
        "explain",
        "version = 1\n[runtime.python]\ninterpreter = \"/usr/bin/python3\"\nmounts = [\"/a:/usr\"]\n[profile.default]\n\
         memory = \"1GiB\"\n[profile.big]\nextends = \"default\"\nprocesses = 9\nseccomp.allow = [\"-fork\"]\n",
    );
    let path = file.path();
    let (out, error, code) = run(&["explain", "big", "--policy", path]);
    assert_eq!(code, 0, "{error}");
    let line = |start: &str| {
        let found = out.lines().find(|line| line.trim_start().starts_with(start)).unwrap_or_default();
        found.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(out.starts_with(&format!("# {path}, digest ")));
    assert_eq!(line("memory"), format!("memory = \"1GiB\" # {path}:6"));
    assert_eq!(line("processes"), format!("processes = 9 # {path}:9"));
    assert_eq!(line("wall_time"), "wall_time = \"10s\" # default");
    assert_eq!(line("\"@python\""), "\"@python\", # default");
    assert_eq!(line("\"-fork\""), format!("\"-fork\", # {path}:10"));
    let calls: Vec<_> = out.lines().skip_while(|line| !line.contains("system calls are allowed")).skip(1).collect();
    let calls = calls.concat();
    assert!(calls.contains(" vfork ") && !calls.contains(" fork "), "{calls}");
    let (told, _) = json(&["explain", "big", "--policy", path, "--json"]);
    assert_eq!(told["profiles"]["big"]["processes"]["origin"], format!("{path}:9"));
    assert!(told["profiles"].get("default").is_none());
    let (_, error, code) = run(&["explain", "bigg", "--policy", path]);
    assert!(code == 1 && error.contains("did you mean \"big\"?"), "{error}");
}

#[test]
fn diff_tells_what_gets_looser_and_what_stricter() {
    let old = File::changed("old", "", "");
    let same = File::changed("same", "memory = \"512MiB\"", "memory = \"536870912B\"");
    assert_eq!(run(&["diff", old.path(), same.path()]), ("the same for every job\n".into(), String::new(), 0));
    let new = File::changed(
        "new",
        "allow = [\"@python\"]",
        "allow = [\"mq_open\", \"-fork\"]\nrules = [{ call = \"times\", action = \"kill\" }] #",
    );
    let text = fs::read_to_string(&new.0).expect("ours");
    let text = text
        .replace("wall_time = \"10s\"", "wall_time = \"5s\"")
        .replace("network = \"none\"", "network = \"loopback\"");
    let text = text.replacen("#\nrules = []", "#", 1).replacen("\nrules = []", "", 1);
    fs::write(&new.0, text).expect("ours");
    let (out, error, code) = run(&["diff", old.path(), new.path()]);
    assert_eq!(code, 3, "{out}{error}");
    for line in [
        "looser     profile.default network: \"none\" -> \"loopback\"",
        "looser     profile.default seccomp.allow: with mq_open",
        "stricter   profile.default seccomp.allow: without fork",
        "stricter   profile.default wall_time: \"10s\" -> \"5s\"",
        "stricter   profile.default seccomp.rules: with { call = \"times\", action = \"kill\" }",
    ] {
        assert!(out.lines().any(|told| told == line), "{line}\n{out}");
    }
    let (back, _, code) = run(&["diff", new.path(), old.path()]);
    assert!(code == 3 && back.contains("looser     profile.default seccomp.rules: without"), "{back}");
    let (told, _) = json(&["diff", "--json", old.path(), new.path()]);
    assert_eq!(told["looser"], Json::Bool(true));
    let stricter = File::changed("stricter", "processes = 64", "processes = 8");
    assert_eq!(run(&["diff", old.path(), stricter.path()]).2, 0);
}

#[test]
fn init_prints_a_file_that_check_accepts() {
    let (text, _, code) = run(&["init"]);
    let file = File::new("init", &text);
    assert_eq!((code, run(&["check", "--file-only", "--strict", file.path()]).2), (0, 0));
}

#[test]
fn system_calls_are_listed_by_group() {
    let (out, _, code) = run(&["syscalls"]);
    assert!(code == 0 && out.lines().any(|line| line.starts_with("@python ")), "{out}");
    let (out, _, _) = run(&["syscalls", "@threads"]);
    assert!(out.lines().any(|line| line == "futex"), "{out}");
    let (told, _) = json(&["syscalls", "--json"]);
    assert!(told["@threads"]["calls"].as_array().is_some_and(|calls| calls.contains(&"futex".into())));
    assert_eq!(run(&["syscalls", "@nope"]).2, 1);
}
