//! What was seen, as a piece of policy: a profile that extends the one that was tried by what the script used
//! beyond it, and comments on what no profile can give.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::error::Error;
use cloister_policy::seccomp::Syscall;
use cloister_policy::{Checked, Danger, Policy, Profile, Severity, danger};

use super::judge::Judgement;
use super::paths::{Shown, fewest};
use super::purpose::purpose;
use super::recorder::{Seen, Use};

/// With more different arguments than these the call is named as a whole.
const MOST_RULES: usize = 8;

/// How many paths that cannot be had are listed.
const MOST_NOTES: usize = 64;

/// What a piece of policy is written for.
pub struct Snippet<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// The profile that was tried.
    pub profile: &'a Profile,
    /// The policy's text, below which the piece is to be a policy.
    pub text: &'a str,
    /// Its file.
    pub file: &'a Path,
    /// What the script is called.
    pub script: &'a str,
    /// The names of all profiles, with commas between.
    pub known: &'a str,
}

/// Lines of lists, each with its comment; and comments of their own.
#[derive(Debug, Default)]
struct Lines {
    allow: Vec<(String, String)>,
    rules: Vec<(String, String)>,
    read_only: Vec<(String, String)>,
    notes: Vec<(&'static str, Vec<String>)>,
}

impl Snippet<'_> {
    /// Writes it.
    ///
    /// # Errors
    /// When it would be no policy below the one that it is for.
    pub fn write(&self, seen: &Seen, finished: bool) -> Result<String, Error> {
        let mut lines = Lines::default();
        calls(seen, &mut lines);
        self.paths(seen, &mut lines);
        let name = self.name();
        let mut piece = self.heading(&lines, &name, finished, seen.incomplete.as_deref());
        piece += &lines.profile(&name, &self.profile.name);
        for (title, notes) in lines.notes.iter().filter(|(_, notes)| !notes.is_empty()) {
            let _ = writeln!(piece, "# {title}");
            notes.iter().take(MOST_NOTES).for_each(|note| {
                let _ = writeln!(piece, "#   {note}");
            });
            if notes.len() > MOST_NOTES {
                let _ = writeln!(piece, "#   and {} more", notes.len() - MOST_NOTES);
            }
        }
        self.refusal(&piece).map_or(Ok(piece), |why| Err(Error::Unlearned(why)))
    }

    fn heading(&self, lines: &Lines, name: &str, finished: bool, incomplete: Option<&str>) -> String {
        let (script, profile) = (plain(self.script), &self.profile.name);
        let mut heading = if lines.is_empty() {
            format!("# {script} uses nothing beyond profile {profile:?} that a policy could give.\n")
        } else {
            format!(
                "# What {script} used beyond profile {profile:?}. Read it, paste it below the policy, and have the script \
                 run with profile {name:?}.\n"
            )
        };
        if !finished {
            heading +=
                "# The script came to no result: what it does after that is not here. Learn again with this pasted.\n";
        }
        if let Some(why) = incomplete {
            let _ = writeln!(heading, "# The record is not complete: {}.", plain(why));
        }
        heading
    }

    /// A name that no profile of the policy has.
    fn name(&self) -> String {
        let taken = |name: &String| self.known.split(", ").any(|known| known == name);
        let base = format!("{}-learned", self.profile.name);
        let numbered = (2_u32..).map(|number| format!("{base}-{number}"));
        std::iter::once(base.clone()).chain(numbered).find(|name| !taken(name)).expect("numbers do not end")
    }

    /// Why the policy with this below it would be none on this host.
    fn refusal(&self, piece: &str) -> Option<String> {
        let problems = match Checked::parse(&format!("{}\n{piece}", self.text), self.file) {
            Ok(checked) => checked.check_host(),
            Err(problems) => problems,
        };
        problems
            .problems()
            .iter()
            .find(|problem| problem.severity == Severity::Error)
            .map(|error| error.message.clone())
    }

    fn paths(&self, seen: &Seen, lines: &mut Lines) {
        let (mut within, mut refused, mut never) = (Vec::new(), Vec::new(), Vec::new());
        for Shown { path, purpose } in fewest(&seen.missing) {
            let shown = plain(&path.to_string_lossy());
            if let Some((mounted, from)) = self.mount_of(&path) {
                within.push(format!("{shown} ({purpose}): {mounted} is {from} there"));
                continue;
            }
            if danger(&path) == Some(Danger::Never) {
                never.push(format!("{shown} ({purpose})"));
                continue;
            }
            match self.refusal_of(&path) {
                None => {
                    lines.read_only.push((quoted(&path.to_string_lossy()), format!("{purpose}{}", unreadable(&path))))
                }
                Some(why) => refused.push(format!("{shown} ({purpose}): {}", plain(&why))),
            }
        }
        lines
            .notes
            .push(("On the host, but within a directory that the sandbox has from elsewhere; put it there:", within));
        lines.notes.push((
            "On the host, and not shown to a job without more thought (allow_dangerous names such paths):",
            refused,
        ));
        let closed = seen.closed.iter().map(|(path, access)| format!("{}: {access}", plain(&path.to_string_lossy())));
        lines.notes.push(("Not granted by the profile's landlock.rules, as it was not here:", closed.collect()));
        lines.notes.push(("Of the host's kernel, and never shown to a job:", never));
        let written = seen.written.iter().map(|path| plain(&path.to_string_lossy())).collect();
        lines.notes.push(("Opened for writing or changed; no policy allows that outside /tmp and /dev/shm:", written));
    }

