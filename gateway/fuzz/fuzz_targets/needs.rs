//! Whatever a script says that it needs, reading it never panics, needs little stack, and gives a sentence or what can be asked of
//! any runtime; and the metadata is where PEP 723 has it.

#![no_main]

#[path = "../../../supervisor/protocol/fuzz/fuzz_targets/common.rs"]
#[allow(dead_code, reason = "the other targets' part")]
mod common;
#[path = "../../src/needs/mod.rs"]
#[allow(dead_code, reason = "the gateway's part")]
mod needs;

use cloister_protocol::{Package, ProfileInfo, Profiles};
use libfuzzer_sys::fuzz_target;
use needs::catalog::Catalog;
use needs::choice::{Asking, choose};
use needs::wanted::Needs;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    // Of itself as a script, as what a block holds, and as requirements, a line each.
    let block: String = text.lines().map(|line| format!("# {line}\n")).collect();
    let packages: Vec<_> = text.lines().take(8).map(str::to_owned).collect();
    for (script, packages) in [(text.clone().into_owned(), vec![]), (format!("# /// script\n{block}# ///\n"), vec![]), (String::new(), packages)] {
        common::on_a_small_stack(|| read(&script, &packages));
    }
});

fn read(script: &str, packages: &[String]) {
    let needs = match Needs::of(script, packages) {
        Err(why) => return assert!(why.chars().count() < 1000, "{why}"),
        Ok(needs) => needs,
    };
    let Some(needs) = needs else { return };
    assert!(script.contains("# /// script") || !packages.is_empty());
    let package = |name: &str, version: &str| Package { name: name.to_owned(), version: version.to_owned() };
    let packages = vec![package("numpy", "2.4.0rc1.post2.dev3+local.1"), package("a", "1"), package("scipy", "none")];
    let info = |python: Option<&str>| ProfileInfo { python: python.map(str::to_owned), packages: packages.clone(), ..ProfileInfo::default() };
    let profiles: Profiles = [Some("3.11.7"), Some("3.14.0rc1+"), Some("none"), None].into_iter().enumerate().map(|(at, python)| (at.to_string(), info(python))).collect();
    for profile in [None, Some("0".to_owned()), Some("none".to_owned())] {
        match choose(&needs, &Catalog::of(&profiles), &Asking { profile, allowed: None }) {
            Ok(choice) => assert!(profiles.contains_key(&choice.profile)),
            Err(failure) => assert!(failure.message.chars().count() < 2000, "{}", failure.message),
        }
    }
}
