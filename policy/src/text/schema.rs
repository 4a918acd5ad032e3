//! The JSON Schema of the file, for editors: draft 7, which the TOML tools of editors read.

use cloister_terms::{Access, DEFAULT_PROFILE, UNLIMITED};
use serde_json::{Map, Value as Json, json};

use crate::keys::{Default, Key, Kind, PROFILE, RUNTIME, SUPERVISOR};
use crate::read::{ACTIONS, CONDITION_PATTERN, ERRNO_NAMES};
use crate::seccomp::{GROUPS, NEVER, Syscall};

const SIZE: &str = r"^\s*[0-9]+\s*(B|[KMGT]iB|kB|MB|GB)\s*$";
const TIME: &str = r"^\s*([0-9]+\s*[a-zA-Zµ]+\s*)+$";
const PATH: &str = "^/";
const AWAY_PATH: &str = "^-?/";

/// The schema.
#[must_use]
pub fn schema() -> Json {
    let of_names = |table| json!({ "type": "object", "additionalProperties": object(table) });
    let mut profiles = of_names(PROFILE);
    profiles["propertyNames"] = json!({ "pattern": "^[A-Za-z0-9_-]+$" });
    profiles["required"] = json!([DEFAULT_PROFILE]);
    profiles["description"] = json!("What jobs may do and use. A request names one, or gets `default`.");
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Cloister's policy",
        "description": "What untrusted Python may do and use.",
        "type": "object",
        "additionalProperties": false,
        "required": ["version", "runtime", "profile"],
        "properties": {
            "version": { "const": 1, "description": "The version of this format." },
            "supervisor": object(SUPERVISOR),
            "runtime": of_names(RUNTIME),
            "profile": profiles,
        },
        "definitions": definitions(),
    })
}

fn definitions() -> Json {
    let names = || Syscall::names().filter(|name| !NEVER.contains(name));
    let groups = || GROUPS.iter().map(|(name, _, _)| *name);
    let known: Vec<String> = groups().chain(names()).map(str::to_owned).collect();
    let away = groups().chain(Syscall::names()).map(|name| format!("-{name}"));
    let errors: Vec<_> = ERRNO_NAMES.iter().map(|(name, _)| *name).collect();
    let access = Access::ALL.map(Access::word);
    json!({
        "calls": { "enum": known.iter().cloned().chain(away).collect::<Vec<_>>() },
        "away": { "type": "string", "pattern": "^-", "description": "Takes away what is inherited for this." },
        "callRule": {
            "type": "object",
            "additionalProperties": false,
            "required": ["call", "action"],
            "properties": {
                "call": { "enum": Syscall::names().collect::<Vec<_>>(), "description": "The system call." },
                "when": {
                    "type": "array",
                    "items": { "type": "string", "pattern": CONDITION_PATTERN },
                    "description": "What has to hold of its arguments, all of it: \"int1 == 0x5401\", \"arg2 & 0x10 == 0\".",
                },
                "action": { "enum": ACTIONS, "description": "What becomes of it then." },
                "errno": { "enum": errors, "description": "The error, for the action errno; EPERM without it." },
            },
        },
        "pathRule": {
            "type": "object",
            "additionalProperties": false,
            "required": ["path", "access"],
            "properties": {
                "path": { "type": "string", "pattern": PATH, "description": "A path inside the sandbox." },
                "access": { "type": "array", "items": { "enum": access }, "description": "What may be done below it." },
            },
        },
    })
}

/// The schema of a table: its own keys, and those of the tables in it.
fn object(table: &'static [Key]) -> Json {
    let mut properties = Map::new();
    for key in table {
        match key.name.split_once('.') {
            None => {
                properties.insert(key.name.to_owned(), property(key));
            }
            Some((prefix, _)) if properties.get(prefix).is_some_and(|made| made["additionalProperties"] == false) => {}
            Some((prefix, _)) => {
                let inner = inner(table, prefix);
                let made = match properties.remove(prefix) {
                    // A switch that may be a table too.
                    Some(switch) => json!({ "description": switch["description"], "default": switch["default"],
                        "anyOf": [{ "type": "boolean" }, inner], "additionalProperties": false }),
                    None => inner,
                };
                properties.insert(prefix.to_owned(), made);
            }
        }
    }
    for made in properties.values_mut().filter(|made| made.get("anyOf").is_some()) {
        // It served as a mark above; beside `anyOf` it would refuse what that accepts.
        made.as_object_mut().map(|made| made.remove("additionalProperties"));
    }
    let mut schema = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if let Some(either) = either(table) {
        schema["anyOf"] = either;
    }
    schema
}

/// The keys that have to be there, or else the one that stands for them.
fn either(table: &'static [Key]) -> Option<Json> {
    let without = |key: &Key| if let Default::RequiredWithout(other) = key.default { Some(other) } else { None };
    let other = table.iter().find_map(without)?;
    let own: Vec<_> = table.iter().filter(|key| without(key) == Some(other)).map(|key| key.name).collect();
    Some(json!([{ "required": own }, { "required": [other] }]))
}

fn inner(table: &'static [Key], prefix: &str) -> Json {
    let own = table.iter().filter_map(|key| Some((key.name.strip_prefix(prefix)?.strip_prefix('.')?, key)));
    let properties: Map<String, Json> = own.map(|(name, key)| (name.to_owned(), property(key))).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn property(key: &Key) -> Json {
    let mut schema = of_kind(key.kind);
    schema["description"] = json!(key.doc);
    if let Default::Value(text) = key.default {
        let parsed = toml::from_str::<Map<String, Json>>(&format!("value = {text}"));
        if let Some(default) = parsed.ok().and_then(|mut table| table.remove("value")) {
            schema["default"] = default;
        }
    }
    schema
}

fn of_kind(kind: Kind) -> Json {
    let list = |items: Json| json!({ "type": "array", "items": items });
    let text = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    let or_away = |rule: &str| json!({ "anyOf": [{ "$ref": format!("#/definitions/{rule}") }, { "$ref": "#/definitions/away" }] });
    let or_unlimited = |of: Json| json!({ "anyOf": [of, { "const": UNLIMITED }] });
    match kind {
        Kind::Size { unlimited: true, .. } => or_unlimited(text(SIZE)),
        Kind::Size { .. } => text(SIZE),
        Kind::Time { .. } => text(TIME),
        Kind::Whole { least, most, unlimited } => {
            let number = json!({ "type": "integer", "minimum": least, "maximum": most });
            if unlimited { or_unlimited(number) } else { number }
        }
        Kind::Count { least, most } => {
            let number = json!({ "type": "integer", "minimum": least, "maximum": most });
            json!({ "anyOf": [number, text("^[1-9][0-9]*/cpu$")] })
        }
        Kind::Number { least, most } => {
            json!({ "type": "number", "minimum": f64::from(least) / 1000.0, "maximum": f64::from(most) / 1000.0 })
        }
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::Choices(words) => list(json!({ "enum": words })),
        Kind::TableName => json!({ "type": "string" }),
        Kind::HostName => text("^[A-Za-z0-9.-]{1,64}$"),
        Kind::Path => text(PATH),
        Kind::File => json!({ "type": "string", "minLength": 1 }),
        Kind::Paths | Kind::Mounts => list(text(AWAY_PATH)),
        Kind::Modules => list(json!({ "type": "string" })),
        Kind::Calls => list(json!({ "$ref": "#/definitions/calls" })),
        Kind::CallRules => list(or_away("callRule")),
        Kind::PathRules => list(or_away("pathRule")),
        Kind::Variables | Kind::Links => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
    }
}
