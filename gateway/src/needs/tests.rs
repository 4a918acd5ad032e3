//! What is read here means what it means to Python's own tools: cases that `supervisor/suite/gateway/test_needs.py` asks them, too.

use cloister_protocol::{Interpreter, MissingPackage, Package, ProfileInfo};
use serde::Deserialize;

use super::catalog::Catalog;
use super::choice::{Asking, choose};
use super::marker::{self, Environment};
use super::metadata::Metadata;
use super::requirement::Requirement;
use super::version::{There, specifiers};
use super::wanted::Needs;

#[derive(Deserialize)]
struct Cases {
    requirements: Vec<(String, Option<String>)>,
    specifiers: Vec<(String, String, Option<bool>)>,
    markers: Vec<(String, String, Option<bool>)>,
    scripts: Vec<(String, Option<Script>)>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Script {
    Refused(String),
    Read(Vec<String>, Option<String>),
}

fn cases() -> Cases {
    serde_json::from_str(include_str!("cases.json")).expect("cases")
}

#[test]
fn requirements_are_those_of_the_packaging_library() {
    for (text, name) in cases().requirements {
        assert_eq!(
            Requirement::parse(&text).map(|read| read.name).ok(),
            name,
            "{text:?}: {:?}",
            Requirement::parse(&text).err()
        );
    }
}

#[test]
fn versions_are_those_of_the_packaging_library() {
    for (asked, version, fits) in cases().specifiers {
        let there = There::parse(&version).expect("a version");
        let read = specifiers(&asked).ok().map(|asked| there.satisfies(&asked));
        assert_eq!(read, fits, "{asked} of {version}");
    }
}

#[test]
fn markers_are_those_of_the_packaging_library() {
    for (text, python, holds) in cases().markers {
        let read = marker::parse(&text);
        assert_eq!(
            read.as_ref().ok().map(|marker| marker.holds(&Environment::of(&python))),
            holds,
            "{text} under {python}: {read:?}"
        );
    }
}

#[test]
fn metadata_is_that_of_the_reference() {
    for (script, expected) in cases().scripts {
        let read = match Metadata::of(&script) {
            Ok(read) => read.map(|read| Script::Read(read.dependencies, read.requires_python)),
            Err(_) => Some(Script::Refused("refused".to_owned())),
        };
        assert_eq!(read, expected, "{script:?}");
    }
}

fn needs(script: &str, packages: &[&str]) -> Result<Option<Needs>, String> {
    let packages: Vec<_> = packages.iter().map(|text| (*text).to_owned()).collect();
    Needs::of(script, &packages)
}

fn block(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("# {line}\n")).collect();
    format!("# /// script\n{lines}# ///\ndef main(): return 1\n")
}

