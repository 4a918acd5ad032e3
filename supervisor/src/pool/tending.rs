//! Warmth follows use: for what a profile's scripts import most, zygotes come to be that have imported it, one after the
//! other, each forked from one that has imported less; and those go that are not used, or for which there is no room.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use cloister_protocol::ImportSet;

use crate::link::forkers::Forkers;
use crate::link::launcher::grow;
use crate::link::launcher_error::LauncherError;
use crate::pool::grown::{Grown, Wanted};
use crate::pool::maker::Maker;
use crate::pool::parked::Parked;
use crate::pool::refused::Refusal;
use crate::pool::sets::Sets;
use crate::pool::warmth::{Kept, PARKED, Warmth};

/// How often it is looked at what is there.
const LOOK: Duration = Duration::from_secs(1);

/// How long it is not looked again, however many ask.
const PAUSE: Duration = Duration::from_millis(100);

/// So many times as long as one took to come to be, nothing is done for others.
const REST: u32 = 3;

/// Sees to it that there is what is wanted, and nothing else, for as long as anybody has use for it.
pub async fn tend(sets: Weak<Sets>, maker: Weak<Maker>, warmth: Arc<Warmth>) {
    loop {
        let Some((wake, kept)) = sets.upgrade().map(|sets| (Arc::clone(&sets.wake), sets.held().0 > 0)) else { return };
        if kept {
            let _ = tokio::time::timeout(LOOK, wake.notified()).await;
        } else {
            wake.notified().await;
        }
        tokio::time::sleep(PAUSE).await;
        let both = || Some((sets.upgrade()?, maker.upgrade()?));
        match both() {
            None => return,
            Some((sets, maker)) => {
                sets.tidy();
                if wanted(&sets, &maker, &warmth).is_none() {
                    continue;
                }
            }
        }
        let _turn = warmth.turn().await;
        // Others had theirs meanwhile, and a reload may have made an end of all this.
        let Some((sets, maker)) = both() else { return };
        let Some(wanted) = wanted(&sets, &maker, &warmth) else { continue };
        let began = Instant::now();
        make(&sets, &maker, &warmth, wanted).await;
        sets.let_parent_go();
        let rest = began.elapsed() * REST;
        drop((sets, maker));
        // With the turn in hand: what is imported ahead takes a share of a processor, however much is asked for.
        tokio::time::sleep(rest).await;
    }
}

/// What a zygote is to be made for next, if there may be room for it.
fn wanted(sets: &Arc<Sets>, maker: &Maker, warmth: &Warmth) -> Option<Wanted> {
    let all: Arc<dyn Kept> = Arc::<Sets>::clone(sets);
    let wanted = maker.keeper.zygote().map(|root| sets.wanted(&root))?;
    wanted.into_iter().find(|one| one.again || warmth.may_have_room(&all, one.bytes, one.weight))
}

/// Makes a zygote, and parks its children; or remembers why there can be none.
async fn make(sets: &Arc<Sets>, maker: &Arc<Maker>, warmth: &Warmth, wanted: Wanted) {
    let Wanted { set, weight, again, .. } = wanted;
    let profile = &sets.profile;
    let Ok(Forkers { launcher, zygote: Some(root) }) = maker.keeper.forkers().await else { return };
    let nearest = sets.nearest(&set, &root);
    let (parent, there, inherited) = nearest.unwrap_or_else(|| (Arc::clone(&root), ImportSet::default(), 0));
    let began = Instant::now();
    let zygote = match grow(&parent, (*maker.spec).clone(), set.names().to_vec(), sets.may_hold()).await {
        Ok(zygote) => zygote,
        // That is of the moment, and nothing that the imports did.
        Err(LauncherError::Dead | LauncherError::Io(_) | LauncherError::Short(_)) => return,
        Err(error) => {
            tracing::warn!(profile, imports = %set, %error, "what scripts import cannot be kept warm");
            return sets.refuse(set, Refusal::Failed);
        }
    };
    let holds = zygote.holds.clone();
    if holds.modules.is_empty() {
        return sets.refuse(set, Refusal::Needless);
    }
    // It has run what others wrote: it is believed to have what it was asked for, or less.
    let few = holds.modules.len() <= set.names().len();
    let found = if few { ImportSet::new(holds.modules) } else { ImportSet::default() };
    if found.is_empty() || !found.is_within(&set) {
        return sets.refuse(set, Refusal::Failed);
    }
    let all: Arc<dyn Kept> = Arc::<Sets>::clone(sets);
    if holds.bytes > sets.may_hold() {
        return sets.refuse(set, Refusal::NeverRoom);
    }
    if !again && !warmth.make_room(&all, holds.bytes, weight) {
        return sets.refuse(set, Refusal::NoRoom(holds.bytes));
    }
    let zygote = Arc::new(zygote);
    let milliseconds = began.elapsed().as_millis();
    // All that a child of it finds, whatever it was that it was forked from.
    let has = found.with(&there);
    tracing::info!(profile, imports = %has, milliseconds, bytes = holds.bytes, "zygote ready");
    let forked = Arc::new(maker.forking(Forkers::warm(launcher, Arc::clone(&zygote))));
    let number = warmth.held().0 + 1;
    if let Err(error) = maker.slots().allow_beside(PARKED * u32::try_from(number).unwrap_or(u32::MAX)) {
        tracing::warn!(profile, %error, "no slots for the children of one more zygote");
        return sets.refuse(set, Refusal::NeverRoom);
    }
    let parked = Parked::new(forked, PARKED, true);
    if parked.begin().await.is_err() {
        return;
    }
    let (parent, root) = (Arc::downgrade(&parent), Arc::downgrade(&root));
    let (bytes, with_parents) = (holds.bytes, inherited.saturating_add(holds.bytes));
    sets.keep(Grown { asked: set, set: has, parked, zygote, parent, root, bytes, with_parents, used: Instant::now() });
}
