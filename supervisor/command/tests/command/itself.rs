//! What it says of itself, and to who calls it wrongly.

use std::fs;

use crate::run;

#[test]
fn completions_and_man_pages_name_every_subcommand() {
    for shell in ["bash", "zsh", "fish"] {
        let (out, _, code) = run(&["completions", shell]);
        assert!(
            code == 0
                && ["doctor", "policy", "check", "explain", "keys", "revoke"].iter().all(|word| out.contains(word)),
            "{shell}"
        );
    }
    let directory = std::env::temp_dir().join(format!("command-test-man-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("writable");
    let (_, error, code) = run(&["man", directory.to_str().expect("UTF-8")]);
    let page = fs::read_to_string(directory.join("cloister-policy.1")).expect("a page for each");
    let pages: Vec<_> =
        fs::read_dir(&directory).expect("just made").filter_map(Result::ok).map(|page| page.file_name()).collect();
    fs::remove_dir_all(&directory).expect("ours");
    assert!(code == 0 && error.is_empty(), "{error}");
    assert!(
        pages.contains(&"cloister-policy-check.1".into()) && pages.contains(&"cloister-keys-new.1".into()),
        "{pages:?}"
    );
    assert!(page.contains("Exit codes"), "{page}");
    let (page, _, _) = run(&["man"]);
    assert!(page.starts_with(".ie"));
}

#[test]
fn who_calls_it_wrongly_is_told_what_was_meant() {
    for (arguments, tip) in [
        (&["polcy"][..], "'policy'"),
        (&["policy", "chekc"], "'check'"),
        (&["check", "policy.toml"], "it is `cloister policy check`"),
        (&["docter"], "'doctor'"),
        (&["serve"], "`cloister-gateway serve`"),
        (&["keys", "lsit"], "'list'"),
        (&["policy", "check", "--strickt"], "'--strict'"),
    ] {
        let (out, error, code) = run(arguments);
        assert!(
            code == 2 && out.is_empty() && error.contains("tip: ") && error.contains(tip),
            "{arguments:?}: {error}"
        );
    }
    let (_, error, code) = run(&[]);
    assert!(code == 2 && error.contains("Commands:") && error.contains("policy"), "{error}");
}
