//! What came of importing modules, as a table.

use cloister_policy::packages::Module;

/// A line for each module.
pub fn table(modules: &[Module]) -> String {
    let width = modules.iter().map(|module| module.name.len()).max().unwrap_or(0).max("module".len());
    let mut text = format!("  {:width$}  {:>9}  {:>9}  kept warm\n", "module", "import", "memory");
    for module in modules {
        let how = if module.forked { "forked".to_owned() } else { format!("started: {}", module.why) };
        let (time, memory) = (module.milliseconds, module.bytes.div_ceil(1 << 10));
        text += &format!("  {:width$}  {time:>6.1} ms  {memory:>5} KiB  {how}\n", module.name);
    }
    text
}
