//! Values as TOML again, in the plainest form.

use cloister_terms::{Action, CallRule, Mount, PathRule, UNLIMITED};

use crate::read::{Errno, Placed, Value};
use crate::seccomp::Syscall;
use crate::units::show_time;

/// Text in quotes.
pub(super) fn text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

pub(super) fn mount(mount: &Mount) -> String {
    let (host, inside) = (mount.host.to_string_lossy(), mount.inside.to_string_lossy());
    if host == inside { text(&host) } else { text(&format!("{host}:{inside}")) }
}

/// A rule for a call.
pub(super) fn call_rule(rule: &CallRule) -> String {
    let call = Syscall::by_number(rule.number).map_or("", Syscall::name);
    let when = rule.when.iter().map(|condition| format!("\"{condition}\"")).collect::<Vec<_>>();
    let when = if when.is_empty() { String::new() } else { format!(", when = [{}]", when.join(", ")) };
    let action = match rule.action {
        Action::Allow => "\"allow\"".to_owned(),
        Action::Log => "\"log\"".to_owned(),
        Action::Kill => "\"kill\"".to_owned(),
        Action::Errno(number) => format!("\"errno\", errno = \"{}\"", Errno::by_number(number).map_or("", Errno::name)),
    };
    format!("{{ call = \"{call}\"{when}, action = {action} }}")
}

/// A rule for a path.
pub(super) fn path_rule(rule: &PathRule) -> String {
    let access = rule.access.iter().map(|access| format!("\"{access}\"")).collect::<Vec<_>>().join(", ");
    format!("{{ path = {}, access = [{access}] }}", text(&rule.path.to_string_lossy()))
}

/// A value on one line.
pub(super) fn value(value: &Value) -> String {
    if let Some(items) = items(value) {
        return format!("[{}]", items.into_iter().map(|item| item.value).collect::<Vec<_>>().join(", "));
    }
    match value {
        Value::Size(bytes) => text(&bytes.to_string()),
        Value::Time(time) => text(&show_time(*time)),
        Value::Whole(u64::MAX) => text(UNLIMITED),
        Value::Whole(number) => number.to_string(),
        Value::Number(cpus) => format!("{:?}", cpus.cpus()),
        Value::Switch(on) => on.to_string(),
        Value::Text(word) => text(word),
        Value::Pairs(pairs) => {
            let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{} = {}", key(name), text(value))).collect();
            if pairs.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs.join(", ")) }
        }
        Value::Words(_) | Value::Mounts(_) | Value::CallRules(_) | Value::PathRules(_) => String::new(),
    }
}

/// The items of a list, each as TOML with its place.
pub(super) fn items(value: &Value) -> Option<Vec<Placed<String>>> {
    fn each<T>(items: &[Placed<T>], show: impl Fn(&T) -> String) -> Vec<Placed<String>> {
        items.iter().map(|item| Placed { value: show(&item.value), origin: item.origin.clone() }).collect()
    }
    Some(match value {
        Value::Words(words) => each(words, |word| text(word)),
        Value::Mounts(mounts) => each(mounts, mount),
        Value::CallRules(rules) => each(rules, call_rule),
        Value::PathRules(rules) => each(rules, path_rule),
        _ => return None,
    })
}

/// A key, in quotes where it needs them.
pub(super) fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { text(name) }
}
