//! Connections that have become conversations: they are in use until these end, and each job of one is followed by itself.

use std::sync::Arc;

use axum::body::Body;

use crate::api::connect::arrival::{Arrival, Followed};
use crate::listen::access_log::{Access, Origin};
use crate::listen::activity::Activity;

/// A connection's use, until this is dropped.
#[derive(Debug)]
struct InUse(Activity);

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// What a conversation is given that such a request may open.
pub fn arrival(origin: &Origin) -> Arrival {
    let (of, activity) = (origin.clone(), origin.activity.clone());
    let begin = move || {
        let access = Access::of_conversation(of.clone());
        Followed { id: access.id, answer: Box::new(move |response| access.answer(response).map(Body::new)) }
    };
    activity.hold();
    Arrival { begin: Arc::new(begin), in_use: Arc::new(InUse(activity)) }
}
