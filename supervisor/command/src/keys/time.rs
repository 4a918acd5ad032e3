//! Times as they are typed.

use std::time::Duration;

/// A time with its unit, such as `90d`, and more than nothing.
pub fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("expected more than no time".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}: expected a number and a unit, such as 90d")),
    }
}
