//! What of Cloister is Python: how an interpreter is started for a job or for many, the runner that serves a request in
//! it, what its canary tries, and what is said of Python alone.
//!
//! It is text and arguments, does nothing by itself, and knows nothing of sandboxes. The native half of a zygote is a
//! library of its own, in `zygote/`, for it is loaded into the interpreter.

pub mod canary;
pub mod words;

/// What serves a request inside an interpreter, part of this program so that the two can never differ.
const RUNNER: &str = include_str!(concat!(env!("OUT_DIR"), "/runner.py"));

/// What of it serves a session: a text of its own, which comes with the request of one, and in a zygote is compiled ahead.
pub const SESSIONS: &str = include_str!(concat!(env!("OUT_DIR"), "/sessions.py"));

/// The Python half of a zygote.
const ZYGOTE: &str = include_str!(concat!(env!("OUT_DIR"), "/zygote.py"));

/// Isolated from variables, user and working directory; text is UTF-8; no bytecode is written; the program is an argument.
const FLAGS: [&str; 5] = ["-I", "-X", "utf8", "-B", "-c"];

/// Which argument of [`job_command`] and [`ahead_command`] is the runner's text.
pub const PROGRAM: usize = 1 + FLAGS.len();

/// What has an interpreter compile the runner, whose text is the next argument, and write its code to standard output.
const COMPILE: &str = include_str!("../compile.py");

/// What runs the runner from its code, which is open at the first number behind that of the native library.
pub const LOAD: &str = include_str!("../load.py");

/// The command of an interpreter that compiles the runner, but for its last argument, the text: without what packages have each
/// interpreter run (`-S`), for it serves nobody.
#[must_use]
pub fn compile_command(interpreter: &str) -> Vec<String> {
    let program = [&["-S"], &FLAGS[..], &[COMPILE]].concat();
    [interpreter].into_iter().chain(program).map(str::to_owned).collect()
}

/// The command of an interpreter that serves one request, which it waits for.
#[must_use]
pub fn job_command(interpreter: &str) -> Vec<String> {
    command(interpreter, &[RUNNER])
}

/// The command of one that is started ahead of its request: it imports these modules, and gives itself the limit on CPU
/// time when the request has come.
#[must_use]
pub fn ahead_command(interpreter: &str, cpu_seconds: u64, imports: &[String]) -> Vec<String> {
    let mut command = command(interpreter, &[RUNNER, "ahead", &cpu_seconds.to_string()]);
    command.extend_from_slice(imports);
    command
}

/// The command of a zygote that imports these modules and forks an interpreter for each job.
#[must_use]
pub fn zygote_command(interpreter: &str, imports: &[String]) -> Vec<String> {
    let mut command = command(interpreter, &[ZYGOTE, RUNNER, SESSIONS]);
    command.extend_from_slice(imports);
    command
}

fn command(interpreter: &str, program: &[&str]) -> Vec<String> {
    [&[interpreter], &FLAGS[..], program].concat().into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::{PROGRAM, RUNNER, SESSIONS, ZYGOTE, ahead_command, job_command, zygote_command};

    /// `execve(2)`: MAX_ARG_STRLEN.
    const LONGEST_ARGUMENT: usize = 128 << 10;

    #[test]
    fn interpreters_are_isolated_and_given_their_program_as_an_argument() {
        let flags = ["/usr/bin/python3", "-I", "-X", "utf8", "-B", "-c"];
        assert_eq!(job_command("/usr/bin/python3"), [&flags[..], &[RUNNER]].concat());
        let imports = ["numpy".to_owned(), "pandas".to_owned()];
        let ahead = [&flags[..], &[RUNNER, "ahead", "12", "numpy", "pandas"]].concat();
        assert_eq!(ahead_command("/usr/bin/python3", 12, &imports), ahead);
        assert_eq!(
            zygote_command("/usr/bin/python3", &imports[..1]),
            [&flags[..], &[ZYGOTE, RUNNER, SESSIONS, "numpy"]].concat()
        );
    }

    #[test]
    fn the_runner_is_texts_that_fit_an_argument_each() {
        assert!(
            RUNNER.starts_with("import builtins\n")
                && RUNNER.contains("\ndef serve(")
                && RUNNER.contains("\ndef dump(")
        );
        assert!(SESSIONS.starts_with("LATE.update({\n") && SESSIONS.contains("\ndef keep_session("));
        assert_eq!(job_command("python").get(PROGRAM).map(String::as_str), Some(RUNNER));
        for text in [RUNNER, SESSIONS, ZYGOTE] {
            assert!(!text.contains("from ."), "parts that import from one another");
            assert!(text.len() < LONGEST_ARGUMENT && !text.contains('\0'));
        }
    }
}