#[test]
fn what_cannot_be_met_is_told_in_a_sentence() {
    let many = format!("dependencies = [{}]", "'a',".repeat(257));
    let thousands = format!("dependencies = [\n{}]", "'numpy>=1',\n".repeat(10_000));
    let long = format!("dependencies = [{}]", format!("'{}',", "a".repeat(1000)).repeat(17));
    let megabyte = format!("dependencies = ['{}']", "a".repeat(1 << 20));
    let deep = format!("x = {}{}", "[".repeat(10_000), "]".repeat(10_000));
    let tables = format!("{}x = 1{}", "x = {".repeat(4_000), "}".repeat(4_000));
    let dotted = format!("{}x = 1", "a.".repeat(16_000));
    let nested = format!("dependencies = [\"a; {}os_name == 'x'{}\"]", "(".repeat(400), ")".repeat(400));
    for (lines, expected) in [
        ("dependencies = [", "its block \"# /// script\" is not what PEP 723 has there: line 1"),
        ("x = 1\ndependencies = 'a'", "line 2, column 16 of it: invalid type: string \"a\", expected a sequence"),
        ("dependencies = [1]", "invalid type: integer `1`, expected a string"),
        ("dependencies = [{'$serde_json::private::RawValue' = 'a'}]", "invalid type: map, expected a string"),
        ("dependencies = [{'$__toml_private_datetime' = 'a'}]", "expected a string"),
        ("dependencies = [2020-01-01]", "expected a string"),
        ("requires-python = 3.11", "expected a string"),
        ("requires-python = '3.11'", "requires-python is \"3.11\", expected such as \">=3.11\""),
        ("requires-python = '>=3.11; os_name'", "requires-python is"),
        (
            "dependencies = ['a @ https://example.org/a.whl']",
            "dependencies[0]: \"a @ https://example.org/a.whl\" is no requirement that can be met: nothing is fetched",
        ),
        ("dependencies = ['a', 'git+https://example.org/a']", "dependencies[1]: "),
        ("dependencies = ['./a.whl']", "expected the name of a package"),
        ("dependencies = ['sc\u{456}py']", "Unexpected"),
        ("dependencies = ['\u{ff53}cipy']", "expected the name of a package"),
        ("dependencies = [\"a; 'x' == 'y'\"]", "compares what is not a variable with a text"),
        ("dependencies = [\"a; platform_release >= '5'\"]", "asks for platform_release, which is the host's"),
        ("dependencies = [\"a; os_name ~= 'x'\"]", "compares by ~= what is no version"),
        (&nested, "nested too deeply, at most 16 levels"),
        (&many, "dependencies has 257 requirements, expected at most 256"),
        (&thousands, "is 130021 bytes long, expected at most 32768"),
        (&long, "dependencies has 17000 bytes of requirements, expected at most 16384"),
        (&megabyte, "bytes long, expected at most 32768"),
        (&deep, "max recursion depth"),
        (&tables, "line 1"),
        (&dotted, "recursion limit"),
    ] {
        let why = needs(&block(lines), &[]).expect_err(lines);
        assert!(why.starts_with("script: ") && why.contains(expected), "{lines:.80}: {why}");
        assert!(why.len() < 1000, "{lines:.80}: {why}");
    }
    let nested = format!("a; {}os_name == 'x'{}", "(".repeat(400), ")".repeat(400));
    for (package, expected) in [
        ("", "packages[0]: \"\" is no requirement"),
        ("scipy >= 1.x", "packages[0]: "),
        (&"a".repeat(1025), "it is 1025 bytes long, expected at most 1024"),
        (&nested, "nested too deeply"),
        (&format!("a{}", ">=1.,".repeat(200)), "is no requirement"),
        ("a>=99999999999999999999!1", "is no requirement"),
        ("\u{0}", "control characters"),
    ] {
        let why = needs("", &[package]).expect_err(package);
        assert!(why.contains(expected) && why.len() < 1000, "{package:.80}: {why}");
    }
}

#[test]
fn what_asks_for_nothing_is_nothing() {
    for script in [
        "",
        "x = 1",
        "# dependencies = ['a']",
        &block(""),
        &block("dependencies = []"),
        &block("requires-python = ''"),
        &block("[tool.uv]\nx = 1"),
    ] {
        assert!(needs(script, &[]).expect("readable").is_none(), "{script}");
    }
    assert!(needs(&block("requires-python = '>=3'"), &[]).expect("readable").is_some());
}

/// Profiles by their names: Python, packages.
fn catalog(profiles: &[(&str, &str, &[&str])]) -> Catalog {
    let info = |(name, python, packages): &(&str, &str, &[&str])| {
        let interpreter = Some(Interpreter { version: (*python).to_owned(), packages: Vec::new() });
        let packages = packages.iter().filter_map(|package| package.split_once(' '));
        let packages = packages.map(|(name, version)| Package { name: name.to_owned(), version: version.to_owned() });
        let told = ProfileInfo {
            interpreter,
            packages: packages.collect(),
            runtime: format!("of-{name}"),
            ..ProfileInfo::default()
        };
        ((*name).to_owned(), told)
    };
    Catalog::of(&profiles.iter().map(info).collect())
}

const PROFILES: &[(&str, &str, &[&str])] = &[
    ("big", "3.11.7", &["numpy 2.4.0", "scipy 1.15.2", "polars 1.0", "torch 2.5.0+cpu"]),
    ("default", "3.11.7", &["numpy 2.4.0", "python-dateutil 2.9.0.post0"]),
    ("new", "3.13.5", &["numpy 2.5.0rc1"]),
    ("odd", "not one", &["numpy unknown"]),
    ("science", "3.11.7", &["numpy 2.4.0", "scipy 1.15.2"]),
];

