//! What must hold of every parser here, and a reader that is not the one under test.

use std::collections::HashSet;
use std::fmt;

use serde_json::value::RawValue;

/// Runs on a stack on which no parser that follows a stranger's nesting gets far.
pub fn on_a_small_stack<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(128 * 1024).spawn_scoped(scope, run);
        thread.expect("a thread").join().expect("it does not panic")
    })
}

/// Panics unless this is JSON of at most 128 levels in which every reader sees the same.
pub fn is_plain(json: &str) {
    let raw: &RawValue = serde_json::from_str(json).expect("JSON");
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    deserializer.disable_recursion_limit();
    let plain: Plain = serde::Deserialize::deserialize(&mut deserializer).expect("every reader's JSON");
    assert!(plain.0 <= 128, "{} levels", plain.0);
}

/// The depth of JSON without duplicate keys, private keys or lone surrogates.
struct Plain(usize);

impl<'de> serde::Deserialize<'de> for Plain {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Look)
    }
}

struct Look;

impl<'de> serde::de::Visitor<'de> for Look {
    type Value = Plain;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Plain, E> {
        Ok(Plain(0))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Plain, E> {
        Ok(Plain(0))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Plain, E> {
        Ok(Plain(0))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Plain, E> {
        Ok(Plain(0))
    }

    fn visit_str<E>(self, _: &str) -> Result<Plain, E> {
        Ok(Plain(0))
    }

    fn visit_unit<E>(self) -> Result<Plain, E> {
        Ok(Plain(0))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Plain, A::Error> {
        let mut depth = 0;
        while let Some(Plain(inside)) = items.next_element()? {
            depth = depth.max(inside);
        }
        Ok(Plain(depth + 1))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Plain, A::Error> {
        let (mut seen, mut depth) = (HashSet::new(), 0);
        while let Some(key) = map.next_key::<String>()? {
            // A number comes as an object of this key, with all its digits; a stranger's would be no number.
            if key == "$serde_json::private::Number" && seen.is_empty() {
                let digits: String = map.next_value()?;
                assert!(digits.parse::<serde_json::Number>().is_ok(), "a private key: {digits}");
                assert!(map.next_key::<String>()?.is_none(), "a private key");
                return Ok(Plain(0));
            }
            assert!(!key.starts_with("$serde_json::private::"), "a private key: {key}");
            depth = depth.max(map.next_value::<Plain>()?.0);
            assert!(seen.insert(key), "a key twice");
        }
        Ok(Plain(depth + 1))
    }
}
