//! Which of a policy's runtimes a command is for.

use cloister_policy::Checked;
use cloister_policy::packages::Packaged;

use super::error::Error;

/// Those of these names, or all that have packages.
pub fn wanted(checked: &Checked, names: &[String]) -> Result<Vec<Packaged>, Error> {
    let all = checked.packaged();
    if all.is_empty() && names.is_empty() {
        return Err(Error::NoRuntime(String::new()));
    }
    if names.is_empty() {
        return Ok(all);
    }
    let known = all.iter().map(|runtime| runtime.name.clone()).collect::<Vec<_>>().join(", ");
    let one = |name: &String| {
        let found = all.iter().find(|runtime| runtime.name == *name).cloned();
        let those = if known.is_empty() { String::new() } else { format!(" (those are: {known})") };
        found.ok_or_else(|| Error::NoRuntime(format!(" {name:?}{those}")))
    };
    names.iter().map(one).collect()
}
