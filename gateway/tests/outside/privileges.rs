//! What the kernel says of a running gateway. Its Landlock domain is tried in the unit tests.

use std::fs;
use std::os::unix::fs::MetadataExt;

use nix::unistd::geteuid;

use crate::stage::{Client, Gateway, Outcome, Place};

#[test]
fn nothing_is_left_to_give_up() -> Outcome {
    let gateway = Gateway::start_with(&Place::new()?, &["--hold", "0s"])?;
    // Large enough to be parsed by a thread beside the first.
    let large = format!(r#"{{"script": "{}"}}"#, "a".repeat(1 << 20));
    Client::connect(gateway.address)?.execute(&large)?.refusal(503, "unavailable");
    let process = format!("/proc/{}", gateway.pid());
    let tasks = fs::read_dir(format!("{process}/task"))?.collect::<Vec<_>>();
    assert!(tasks.len() > 1, "{tasks:?}");
    for task in tasks {
        let status = fs::read_to_string(task?.path().join("status"))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("missing");
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
            assert_eq!(field(set), "0000000000000000", "{set}");
        }
        assert_eq!(field("NoNewPrivs:"), "1");
        if geteuid().is_root() {
            assert_eq!(field("CapBnd:"), "0000000000000000");
            assert_eq!(field("Uid:"), "64510 64510 64510 64510");
            assert_eq!(field("Gid:"), "64510 64510 64510 64510");
            assert_eq!(field("Groups:"), "");
        }
    }
    if geteuid().is_root() {
        // proc(5): the files of a process that is not dumpable are root's.
        assert_eq!(fs::metadata(format!("{process}/status"))?.uid(), 0);
    }
    Ok(())
}

#[test]
fn open_files_may_be_as_many_as_the_hard_limit_says() -> Outcome {
    let gateway = Gateway::start(&Place::new()?)?;
    let limits = fs::read_to_string(format!("/proc/{}/limits", gateway.pid()))?;
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    let numbers: Vec<_> = line.split_whitespace().filter(|word| word.parse::<u64>().is_ok()).collect();
    assert!(numbers.len() == 2 && numbers[0] == numbers[1], "{line}");
    Ok(())
}
