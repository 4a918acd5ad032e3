//! What a job's calls of tools came to, as its usage has it, and as the supervisor tells it beside the answer.

use std::fmt;

use serde::Serialize;

/// What a job's calls of tools came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Calls {
    /// How many it made.
    pub number: u32,
    /// How many of these returned a value.
    pub returned: u32,
    /// How many failed at the tool.
    pub failed: u32,
    /// How many were not answered in time, or not before the job had ended.
    pub unanswered: u32,
    /// How long the job waited for them, in milliseconds: that is no part of `wall_ms`.
    pub waited_ms: f64,
}

impl Calls {
    /// What a call comes to: what it is called in metrics, and how many did.
    #[must_use]
    pub fn by_verdict(&self) -> [(&'static str, u32); 3] {
        let Self { returned, failed, unanswered, .. } = *self;
        [("returned", returned), ("failed", failed), ("unanswered", unanswered)]
    }

    /// Reads the line back; anything else is `None`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split("; ");
        let mut next = |name: &str| parts.next()?.strip_prefix(name)?.strip_prefix('=');
        let mut count = |name: &str| next(name).and_then(|number| number.parse::<u32>().ok());
        let [number, returned, failed, unanswered] = ["number", "returned", "failed", "unanswered"].map(&mut count);
        let waited_ms = next("waited_ms")?.parse().ok().filter(|time: &f64| time.is_finite() && *time >= 0.0)?;
        let told = Self { number: number?, returned: returned?, failed: failed?, unanswered: unanswered?, waited_ms };
        parts.next().is_none().then_some(told)
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "number={}", self.number)?;
        self.by_verdict().iter().try_for_each(|(verdict, count)| write!(f, "; {verdict}={count}"))?;
        write!(f, "; waited_ms={:.3}", self.waited_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::Calls;

    #[test]
    fn a_line_is_read_back_and_nothing_else() {
        let told = Calls { number: 10, returned: 4, failed: 3, unanswered: 3, waited_ms: 1.5 };
        let line = told.to_string();
        assert_eq!(line, "number=10; returned=4; failed=3; unanswered=3; waited_ms=1.500");
        assert_eq!(Calls::parse(&line), Some(told));
        for wrong in
            ["", "number=10", &line.replace("1.5", "-1.5"), &line.replace("1.5", "inf"), &format!("{line}; x=1")]
        {
            assert_eq!(Calls::parse(wrong), None, "{wrong}");
        }
    }
}
