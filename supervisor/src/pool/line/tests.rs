use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use cloister_protocol::Tenant;

use super::{InService, Line, Wait};

type Things = Line<u32, &'static str>;
const FLOOD: Tenant = Tenant::new(1);
const OTHER: Tenant = Tenant::new(2);

type Came = Result<(u32, InService<u32, &'static str>), &'static str>;

/// What has come for a turn so far.
fn came(turn: &mut Wait<u32, &'static str>) -> Option<Came> {
    match pin!(turn.come()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(came) => Some(came),
        Poll::Pending => None,
    }
}

fn thing(turn: &mut Wait<u32, &'static str>) -> (u32, InService<u32, &'static str>) {
    came(turn).expect("it was called").expect("no failure")
}

fn is_forgotten(line: &Arc<Things>) -> bool {
    let state = line.lock();
    state.tenants.is_empty() && state.turns.is_empty()
}

#[test]
fn a_flood_waits_behind_itself() {
    let line = Things::new();
    let mut flood: Vec<_> = (0..40).map(|_| line.enter(FLOOD)).collect();
    let mut late = line.enter(OTHER);
    assert_eq!(line.give(0), None);
    let first = thing(&mut flood[0]);
    assert_eq!(line.give(1), None);
    let other = thing(&mut late);
    assert_eq!((first.0, other.0), (0, 1));
    assert_eq!(line.give(2), None);
    assert_eq!(thing(&mut flood[1]).0, 2);
    drop((flood, late, first, other));
    assert!(is_forgotten(&line));
}

#[test]
fn whoever_has_fewest_in_service_is_next_and_equals_take_turns() {
    let line = Things::new();
    let held: Vec<_> = (0..3).map(|_| line.serve(FLOOD)).collect();
    let mut flood = line.enter(FLOOD);
    let mut others: Vec<_> = (0..2).map(|_| line.enter(OTHER)).collect();
    line.give(0);
    line.give(1);
    let served: Vec<_> = others.iter_mut().map(thing).collect();
    assert_eq!(served.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 1]);
    drop((held, served));
    let mut other = line.enter(OTHER);
    line.give(2);
    assert_eq!(thing(&mut flood).0, 2);
    line.give(3);
    assert_eq!(thing(&mut other).0, 3);
}

#[test]
fn what_nobody_waits_for_is_kept_and_the_oldest_makes_room() {
    let line = Things::new();
    assert_eq!(line.give(0), Some(0));
    assert_eq!([line.keep(1, 2), line.keep(2, 2), line.keep(3, 2)], [None, None, Some(1)]);
    assert_eq!(line.take(OTHER).expect("two are there").0, 2);
    assert_eq!(thing(&mut line.enter(OTHER)).0, 3);
    assert_eq!(line.count(), 0);
    assert!(is_forgotten(&line));
}

#[test]
fn what_came_for_one_who_gave_up_is_nobodys_loss() {
    let line = Things::new();
    let (called, mut next) = (line.enter(FLOOD), line.enter(FLOOD));
    line.give(0);
    drop(called);
    assert_eq!(thing(&mut next).0, 0);
    let called = line.enter(OTHER);
    line.give(1);
    drop(called);
    assert_eq!(line.count(), 1);
    drop(line.take(FLOOD));
    drop(next);
    assert!(is_forgotten(&line));
}

#[test]
fn a_failure_is_told_to_one_who_waits_and_to_nobody_later() {
    let line = Things::new();
    line.fail("unheard");
    let mut turn = line.enter(FLOOD);
    assert!(came(&mut turn).is_none() && line.is_wanted());
    line.fail("told");
    assert_eq!(came(&mut turn).expect("called").err(), Some("told"));
    drop(turn);
    assert!(is_forgotten(&line));
}
