//! What a launcher starts: a program with its arguments and environment.

use std::ffi::{CStr, CString};

use crate::error::{Error, Result};
use crate::sys;
use crate::weaker::{Layer, Plan};

/// A program's environment: what it is to be given, and nothing of this process's own.
pub fn environment(spec: &Plan, given: &[String]) -> Vec<String> {
    let mut environment = given.to_vec();
    if spec.leaves_out(Layer::Environment) {
        environment.extend(spec.weaker().environment.iter().cloned());
    }
    environment
}

/// A program with its arguments and environment, ready for `execve(2)`.
pub struct Program {
    command: Vec<CString>,
    environment: Vec<CString>,
}

impl Program {
    /// Puts it into the kernel's form.
    ///
    /// # Errors
    /// When there is a NUL in any of it.
    pub fn new(command: &[String], environment: &[String]) -> Result<Self> {
        let strings = |texts: &[String]| {
            texts
                .iter()
                .map(|text| CString::new(text.as_str()))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| Error::layer("prepare a program's arguments", error))
        };
        Ok(Self { command: strings(command)?, environment: strings(environment)? })
    }

    /// Replaces this process; returns why that failed.
    #[must_use]
    pub fn exec(&self) -> String {
        let command: Vec<&CStr> = self.command.iter().map(CString::as_c_str).collect();
        let environment: Vec<&CStr> = self.environment.iter().map(CString::as_c_str).collect();
        let errno = sys::execve(command[0], &command, &environment);
        format!("execve {}: {errno}", command[0].to_string_lossy())
    }
}
