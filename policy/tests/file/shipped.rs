//! The shipped policy, schema and reference hold what the code holds.

use std::fs;
use std::path::Path;

use cloister_policy::keys::{Default, Key, PROFILE, RUNTIME, SUPERVISOR};
use cloister_policy::{Checked, reference};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("part of the repository")
}

#[test]
fn the_shipped_policy_has_every_key_with_its_default_and_no_problem() {
    let text = read("policy.toml");
    let checked = Checked::parse(&text, "policy.toml".as_ref()).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(checked.warnings.problems().is_empty(), "{}", checked.warnings);
    let explained = checked.explain(None).expect("no profile is asked for").to_json();
    let tables = [
        (SUPERVISOR, &explained["supervisor"]),
        (RUNTIME, &explained["runtimes"]["python"]),
        (PROFILE, &explained["profiles"]["default"]),
    ];
    for (keys, table) in tables {
        // Those say something only where it is another thing than usual.
        let unsaid = |key: &&Key| {
            matches!(key.default, Default::Absent)
                && ["base", "extends", "packages", "sessions_memory", "working_directory"].contains(&key.name)
        };
        for key in keys.iter().filter(|key| !key.name.starts_with("warm") && !unsaid(key)) {
            let said = &table[key.name];
            assert!(said["origin"].as_str().is_some_and(|origin| origin.starts_with("policy.toml:")), "{}", key.name);
            if let (Default::Value(default), false) = (key.default, key.name == "links") {
                let default: toml::Table = format!("value = {default}").parse().expect("TOML");
                let default = serde_json::to_value(&default["value"]).expect("JSON");
                assert_eq!(said["value"], default, "{}", key.name);
            }
        }
    }
}

/// With BLESS set, what is printed now is what is expected from now on.
fn expect(path: &str, expected: &str) {
    if std::env::var_os("BLESS").is_some() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(path), expected).expect("writable");
    }
    assert!(read(path) == expected, "{path} is old; BLESS=1 cargo test -p cloister-policy writes it anew");
}

#[test]
fn the_schema_beside_the_shipped_policy_is_the_one_that_the_program_prints() {
    expect("policy.schema.json", &format!("{:#}\n", cloister_policy::schema()));
    assert!(read("policy.toml").starts_with("#:schema ./policy.schema.json\n"));
}

#[test]
fn the_reference_in_the_docs_is_the_one_that_the_program_prints() {
    const PATH: &str = "../docs/policy.md";
    const BEGIN: &str = "<!-- cloister-policy reference -->\n";
    const END: &str = "<!-- end -->\n";
    let docs = read(PATH);
    let (before, rest) = docs.split_once(BEGIN).expect("a mark where it begins");
    let (_, after) = rest.split_once(END).expect("a mark where it ends");
    expect(PATH, &format!("{before}{BEGIN}\n{}\n{END}{after}", reference::reference()));
}

#[test]
fn the_example_in_the_docs_is_a_policy() {
    let docs = read("../docs/policy.md");
    let example = docs.split("```").find_map(|block| block.strip_prefix("toml\n")).expect("it begins with one");
    let checked = Checked::parse(example, "example".as_ref()).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(checked.warnings.problems().is_empty(), "{}", checked.warnings);
}

#[test]
fn explained_the_policy_is_a_policy_of_the_same_meaning() {
    let text = read("policy.toml");
    let checked = Checked::parse(&text, "policy.toml".as_ref()).unwrap_or_else(|problems| panic!("{problems}"));
    let explained = checked.explain(None).expect("no profile is asked for").to_text();
    let again = Checked::parse(&explained, "explained".as_ref()).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(cloister_policy::diff::diff(&checked, &again), []);
    assert!(explained.starts_with(&format!("# policy.toml, digest {}\n", checked.policy.digest)));
}
