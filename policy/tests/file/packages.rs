//! Runtimes with packages: what a lock and its build come to, and what is said where they are not there or do not fit.
//! A build is root's, so these are root's too.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cloister_policy::packages::{Lock, build_id};
use cloister_policy::{Checked, Policy};
use serde_json::json;

const SITE: &str = "/usr/lib/python3.11/site-packages";

/// A base, a store, and a policy beside its lock.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("policy-packages-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        for directory in ["tree/usr/bin", "tree/usr/lib/python3.11/lib-dynload", "store"] {
            fs::create_dir_all(path.join(directory)).expect("writable");
        }
        let place = Self(path);
        place.write(&format!("tree{SITE}/numpy/__init__.py"), "");
        place.write("tree/usr/bin/python3", "");
        place.write("tree/usr/lib/python3.11/json/__init__.py", "");
        place.write("tree/usr/lib/python3.11/lib-dynload/_bz2.cpython-311-x86_64-linux-gnu.so", "");
        place.write("tree/base.json", &base("3.11.7"));
        place.write("science.txt.lock", &lock("six", "1.17.0"));
        place.build();
        place
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("in here")).expect("writable");
        fs::write(path, text).expect("writable");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).expect("written")
    }

    /// As `cloister runtime build` does, of what stands in the lock.
    fn build(&self) -> String {
        let text = self.read("science.txt.lock");
        let build = format!("store/{}", build_id(&text, &self.read("tree/base.json")));
        self.write(&format!("{build}/packages/six.py"), "");
        self.write(&format!("{build}/lock"), &text);
        let packages = Lock::parse(&text).expect("a lock").packages;
        let module =
            |name: &str, forked: bool| json!({"name": name, "milliseconds": 1.5, "bytes": 2, "forked": forked});
        let facts = json!({"base": "python", "python": "3.11.7", "packages": packages,
            "modules": [module("seven", false), module("six", true)], "bytes": 3, "made": "2026-11-26T12:00:00Z"});
        self.write(&format!("{build}/runtime.json"), &facts.to_string());
        build
    }

    fn checked(&self, more: &str) -> Checked {
        let text = format!(
            "version = 1\n[supervisor]\nslots = 1\nruntimes = \"{0}/store\"\n[runtime.python]\n\
             interpreter = \"/usr/bin/python3\"\nmounts = [\"{0}/tree/usr:/usr\"]\n[runtime.science]\nbase = \"python\"\n\
             packages = \"science.txt\"\n[profile.default]\nmemory = \"128MiB\"\nruntime = \"science\"\n{more}\n",
            self.0.display()
        );
        Checked::parse(&text, &self.0.join("policy.toml")).unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn policy(&self) -> Policy {
        self.checked("").for_host().unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn said(&self, more: &str) -> String {
        self.checked(more).check_host().to_string()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn base(python: &str) -> String {
    json!({"python": python, "tag": "cp311", "libc": "2.36", "site": SITE,
        "packages": [{"name": "numpy", "version": "2.4.0"}], "modules": ["numpy"]})
    .to_string()
}

fn lock(name: &str, version: &str) -> String {
    let head = Lock::head("3.11", "x86_64-manylinux_2_36", &"0".repeat(64));
    format!("{head}{name}=={version} \\\n    --hash=sha256:{}\n", "0a".repeat(32))
}

#[test]
fn a_runtime_with_packages_is_its_base_with_one_more_mount() {
    let place = Place::new("whole");
    let policy = place.policy();
    let (base, science) = (&policy.runtimes["python"], &policy.runtimes["science"]);
    assert_eq!((&science.interpreter, &science.mounts[..1]), (&base.interpreter, &base.mounts[..]));
    let build = science.mounts[1].host.parent().expect("in the store").to_owned();
    assert!(build.starts_with(place.0.join("store")) && science.mounts[1].inside == Path::new(SITE));
    let told = |packages: &[cloister_policy::Package]| {
        packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect::<Vec<_>>()
    };
    assert_eq!((told(&base.packages), &base.modules[..]), (vec!["numpy 2.4.0".to_owned()], &["numpy".to_owned()][..]));
    // What nobody may import where others are forked from is none of these.
    assert_eq!(
        (told(&science.packages), &science.modules[..]),
        (vec!["six 1.17.0".to_owned()], &["six".to_owned()][..])
    );
    assert_eq!((base.python.as_deref(), science.python.as_deref()), (Some("3.11.7"), Some("3.11.7")));
    assert_eq!(policy.check(), Ok(()));
}

#[test]
fn another_lock_is_another_policy_though_its_file_is_the_same() {
    let place = Place::new("again");
    let before = place.policy();
    place.write("science.txt.lock", &lock("six", "1.16.0"));
    let unbuilt = place.said("");
    assert!(unbuilt.contains("are not built") && unbuilt.contains("cloister runtime build science"), "{unbuilt}");
    place.build();
    let after = place.policy();
    assert!(before.digest != after.digest && before.runtimes["science"].mounts != after.runtimes["science"].mounts);
    place.write("science.txt.lock", &lock("six", "1.17.0"));
    assert_eq!(place.policy(), before);
}

#[test]
fn a_wish_that_is_not_what_is_locked_is_told() {
    let place = Place::new("outdated");
    place.write("science.txt", "six<2\n");
    let said = place.said("");
    assert!(said.contains("warning: ") && said.contains("science.txt was changed since its lock was made"), "{said}");
    assert!(place.checked("").for_host().is_ok());
}

#[test]
fn what_is_not_there_is_told_with_the_command_that_makes_it() {
    let place = Place::new("missing");
    fs::remove_file(place.0.join("science.txt.lock")).expect("written");
    let said = place.said("");
    assert!(said.contains("has no lock") && said.contains("cloister runtime lock science"), "{said}");
    for (text, what) in [
        (String::new(), "does not say its python"),
        (lock("six", "1.17.0") + "--index-url https://index.example", "is no lock"),
        (lock("six", "1.17.0").replace("3.11", "3.13"), "was made for Python 3.13, and its base is Python 3.11"),
    ] {
        place.write("science.txt.lock", &text);
        assert!(place.said("").contains(what), "{what}: {}", place.said(""));
    }
}

#[test]
fn a_build_that_does_not_fit_or_that_others_could_change_is_not_used() {
    let place = Place::new("unfit");
    let build = place.build();
    let facts = place.read(&format!("{build}/runtime.json"));
    place.write(&format!("{build}/runtime.json"), &facts.replace("1.17.0", "1.18.0"));
    assert!(place.said("").contains("does not fit its lock"), "{}", place.said(""));
    place.write(&format!("{build}/runtime.json"), "{}");
    assert!(place.said("").contains("is not as its builder writes it"), "{}", place.said(""));
    place.write(&format!("{build}/runtime.json"), &facts);
    place.write(&format!("{build}/lock"), "");
    assert!(place.said("").contains("does not fit its lock"), "{}", place.said(""));
    place.build();
    let module = place.0.join(&build).join("packages/six.py");
    fs::set_permissions(&module, fs::Permissions::from_mode(0o666)).expect("own");
    let said = place.said("");
    assert!(said.contains("may be written by others (mode 0666)") && said.contains("not fit for use"), "{said}");
    fs::set_permissions(&module, fs::Permissions::from_mode(0o644)).expect("own");
    std::os::unix::fs::chown(&module, Some(12_345), None).expect("these are root's tests");
    assert!(place.said("").contains("belongs to uid 12345"), "{}", place.said(""));
}

#[test]
fn a_base_that_does_not_say_what_it_is_has_no_packages_and_needs_none() {
    let place = Place::new("mute");
    fs::remove_file(place.0.join("tree/base.json")).expect("written");
    let said = place.said("");
    assert!(said.contains("does not say what it is") && said.contains("make runtime"), "{said}");
    let text = format!(
        "version = 1\n[runtime.python]\ninterpreter = \"/usr/bin/python3\"\nmounts = [\"{}/tree/usr:/usr\"]\n\
         [supervisor]\nslots = 1\n[profile.default]\nmemory = \"128MiB\"\nwarm = {{ imports = [\"anything\"] }}\n",
        place.0.display()
    );
    let policy = Checked::parse(&text, "policy.toml".as_ref()).expect("a policy").for_host().expect("it is all there");
    assert_eq!((&policy.runtimes["python"].python, policy.runtimes["python"].packages.len()), (&None, 0));
    place.write("tree/base.json", &base("3.11.7").replace(SITE, "/usr/lib/../../etc"));
    assert!(place.said("").contains("is no directory of its tree"), "{}", place.said(""));
}

#[test]
fn what_a_profile_keeps_warm_is_in_its_runtime() {
    let place = Place::new("warm");
    assert_eq!(
        place.said("warm = { imports = [\"six\", \"six.moves\", \"json\", \"sys\", \"_bz2\"] }").lines().count(),
        1
    );
    let said = place.said("warm = { imports = [\"six\", \"numpy.linalg\"] }");
    assert!(said.contains("keeps numpy warm, which its runtime \"science\" does not have"), "{said}");
    assert!(said.contains("add what brings it to") && said.contains("science.txt"), "{said}");
}

#[test]
fn what_a_runtime_has_is_explained_and_its_change_told() {
    let place = Place::new("told");
    let old = place.checked("").look();
    let text = old.explain(None).expect("no profile").to_text();
    assert!(text.contains("# Python 3.11.7, 1 packages, build ") && text.contains("\n# six 1.17.0\n"), "{text}");
    assert!(!text.split("[runtime.science]").nth(1).is_some_and(|rest| rest.contains("\ninterpreter")), "{text}");
    let again = Checked::parse(&text, &place.0.join("policy.toml")).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(again.look().policy.runtimes, old.policy.runtimes);
    let json = old.explain(Some("default")).expect("there").to_json();
    assert_eq!(json["runtimes"]["science"]["has"]["packages"][0]["name"], "six");
    assert_eq!(json["digest"], old.policy.digest);
    place.write("science.txt.lock", &lock("six", "1.16.0"));
    place.build();
    let new = place.checked("").look();
    let changes: Vec<_> = cloister_policy::diff::diff(&old, &new).iter().map(ToString::to_string).collect();
    assert_eq!(changes, ["different  runtime.science packages: six 1.17.0 -> 1.16.0"]);
}