    /// The mount that a path of the sandbox is in, and what of the host that is.
    fn mount_of(&self, path: &Path) -> Option<(String, String)> {
        let runtime = &self.policy.runtimes[&self.profile.runtime];
        let link = runtime.links.iter().find_map(|(name, target)| {
            let rest = path.strip_prefix(Path::new("/").join(name)).ok()?;
            Some(Path::new("/").join(target).join(rest))
        });
        let path: PathBuf = link.unwrap_or_else(|| path.to_owned());
        let mounts = runtime.mounts.iter().chain(&self.profile.filesystem.read_only);
        let mount = mounts
            .filter(|mount| path.starts_with(&mount.inside))
            .max_by_key(|mount| mount.inside.as_os_str().len())?;
        Some((mount.inside.display().to_string(), mount.host.display().to_string()))
    }

    /// Why a path cannot be shown by its name alone.
    fn refusal_of(&self, path: &Path) -> Option<String> {
        match path.to_str() {
            Some(text) if !text.contains(':') && !text.chars().any(char::is_control) => {}
            _ => return Some("its name cannot be written in a policy".to_owned()),
        }
        if danger(path).is_some() {
            return Some("it may show secrets or the state of the host".to_owned());
        }
        let entry = (quoted(&path.to_string_lossy()), String::new());
        let alone = Lines { read_only: vec![entry], ..Lines::default() };
        self.refusal(&alone.profile(&self.name(), &self.profile.name))
    }
}

impl Lines {
    fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.rules.is_empty() && self.read_only.is_empty()
    }

    /// The profile, if there is anything in it.
    fn profile(&self, name: &str, base: &str) -> String {
        if self.is_empty() {
            return String::new();
        }
        let mut text = format!("[profile.{name}]\nextends = {}\n", quoted(base));
        let lists =
            [("seccomp.allow", &self.allow), ("seccomp.rules", &self.rules), ("filesystem.read_only", &self.read_only)];
        for (key, entries) in lists.into_iter().filter(|(_, entries)| !entries.is_empty()) {
            let _ = writeln!(text, "{key} = [");
            let width = entries.iter().map(|(entry, _)| entry.len()).max().unwrap_or(0) + 1;
            for (entry, comment) in entries {
                let entry = format!("{entry},");
                let _ = writeln!(text, "    {entry:width$}  # {comment}");
            }
            text += "]\n";
        }
        text
    }
}

/// Calls that a policy can allow, by the call or by its arguments, and comments on those that it cannot.
fn calls(seen: &Seen, lines: &mut Lines) {
    let mut unnamed: BTreeMap<Syscall, Vec<(&Use, u64)>> = BTreeMap::new();
    let (mut ruled, mut loopback, mut never) = (Vec::new(), Vec::new(), Vec::new());
    for ((judgement, used), times) in &seen.calls {
        match judgement {
            Judgement::Allowed => {}
            Judgement::Unnamed => unnamed.entry(used.call).or_default().push((used, *times)),
            Judgement::Ruled => {
                ruled.push(format!(
                    "{}, {}: seccomp.rules = [\"-{}\"] takes its rules away",
                    shown(used),
                    made(*times),
                    used.call.name()
                ));
            }
            Judgement::NeedsLoopback => loopback.push(format!("{}, {}", shown(used), made(*times))),
            Judgement::Never => never.push(format!("{}, {}", shown(used), made(*times))),
        }
    }
    for (call, uses) in unnamed {
        let times = uses.iter().map(|(_, times)| times).sum();
        if uses.len() > MOST_RULES || uses.iter().any(|(used, _)| used.selected.is_empty()) {
            lines.allow.push((quoted(call.name()), format!("{}; {}", purpose(call), made(times))));
            continue;
        }
        for (used, times) in uses {
            let conditions: Vec<String> =
                used.selected.iter().map(|(at, value)| format!("\"int{at} == {value:#x}\"")).collect();
            let rule =
                format!("{{ call = {}, when = [{}], action = \"allow\" }}", quoted(call.name()), conditions.join(", "));
            lines.rules.push((rule, format!("{}; {}", purpose(call), made(times))));
        }
    }
    lines.notes.push(("Refused by a rule of the profile, as it was here:", ruled));
    lines
        .notes
        .push(("Takes network = \"loopback\", which gives a network within the sandbox; refused here:", loopback));
    lines.notes.push(("Allowed in no policy, and refused here:", never));
}

fn shown(used: &Use) -> String {
    let arguments: Vec<String> =
        used.selected.iter().map(|(at, value)| format!("argument {at} = {value:#x}")).collect();
    if arguments.is_empty() {
        used.call.name().to_owned()
    } else {
        format!("{}({})", used.call.name(), arguments.join(", "))
    }
}

fn made(times: u64) -> String {
    if times == 1 { "made once".to_owned() } else { format!("made {times} times") }
}

/// What a job cannot read though it is shown.
fn unreadable(path: &Path) -> &'static str {
    use std::os::unix::fs::MetadataExt;
    let is_open = std::fs::metadata(path).is_ok_and(|found| found.mode() & 0o004 != 0);
    if is_open { "" } else { "; others than its owner may not read it, so that jobs cannot: chmod o+r" }
}

/// A TOML string. What JSON escapes is a subset of what TOML does; control characters beyond it are refused before.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text is always JSON")
}

/// Text of the script's own on one line of a comment.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}