#[test]
fn the_smallest_runtime_that_has_it_all_is_chosen_and_the_default_before_it() {
    let catalog = catalog(PROFILES);
    let all: &[&str] = &[];
    for (lines, packages, profile, allowed, expected) in [
        ("", &["numpy"][..], None, all, Ok("default")),
        ("", &["NumPy>=2,<2.5", "python_dateutil"], None, all, Ok("default")),
        ("", &["scipy>=1.11"], None, all, Ok("science")),
        ("", &["scipy>=1.11"], None, &["default", "big"], Ok("big")),
        ("", &["torch==2.5.0"], None, all, Ok("big")),
        ("dependencies = ['scipy']", &["polars"], None, all, Ok("big")),
        ("requires-python = '>=3.12'", all, None, all, Ok("new")),
        ("requires-python = '>=3.12'", &["numpy>=2.5rc1"], None, all, Ok("new")),
        (
            "dependencies = [\"nothing; python_version < '3'\", \"scipy[x]; sys_platform == 'linux'\"]",
            all,
            None,
            all,
            Ok("science"),
        ),
        ("", &["numpy"], Some("big"), all, Ok("big")),
        ("", &["numpy"], Some("odd"), all, Ok("odd")),
        (
            "",
            &["numpy>=0"],
            Some("odd"),
            all,
            Err((
                "missing_packages",
                "profile \"odd\" lacks what the script needs: numpy>=0 (unknown is there); profile \"default\" has all of it: name that, or none",
                "default",
            )),
        ),
        (
            "",
            &["scipy>=1.11"],
            Some("default"),
            all,
            Err((
                "missing_packages",
                "profile \"default\" lacks what the script needs: scipy>=1.11 (not there); profile \"science\" has all of it",
                "science",
            )),
        ),
        (
            "",
            &["scipy>=2"],
            None,
            all,
            Err((
                "missing_packages",
                "the nearest, \"science\", lacks: scipy>=2 (1.15.2 is there); nothing is installed while a script runs",
                "science",
            )),
        ),
        (
            "",
            &["scipy>=2", "polars"],
            None,
            all,
            Err(("missing_packages", "the nearest, \"big\", lacks: scipy>=2 (1.15.2 is there)", "big")),
        ),
        (
            "requires-python = '>=3.14'",
            all,
            None,
            &["new"],
            Err(("missing_packages", "python >=3.14 (3.13.5 is there)", "new")),
        ),
        (
            "",
            &["numpy"],
            None,
            &["none"],
            Err((
                "missing_packages",
                "there is no profile that may be used, and the script needs: numpy (not there)",
                "",
            )),
        ),
        (
            "",
            &["numpy"],
            Some("none"),
            all,
            Err((
                "invalid_request",
                "profile: there is no profile \"none\", expected one of: big, default, new, odd, science",
                "",
            )),
        ),
    ] {
        let needs = needs(&block(lines), packages).expect("readable").expect("something");
        let allowed = Some(allowed).filter(|allowed| !allowed.is_empty());
        let allowed = allowed.map(|allowed| allowed.iter().map(|name| (*name).to_owned()).collect());
        let asking = Asking { profile: profile.map(str::to_owned), allowed };
        match (choose(&needs, &catalog, &asking), expected) {
            (Ok(choice), Ok(expected)) => {
                assert_eq!(
                    (choice.profile.as_str(), choice.runtime),
                    (expected, format!("of-{expected}")),
                    "{lines} {packages:?}"
                );
            }
            (Err(failure), Err((code, message, nearest))) => {
                assert_eq!(failure.code.name(), code);
                assert!(failure.message.contains(message), "{}", failure.message);
                let told = failure.missing.map(|missing| (missing.nearest.unwrap_or_default(), missing.ran));
                assert_eq!(told, (code == "missing_packages").then(|| (nearest.to_owned(), false)));
            }
            (chosen, expected) => panic!("{lines} {packages:?}: {chosen:?}, expected {expected:?}"),
        }
    }
}

#[test]
fn all_that_is_missing_is_told_once_and_some_of_it_in_words() {
    let packages: Vec<_> = (0..20).map(|number| format!("missing-{}", number / 2)).collect();
    let needs = Needs::of(&block("requires-python = '<3'"), &packages).expect("readable").expect("something");
    let asking = Asking { profile: None, allowed: None };
    let failure = choose(&needs, &catalog(PROFILES), &asking).expect_err("nobody has it");
    let missing = failure.missing.expect("it is told").missing;
    assert_eq!(missing.len(), 11);
    let python =
        MissingPackage { name: "python".to_owned(), wanted: "<3".to_owned(), there: Some("3.11.7".to_owned()) };
    assert_eq!(missing[0], python);
    assert!(failure.message.contains("missing-6 (not there) and 3 more; "), "{}", failure.message);
}
