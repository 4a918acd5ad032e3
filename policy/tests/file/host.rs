//! What is found on the host of what a policy names.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;

use cloister_policy::Checked;

/// A directory of the test's own, with an interpreter in it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("policy-test-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("usr/bin")).expect("writable");
        fs::write(path.join("usr/bin/python3"), "").expect("writable");
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// What is said of a policy whose profile has this `filesystem` table.
    fn said(&self, supervisor: &str, filesystem: &str) -> String {
        let text = format!(
            "version = 1\n[supervisor]\nslots = 1\n{supervisor}\n[runtime.python]\ninterpreter = \"/usr/bin/python3\"\n\
             mounts = [\"{}:/usr\"]\n[profile.default]\nmemory = \"128MiB\"\nfilesystem = {{ {filesystem} }}\n",
            self.file("usr")
        );
        let checked = Checked::parse(&text, "policy.toml".as_ref()).unwrap_or_else(|problems| panic!("{problems}"));
        checked.check_host().to_string()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_is_there_is_no_problem() {
    let place = Place::new("there");
    let models = place.file("usr/bin");
    assert_eq!(place.said("", &format!("read_only = [\"{models}:/models\"]")), "policy.toml: no problems");
}

#[test]
fn a_path_that_is_not_there_is_told_with_what_is() {
    let place = Place::new("missing");
    let said = place.said("", &format!("read_only = [\"{}:/models\"]", place.file("usr/lib/models")));
    assert!(said.contains("models does not exist on this host"), "{said}");
    assert!(said.contains(&format!("{} does exist", place.file("usr"))), "{said}");
    assert!(said.contains("--> policy.toml:10:"), "{said}");
}

#[test]
fn an_interpreter_that_is_not_there_is_told() {
    let place = Place::new("interpreter");
    fs::remove_file(place.0.join("usr/bin/python3")).expect("it was there");
    let said = place.said("", "read_only = []");
    assert!(said.contains("/usr/bin/python3 is not there"), "{said}");
}

#[test]
fn a_socket_is_refused_wherever_it_lies_unless_it_is_named() {
    let place = Place::new("socket");
    fs::create_dir_all(place.0.join("app/run")).expect("writable");
    let path = place.file("app/run/app.sock");
    let listener = UnixListener::bind(&path).expect("a short address");
    for shown in [place.file("app"), path.clone()] {
        let said = place.said("", &format!("read_only = [\"{shown}:/app\"]"));
        assert!(said.contains("is a Unix socket of the host"), "{said}");
        assert!(said.contains(&format!("filesystem.allow_dangerous = [\"{path}\"]")), "{said}");
        let said = place.said("", &format!("read_only = [\"{shown}:/app\"], allow_dangerous = [\"{path}\"]"));
        assert_eq!(said, "policy.toml: no problems");
    }
    drop(listener);
}

#[test]
fn a_link_to_secrets_is_seen_through() {
    let place = Place::new("link");
    symlink("/etc", place.0.join("harmless")).expect("writable");
    let harmless = place.file("harmless");
    let said = place.said("", &format!("read_only = [\"{harmless}:/data\"]"));
    assert!(said.contains("leads to /etc, which shows the host's secrets"), "{said}");
    let said = place.said("", &format!("read_only = [\"{harmless}:/data\"], allow_dangerous = [\"/etc\"]"));
    assert!(!said.contains("error"), "{said}");
}

#[test]
fn slots_that_need_more_memory_than_there_is_are_a_warning() {
    let place = Place::new("memory");
    let text = |slots: u32| {
        format!(
            "version = 1\n[supervisor]\nslots = {slots}\n[runtime.python]\ninterpreter = \"/usr/bin/python3\"\n\
             mounts = [\"{}:/usr\"]\n[profile.default]\nmemory = \"1TiB\"\n",
            place.file("usr")
        )
    };
    let checked = Checked::parse(&text(4000), "policy.toml".as_ref()).unwrap_or_else(|problems| panic!("{problems}"));
    let found = checked.check_host();
    assert!(!found.has_errors());
    assert!(
        found.to_string().contains("4000 slots of 1TiB each (profile \"default\") are 4000TiB, more than"),
        "{found}"
    );
}

#[test]
fn a_named_pipe_is_refused_as_a_socket_is() {
    let place = Place::new("pipe");
    fs::create_dir_all(place.0.join("app/run")).expect("writable");
    let path = place.file("app/run/orders");
    assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo is there").success());
    let app = place.file("app");
    let said = place.said("", &format!("read_only = [\"{app}:/app\"]"));
    assert!(said.contains("orders is a named pipe of the host"), "{said}");
    let said = place.said("", &format!("read_only = [\"{app}:/app\"], allow_dangerous = [\"{path}\"]"));
    assert_eq!(said, "policy.toml: no problems");
}

#[test]
fn a_directory_that_can_be_passed_and_not_listed_is_refused_unless_it_is_named() {
    let place = Place::new("unlisted");
    fs::create_dir_all(place.0.join("app/run")).expect("writable");
    fs::set_permissions(place.0.join("app/run"), fs::Permissions::from_mode(0o711)).expect("ours");
    let (app, path) = (place.file("app"), place.file("app/run"));
    let said = place.said("", &format!("read_only = [\"{app}:/app\"]"));
    assert!(said.contains("app/run cannot be listed"), "{said}");
    let said = place.said("", &format!("read_only = [\"{app}:/app\"], allow_dangerous = [\"{path}\"]"));
    assert_eq!(said, "policy.toml: no problems");
}

#[test]
fn a_directory_that_others_may_write_to_is_a_warning() {
    let place = Place::new("open");
    fs::create_dir_all(place.0.join("app/inbox")).expect("writable");
    fs::set_permissions(place.0.join("app/inbox"), fs::Permissions::from_mode(0o1777)).expect("ours");
    let said = place.said("", &format!("read_only = [\"{}:/app\"]", place.file("app")));
    assert!(said.contains("warning: others than the owner may write to") && said.contains("app/inbox"), "{said}");
    assert!(!said.contains("error"), "{said}");
}

#[test]
fn a_mount_in_another_needs_a_place_of_its_own_kind_there() {
    let place = Place::new("nested");
    fs::create_dir_all(place.0.join("data")).expect("writable");
    let (data, file) = (place.file("data"), place.file("usr/bin/python3"));
    for (mount, said_of) in [
        (format!("{data}:/usr/data"), "/usr/data has no place"),
        (format!("{data}:/usr/bin/python3"), "/usr/bin/python3 is a file, and"),
        (format!("{file}:/usr/bin"), "/usr/bin is a directory, and"),
    ] {
        let said = place.said("", &format!("read_only = [\"{mount}\"]"));
        assert!(said.contains(said_of) && said.contains("--> policy.toml:"), "{mount}: {said}");
    }
    for mount in [format!("{data}:/usr/bin"), format!("{file}:/usr/bin/python3"), format!("{data}:/data/data")] {
        assert_eq!(place.said("", &format!("read_only = [\"{mount}\"]")), "policy.toml: no problems", "{mount}");
    }
}

#[test]
fn a_rule_for_a_path_that_is_not_there_is_told() {
    let place = Place::new("rule");
    let rules = |path: &str| {
        format!("read_only = [] }}\nlandlock = {{ rules = [{{ path = \"{path}\", access = [\"write\"] }}]")
    };
    let read = |path: &str| rules(path).replace("write", "read");
    let said = place.said("", &read("/usr/lib/none"));
    assert!(said.contains("/usr/lib/none is not there") && said.contains("--> policy.toml:"), "{said}");
    assert!(!place.said("", &read("/usr/bin")).contains("error"));
    assert!(!place.said("", &rules("/tmp")).contains("error"));
}

#[test]
fn what_jobs_could_not_reach_is_told() {
    let place = Place::new("closed");
    fs::create_dir_all(place.0.join("home/data")).expect("writable");
    let (home, data) = (place.0.join("home"), place.file("home/data"));
    let said = |mode| {
        fs::set_permissions(&home, fs::Permissions::from_mode(mode)).expect("ours");
        place.said("", &format!("read_only = [\"{data}:/data\"]"))
    };
    let closed = said(0o750);
    assert!(closed.contains("error") && closed.contains(&format!("chmod o+x {}", home.display())), "{closed}");
    assert_eq!(said(0o711), "policy.toml: no problems");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o750)).expect("ours");
    let closed = said(0o711);
    assert!(closed.contains("warning") && closed.contains("by no job"), "{closed}");
}
