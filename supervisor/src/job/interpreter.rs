//! Everything in which one runtime differs from another, and the only place that knows of more than one: how an
//! interpreter is started, what its canaries are told, and how its scripts are spoken of.
//!
//! What passes through its pipes is the same for all: a request as [`message`](crate::job::message) writes it, a report as
//! [`report`](crate::job::report) reads it.

use cloister_python as python;
use cloister_sandbox::spec::Compiler;
use cloister_terms::{Runner, Runtime, Warm};

/// What is said to, and of, the scripts of a runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Language {
    /// The script that makes every attempt of the canary.
    pub attempts: &'static str,
    /// The script that ends only by force, with all that it has started.
    pub outlast: &'static str,
    /// When a process ended that should have given a result: "before main() returned".
    pub too_early: &'static str,
    /// What goes through the result pipe.
    pub result: &'static str,
    /// What of a session's runner it is told of with its request; nothing of a job's.
    pub parts: &'static str,
    /// What is said of the cells of a session, if an interpreter takes these.
    pub of_cells: Option<&'static Language>,
}

/// Scripts of Python, whose result is what `main()` returns.
const PYTHON: Language = Language {
    attempts: python::canary::ATTEMPTS,
    outlast: python::canary::OUTLAST,
    too_early: python::words::TOO_EARLY,
    result: python::words::RESULT,
    parts: "",
    of_cells: Some(&CELLS),
};

/// Cells of Python, whose result is the value of their last expression.
const CELLS: Language = Language {
    attempts: python::canary::ATTEMPTS,
    outlast: python::canary::OUTLAST,
    too_early: python::words::CELL_TOO_EARLY,
    result: python::words::VALUE,
    parts: python::SESSIONS,
    of_cells: None,
};

/// Scripts of whatever a program that is its own runner takes them for. Two that begin like this it must know.
const OWN: Language = Language {
    attempts: "#!canary attempts",
    outlast: "#!canary outlast",
    too_early: "before it gave a result",
    result: "its result",
    parts: "",
    of_cells: None,
};

/// The language of a runtime's scripts.
#[must_use]
pub fn language(runtime: &Runtime) -> &'static Language {
    match runtime.runner {
        Runner::Python => &PYTHON,
        Runner::Own => &OWN,
    }
}

/// The command of an interpreter that serves one request; with `ahead`, one that is started before that comes, and has
/// this many seconds of CPU time for it.
#[must_use]
pub fn command(runtime: &Runtime, ahead: Option<(&Warm, u64)>) -> Vec<String> {
    let interpreter = runtime.interpreter.to_string_lossy();
    match (runtime.runner, ahead) {
        (Runner::Own, _) => vec![interpreter.into_owned()],
        (Runner::Python, None) => python::job_command(&interpreter),
        (Runner::Python, Some((warm, cpu_seconds))) => python::ahead_command(&interpreter, cpu_seconds, &warm.imports),
    }
}

/// How the program of an interpreter's command is compiled once for many.
#[must_use]
pub fn compiler(runtime: &Runtime) -> Option<Compiler> {
    match runtime.runner {
        Runner::Own => None,
        Runner::Python => Some(Compiler {
            program: python::PROGRAM,
            compile: python::compile_command(&runtime.interpreter.to_string_lossy()),
            load: python::LOAD.to_owned(),
        }),
    }
}

/// Whether an interpreter loads the native library when it starts.
#[must_use]
pub fn loads_library(runtime: &Runtime) -> bool {
    runtime.runner == Runner::Python
}

/// The command of a zygote of these modules. A policy has them for Python alone.
#[must_use]
pub fn zygote_command(interpreter: &str, warm: &Warm) -> Vec<String> {
    python::zygote_command(interpreter, &warm.imports)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use cloister_sandbox::sealed::CODE;
    use cloister_terms::{Children, Runner, Runtime, Warm};

    use super::{command, compiler, language};

    fn runtime(runner: Runner) -> Runtime {
        Runtime {
            interpreter: PathBuf::from("/usr/bin/it"),
            runner,
            mounts: Vec::new(),
            links: Vec::new(),
            environment: std::collections::BTreeMap::new(),
            python: None,
            packages: Vec::new(),
            modules: Vec::new(),
        }
    }

    #[test]
    fn a_program_of_its_own_is_told_nothing_and_an_interpreter_what_it_serves_requests_with() {
        assert_eq!(command(&runtime(Runner::Own), None), ["/usr/bin/it"]);
        let (renew, children) = (Duration::from_secs(1), Children::Started);
        let warm = Warm { imports: vec!["numpy".to_owned()], parked: 1, renew, memory: None, idle: renew, children };
        let python = runtime(Runner::Python);
        assert_eq!(command(&python, None).first().map(String::as_str), Some("/usr/bin/it"));
        assert!(command(&python, Some((&warm, 7))).ends_with(&["ahead", "7", "numpy"].map(str::to_owned)));
    }

    #[test]
    fn the_code_is_read_where_a_launcher_puts_it() {
        let load = compiler(&runtime(Runner::Python)).expect("Python compiles").load;
        let numbers: Vec<_> = load.lines().filter_map(|line| line.strip_prefix("CODE_FD = ")).collect();
        assert_eq!(numbers, [CODE.to_string()]);
    }

    #[test]
    fn each_language_has_two_scripts_for_the_canary_and_speaks_of_itself_alone() {
        let (python, own) = (language(&runtime(Runner::Python)), language(&runtime(Runner::Own)));
        assert!(python.attempts.contains("def main(") && python.outlast.contains("def main("));
        assert!([own.attempts, own.outlast, own.too_early, own.result].iter().all(|words| !words.contains("main")));
        assert_ne!(own.attempts, own.outlast);
    }
}
