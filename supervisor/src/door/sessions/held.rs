//! The end of a session's interpreter.

use crate::job::session::Interpreter;

/// Has nothing of a session run any more, once nobody else has it in hand.
pub async fn let_go(held: &tokio::sync::Mutex<Option<Interpreter>>) {
    // For as long as it takes: who comes meanwhile waits for the same.
    end(&mut *held.lock().await).await;
}

/// The same, for who has it in hand.
pub async fn end(held: &mut Option<Interpreter>) {
    if let Some(interpreter) = held.take() {
        interpreter.end().await;
    }
}
