//! Whether this node is on its way out: said once, and never taken back. Whoever tells it is the one who stops; whoever
//! hears it goes on serving, and says so to those who ask.

use tokio::sync::watch;

/// How far it has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// It stays.
    Serving,
    /// It will go, and everything is still served.
    Notice,
    /// Nobody new is let in, and what runs comes to its end.
    Closing,
}

/// What tells it.
#[derive(Debug)]
pub struct Departure(watch::Sender<Stage>);

/// What hears of it; clones hear the same.
#[derive(Clone, Debug)]
pub struct Going(watch::Receiver<Stage>);

impl Departure {
    /// Nothing is told yet.
    pub fn new() -> Self {
        Self(watch::Sender::new(Stage::Serving))
    }

    /// Who hears of it.
    pub fn heard(&self) -> Going {
        Going(self.0.subscribe())
    }

    /// From now on clients are told to go elsewhere.
    pub fn give_notice(&self) {
        self.0.send_replace(Stage::Notice);
    }

    /// From now on connections that ask nothing are closed.
    pub fn close(&self) {
        self.0.send_replace(Stage::Closing);
    }
}

impl Going {
    /// Whether the node is on its way out.
    pub fn is_told(&self) -> bool {
        *self.0.borrow() >= Stage::Notice
    }

    /// Completes when it is.
    pub async fn told(&self) {
        self.reached(Stage::Notice).await;
    }

    /// Completes when the notice is over.
    pub async fn closing(&self) {
        self.reached(Stage::Closing).await;
    }

    async fn reached(&self, stage: Stage) {
        // Who tells it lives longer than all that listen; if not, the process ends anyway.
        let _ = self.0.clone().wait_for(|reached| *reached >= stage).await;
    }
}
