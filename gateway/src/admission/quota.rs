//! What a key is told that may use no more today.

use std::time::SystemTime;

use cloister_keys::Timestamp;
use cloister_protocol::{Amount, ErrorCode, QuotaKind, SpentQuota};
use hyper::header::{HeaderValue, RETRY_AFTER};

use crate::admission::caller::Refused;
use crate::usage::ledger::NoMore;

/// What a key is told whose use cannot be counted for good.
const UNKEPT: &str =
    "this key has a quota, and what it uses cannot be kept at the moment; nothing ran, try again shortly";

impl From<NoMore> for Refused {
    fn from(why: NoMore) -> Self {
        let NoMore::Spent { of, limit, used, until } = why else { return Self::new(ErrorCode::Unavailable, UNKEPT) };
        let resets_at = Timestamp(until).to_string();
        let left = until.duration_since(SystemTime::now()).unwrap_or_default();
        let seconds = left.as_secs() + 1;
        let (what, unit) = match of {
            QuotaKind::CpuSeconds => ("processor time", " s"),
            QuotaKind::Jobs => ("jobs", ""),
        };
        let message = format!(
            "this key has used up its {what} of today: {}{unit} of {}{unit}; that begins anew at {resets_at}, in {seconds} s",
            told(used),
            told(limit)
        );
        let mut refused = Self::new(ErrorCode::QuotaExceeded, message);
        refused.headers.push((RETRY_AFTER, HeaderValue::from(seconds)));
        refused.quota = Some(Box::new(SpentQuota { of, limit, used, resets_at }));
        refused
    }
}

fn told(amount: Amount) -> String {
    match amount {
        Amount::Count(count) => count.to_string(),
        Amount::Seconds(seconds) => format!("{:.3}", seconds).trim_end_matches('0').trim_end_matches('.').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use cloister_protocol::Amount;

    use super::told;

    #[test]
    fn amounts_are_told_without_what_says_nothing() {
        let all = [Amount::Count(100), Amount::Seconds(3600.0), Amount::Seconds(0.25), Amount::Seconds(10.0004)];
        assert_eq!(all.map(told), ["100", "3600", "0.25", "10"]);
    }
}
