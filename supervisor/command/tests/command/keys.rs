//! `cloister keys`: what it writes and prints. How the gateway takes it is tested there.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::unistd::geteuid;

use crate::run;

/// What the directory's group is, when the tests run as root.
const GROUP: u32 = 64510;

/// A key file that need not be there yet, in a directory of its own.
struct KeyFile(PathBuf);

impl KeyFile {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("command-test-keys-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).expect("writable");
        if geteuid().is_root() {
            chown(&directory, None, Some(GROUP)).expect("root may");
        }
        Self(directory.join("keys.toml"))
    }

    fn run(&self, arguments: &[&str]) -> (String, String, i32) {
        run(&[&["keys", "--keys", self.0.to_str().expect("UTF-8")], arguments].concat())
    }

    fn add(&self, name: &str, arguments: &[&str]) -> String {
        let (out, error, code) = self.run(&[&["new", name], arguments].concat());
        assert_eq!(code, 0, "{error}");
        out.trim().to_owned()
    }

    /// The rows of the list, without its head.
    fn listed(&self) -> Vec<Vec<String>> {
        let (out, error, code) = self.run(&["list"]);
        assert_eq!(code, 0, "{error}");
        out.lines().skip(1).map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0.parent().expect("it has one"));
    }
}

#[test]
fn the_file_tells_nobody_a_key() {
    let keys = KeyFile::new();
    let token = keys.add("one", &["--rate", "10/s", "--concurrency", "2", "--profiles", "default"]);
    let text = fs::read_to_string(&keys.0).expect("just made");
    assert!(text.contains("name = \"one\"") && !text.contains(&token[26..]), "{text}");
    let file = fs::metadata(&keys.0).expect("just made");
    assert_eq!(file.mode() & 0o777, 0o640);
    if geteuid().is_root() {
        assert_eq!((file.uid(), file.gid()), (0, GROUP));
    }
    assert_eq!(keys.listed()[0][..5], ["one", "default", "10/s", "10", "2"]);
}

#[test]
fn the_list_says_whose_time_is_over() {
    let keys = KeyFile::new();
    // Seconds are what is written down, so this one's end is not after its beginning.
    keys.add("over", &["--expires", "1ms"]);
    keys.add("later", &["--expires", "1d"]);
    keys.add("never", &[]);
    let ends: Vec<_> = keys.listed().into_iter().map(|row| row.last().cloned().unwrap_or_default()).collect();
    assert!(ends[0] == "(over)" && ends[1].ends_with('Z') && ends[2] == "never", "{ends:?}");
}

#[test]
fn a_key_is_revoked_once() {
    let keys = KeyFile::new();
    keys.add("one", &[]);
    keys.add("two", &[]);
    assert_eq!(keys.run(&["revoke", "one"]), (String::new(), String::new(), 0));
    assert_eq!(keys.listed().iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), ["two"]);
    assert_eq!(keys.run(&["revoke", "one"]).2, 1);
}

#[test]
fn mistakes_are_told_and_change_nothing() {
    let keys = KeyFile::new();
    keys.add("one", &[]);
    for (arguments, part) in [
        (&["new", "one"][..], "there is a key \"one\" already"),
        (&["new", "a key"], "a name is"),
        (&["new", "two", "--rate", "10"], "such as 10/s"),
        (&["new", "two", "--burst", "10"], "--rate"),
        (&["new", "two", "--rate", "1/h", "--burst", "6000000"], "\"two\": a burst of 6000000 takes more than"),
        (&["new", "two", "--expires", "0s"], "expected more than no time"),
        (&["revoke", "two"], "there is no key \"two\""),
    ] {
        let (out, error, code) = keys.run(arguments);
        assert!(code != 0 && error.contains(part) && out.is_empty(), "{arguments:?}: {error}");
    }
    assert_eq!(keys.listed().len(), 1);
    let nowhere = keys.0.with_file_name("nowhere").join("keys.toml");
    let (_, error, _) = run(&["keys", "--keys", nowhere.to_str().expect("UTF-8"), "new", "one"]);
    assert!(error.contains("install -d"), "{error}");
    fs::write(&keys.0, "version = 1\n[[key]]\nname = 1\n").expect("ours");
    let (_, error, code) = keys.run(&["list"]);
    assert!(code == 1 && error.contains("keys.toml") && error.contains("line 3"), "{error}");
}

#[test]
fn many_at_once_lose_no_key() {
    let keys = KeyFile::new();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let keys = &keys;
            scope.spawn(move || keys.add(&format!("key-{number}"), &[]));
        }
    });
    assert_eq!(keys.listed().len(), 8);
}
