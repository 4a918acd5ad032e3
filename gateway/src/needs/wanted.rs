//! All that a script needs: by its own metadata and by its request, of which all must hold.

use cloister_protocol::{LONGEST_REQUIREMENTS, MOST_REQUIREMENTS, MissingPackage};
use pep440_rs::VersionSpecifiers;

use crate::needs::catalog::Runtime;
use crate::needs::metadata::Metadata;
use crate::needs::requirement::{Requirement, shown};
use crate::needs::version;

/// What the interpreter is called beside packages.
const PYTHON: &str = "python";

/// From so many bytes of requirements on, comparing them would keep other connections waiting.
const LARGE: usize = 1024;

/// All that a script needs.
#[derive(Debug, Default)]
pub struct Needs {
    requirements: Vec<Requirement>,
    python: Option<(String, VersionSpecifiers)>,
    bytes: usize,
}

impl Needs {
    /// What a script and the request that brings it say; `None` if that is nothing.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn of(script: &str, packages: &[String]) -> Result<Option<Self>, String> {
        let mut needs = Self::default();
        for (at, text) in packages.iter().enumerate() {
            needs.add(text).map_err(|why| format!("packages[{at}]: {why}"))?;
        }
        let metadata = Metadata::of(script).map_err(|why| format!("script: {why}"))?.unwrap_or_default();
        needs.take(&metadata).map_err(|why| format!("script: the metadata that it brings (PEP 723): {why}"))?;
        Ok(Some(needs).filter(|needs| !needs.requirements.is_empty() || needs.python.is_some()))
    }

    fn take(&mut self, metadata: &Metadata) -> Result<(), String> {
        let (number, bytes) =
            (metadata.dependencies.len(), metadata.dependencies.iter().map(String::len).sum::<usize>());
        if number > MOST_REQUIREMENTS {
            return Err(format!("dependencies has {number} requirements, expected at most {MOST_REQUIREMENTS}"));
        }
        if bytes > LONGEST_REQUIREMENTS {
            return Err(format!(
                "dependencies has {bytes} bytes of requirements, expected at most {LONGEST_REQUIREMENTS}"
            ));
        }
        for (at, text) in metadata.dependencies.iter().enumerate() {
            self.add(text).map_err(|why| format!("dependencies[{at}]: {why}"))?;
        }
        if let Some(python) = &metadata.requires_python {
            let asked = version::specifiers(python)
                .map_err(|why| format!("requires-python is {:?}, expected such as \">=3.11\": {why}", shown(python)))?;
            self.bytes += python.len();
            self.python = Some((python.trim().to_owned(), asked)).filter(|(_, asked)| !asked.is_empty());
        }
        Ok(())
    }

    fn add(&mut self, text: &str) -> Result<(), String> {
        self.requirements.push(Requirement::parse(text)?);
        self.bytes += text.len();
        Ok(())
    }

    /// Whether there is much to compare.
    pub fn is_large(&self) -> bool {
        self.bytes >= LARGE
    }

    /// What of it a runtime lacks.
    pub fn missing(&self, runtime: &Runtime) -> Vec<MissingPackage> {
        let python = self.python.iter().filter(|(_, asked)| {
            !runtime.environment().and_then(|python| python.python()).is_some_and(|python| python.satisfies(asked))
        });
        let python = python.map(|(text, _)| MissingPackage {
            name: PYTHON.to_owned(),
            wanted: text.clone(),
            there: runtime.python().map(str::to_owned),
        });
        // Under a Python of which nothing is known, all are.
        let asked =
            self.requirements.iter().filter(|one| runtime.environment().is_none_or(|python| one.is_for(python)));
        let lacking = asked.filter_map(|one| {
            let there = runtime.package(&one.name);
            let is_met = there.is_some_and(|there| {
                one.specifiers.is_empty()
                    || there.version.as_ref().is_some_and(|there| there.satisfies(&one.specifiers))
            });
            let (name, wanted) = (one.name.clone(), one.text.clone());
            (!is_met).then(|| MissingPackage { name, wanted, there: there.map(|there| there.text.clone()) })
        });
        let mut missing: Vec<MissingPackage> = Vec::new();
        for one in python.chain(lacking) {
            if !missing.contains(&one) {
                missing.push(one);
            }
        }
        missing
    }
}
