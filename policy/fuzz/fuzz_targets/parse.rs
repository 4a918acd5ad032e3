//! Whatever a file holds, reading it and telling of it never panics, and what it is explained as is a
//! policy of the same meaning.

#![no_main]

use cloister_policy::Checked;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Checked::parse(text, "policy.toml".as_ref()) {
        Err(problems) => drop(problems.to_string()),
        Ok(checked) => {
            let explained = checked.explain(None).expect("no profile is asked for").to_text();
            let again = Checked::parse(&explained, "explained".as_ref()).expect("what was explained is a policy");
            assert_eq!(cloister_policy::diff::diff(&checked, &again), []);
        }
    }
});
