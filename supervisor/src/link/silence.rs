//! When the other end of a wire counts as hanging.

use std::time::{Duration, Instant};

use crate::link::activity::Activity;
use crate::link::replies::Replies;

/// How long an answer may be due while nothing at all is heard from the other end, and it does nothing either. It
/// answers in milliseconds, and each answer, to whomever, shows that it works off what it was asked.
pub const SILENCE: Duration = Duration::from_secs(10);

/// How long an answer may be due whatever the other end does: one that waits for a processor or for a lock of the
/// kernel's hangs no more than whoever it waits for, but it does not wait for ever.
pub const LONGEST_DUE: Duration = Duration::from_secs(120);

/// How often one that is silent is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Completes once the other end hangs: an answer is due, nothing was heard for long, and nothing was done meanwhile.
pub async fn lasts(replies: &Replies, activity: Option<&Activity>) {
    let (mut since, mut before) = (Instant::now(), None);
    loop {
        // Not looked at before, for nearly all answers come in milliseconds.
        tokio::time::sleep(LOOK).await;
        let (due, now) = (replies.due_for(), activity.map(Activity::so_far));
        if due < LOOK || now != before || activity.is_some_and(Activity::waits) {
            (since, before) = (Instant::now(), now);
        }
        if since.elapsed() >= SILENCE - LOOK || due >= LONGEST_DUE {
            return;
        }
    }
}
