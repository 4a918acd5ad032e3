//! Values as TOML again, in the plainest form.

use crate::model::ReadOnlyMount;
use crate::units;
use crate::values::{Placed, Value};

/// Text in quotes.
pub(crate) fn text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

pub(crate) fn mount(mount: &ReadOnlyMount) -> String {
    let (host, inside) = (mount.host.to_string_lossy(), mount.inside.to_string_lossy());
    if host == inside { text(&host) } else { text(&format!("{host}:{inside}")) }
}

/// A value on one line.
pub(crate) fn value(value: &Value) -> String {
    if let Some(items) = items(value) {
        return format!("[{}]", items.into_iter().map(|item| item.value).collect::<Vec<_>>().join(", "));
    }
    match value {
        Value::Size(bytes) => text(&units::show_size(*bytes)),
        Value::Time(time) => text(&units::show_time(*time)),
        Value::Whole(u64::MAX) => text(units::UNLIMITED),
        Value::Whole(number) => number.to_string(),
        Value::Number(thousandths) => format!("{:?}", f64::from(*thousandths) / 1000.0),
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
pub(crate) fn items(value: &Value) -> Option<Vec<Placed<String>>> {
    fn each<T>(items: &[Placed<T>], show: impl Fn(&T) -> String) -> Vec<Placed<String>> {
        items.iter().map(|item| Placed { value: show(&item.value), origin: item.origin.clone() }).collect()
    }
    Some(match value {
        Value::Words(words) => each(words, |word| text(word)),
        Value::Mounts(mounts) => each(mounts, mount),
        Value::CallRules(rules) => each(rules, ToString::to_string),
        Value::PathRules(rules) => each(rules, ToString::to_string),
        _ => return None,
    })
}

/// A key, in quotes where it needs them.
pub(crate) fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { text(name) }
}
