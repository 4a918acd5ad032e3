use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use cloister_protocol::Tenant;

use super::{Place, Places};
use crate::door::shares::{MOST_UNREAD, Overloaded, Room};

type Entering = Pin<Box<dyn Future<Output = Result<Place, Overloaded>>>>;

const ROOM: Room = Room { slots: 1, queue: 100, queue_wait: Duration::from_secs(3600), answers: 800, largest: 50 };

fn places(slots: u32, queue: u32) -> Arc<Places> {
    Places::new(Room { slots, queue, ..ROOM })
}

/// Enters, and comes back after the first step.
fn enter(places: &Arc<Places>, tenant: u128) -> (Entering, Poll<Result<Place, Overloaded>>) {
    let places = Arc::clone(places);
    let mut entering: Entering = Box::pin(async move { places.enter(Tenant::new(tenant)).await });
    let step = poll(&mut entering);
    (entering, step)
}

fn poll(entering: &mut Entering) -> Poll<Result<Place, Overloaded>> {
    entering.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn admitted(step: Poll<Result<Place, Overloaded>>) -> Place {
    match step {
        Poll::Ready(Ok(place)) => place,
        other => panic!("not let in: {other:?}"),
    }
}

fn refused(step: Poll<Result<Place, Overloaded>>) -> Overloaded {
    match step {
        Poll::Ready(Err(reason)) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

fn lengths(places: &Places) -> (u32, u32) {
    let load = places.load();
    (load.busy, load.waiting)
}

#[tokio::test]
async fn a_flood_waits_behind_itself() {
    let places = places(1, 100);
    let place = admitted(enter(&places, 1).1);
    let mut flood: Vec<_> = (0..40).map(|_| enter(&places, 1).0).collect();
    let (mut late, step) = enter(&places, 2);
    assert!(step.is_pending());
    drop(place);
    // Forty came before it, and it is next as soon as one of them has had the place.
    let first = admitted(poll(&mut flood[0]));
    assert!(poll(&mut late).is_pending());
    drop(first);
    let late = admitted(poll(&mut late));
    assert!(poll(&mut flood[1]).is_pending());
    drop(late);
    drop(admitted(poll(&mut flood[1])));
}

#[tokio::test]
async fn the_last_places_are_for_who_has_none() {
    let places = places(8, 100);
    let flood: Vec<_> = (0..7).map(|_| admitted(enter(&places, 1).1)).collect();
    let (mut more, step) = enter(&places, 1);
    assert!(step.is_pending());
    let other = admitted(enter(&places, 2).1);
    assert!(enter(&places, 3).1.is_pending(), "there are eight places");
    drop(other);
    assert!(poll(&mut more).is_pending(), "the last place is not for who has seven");
    drop(flood);
    admitted(poll(&mut more));
}

#[tokio::test]
async fn of_a_few_places_none_is_kept_and_the_next_is_for_who_has_none() {
    let places = places(2, 100);
    let mut flood: Vec<_> = (0..2).map(|_| admitted(enter(&places, 1).1)).collect();
    let (mut more, _) = enter(&places, 1);
    let (mut other, _) = enter(&places, 2);
    flood.pop();
    assert!(poll(&mut more).is_pending(), "it came first and has one");
    admitted(poll(&mut other));
    admitted(poll(&mut more));
}

#[tokio::test]
async fn more_places_let_in_who_waits_and_fewer_let_who_has_one_keep_it() {
    let places = places(1, 100);
    let one = admitted(enter(&places, 1).1);
    let (mut second, step) = enter(&places, 2);
    assert!(step.is_pending());
    places.resize(Room { slots: 3, ..ROOM });
    let two = admitted(poll(&mut second));
    let three = admitted(enter(&places, 3).1);
    places.resize(ROOM);
    let (mut late, step) = enter(&places, 4);
    assert!(step.is_pending());
    drop((one, two));
    assert!(poll(&mut late).is_pending(), "the one place is taken");
    drop(three);
    admitted(poll(&mut late));
    assert_eq!(lengths(&places), (0, 0));
}

#[tokio::test]
async fn nobody_fills_the_queue_alone() {
    let places = places(1, 10);
    let _place = admitted(enter(&places, 1).1);
    let _flood: Vec<_> = (0..5).map(|_| enter(&places, 1).0).collect();
    assert_eq!(refused(enter(&places, 1).1), Overloaded::Share);
    let _others: Vec<_> = (2..7).map(|tenant| enter(&places, tenant).0).collect();
    assert_eq!(refused(enter(&places, 7).1), Overloaded::QueueFull);
    assert_eq!(lengths(&places), (1, 10));
}

#[tokio::test]
async fn who_gives_up_leaves_nothing_behind() {
    let places = places(1, 10);
    let place = admitted(enter(&places, 1).1);
    let (leaves, _) = enter(&places, 2);
    let (called, _) = enter(&places, 3);
    let (mut stays, _) = enter(&places, 4);
    drop(leaves);
    assert_eq!(lengths(&places), (1, 2));
    drop(place);
    // It was called and leaves before it hears of it.
    drop(called);
    drop(admitted(poll(&mut stays)));
    assert_eq!(lengths(&places), (0, 0));
    assert!(places.shares().is_idle());
    admitted(enter(&places, 5).1);
}

#[tokio::test]
async fn a_wait_has_its_end() {
    let places = Places::new(Room { queue_wait: Duration::from_millis(10), ..ROOM });
    let place = admitted(enter(&places, 1).1);
    assert_eq!(places.enter(Tenant::new(2)).await.expect_err("no place"), Overloaded::WaitedTooLong);
    let unread = place.unread(100);
    drop(place);
    assert_eq!(places.enter(Tenant::new(1)).await.expect_err("too much"), Overloaded::Unread);
    drop(unread);
    assert_eq!(lengths(&places), (0, 0));
}

#[tokio::test]
async fn who_leaves_an_eighth_unread_waits_and_others_go_on() {
    let places = places(4, 10);
    let place = admitted(enter(&places, 1).1);
    let (one, two) = (place.unread(60), place.unread(40));
    drop(place);
    let (mut more, step) = enter(&places, 1);
    assert!(step.is_pending(), "100 of 800 are an eighth");
    drop(admitted(enter(&places, 2).1));
    assert!(poll(&mut more).is_pending());
    drop(two);
    admitted(poll(&mut more));
    drop(one);
    assert_eq!((places.load().unread, places.load().unread_bytes), (0, 0));
    assert!(places.shares().is_idle());
}

#[tokio::test]
async fn what_may_be_unread_is_bounded_whoever_asks() {
    let places = places(4, 10);
    // What no share keeps from filling up: each of these begins with nothing unread.
    let mut held = Vec::new();
    for tenant in 0..20 {
        let step = enter(&places, tenant).1;
        if step.is_pending() {
            break;
        }
        held.push(admitted(step).unread(50));
    }
    // The budget of 800, and 50 for each of four slots.
    assert_eq!((held.len(), places.load().unread_bytes), (20, 1000));
    let (mut late, step) = enter(&places, 99);
    assert!(step.is_pending());
    held.pop();
    drop(admitted(poll(&mut late)));
    held.clear();
    let many: Vec<_> =
        (0..u128::from(MOST_UNREAD)).map(|tenant| admitted(enter(&places, tenant).1).unread(0)).collect();
    assert!(enter(&places, 5000).1.is_pending());
    drop(many);
    assert!(places.shares().is_idle());
}
