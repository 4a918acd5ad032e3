//! How the gateway ends.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::stage::{Client, Gateway, Outcome, Place, SCRIPT, Supervisor, respond, until};

/// A supervisor whose jobs take this long.
fn working(time: Duration) -> std::io::Result<Supervisor> {
    Supervisor::start(move |_, stream| {
        std::thread::sleep(time);
        respond(stream, "200 OK", "", "{}").map(|()| true)
    })
}

#[test]
fn running_requests_finish_and_newcomers_are_turned_away() -> Outcome {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let supervisor = working(Duration::from_millis(600))?;
        let mut gateway = Gateway::start(&supervisor.socket)?;
        let mut idle = Client::connect(gateway.address)?;
        let mut client = Client::connect(gateway.address)?;
        client.post("", SCRIPT)?;
        until("the job runs", || supervisor.requests().len() == 1);
        gateway.signal(signal)?;
        gateway.logged("the end's beginning", |line| line["message"] == "stopping: running requests may finish");
        assert!(Client::connect(gateway.address).is_err(), "the listener should be closed");
        assert!(idle.rest()?.is_empty());
        let response = client.response()?;
        assert_eq!((response.status(), response.header("connection")), (200, Some("close")));
        assert_eq!(gateway.wait()?.code(), Some(0));
    }
    Ok(())
}

#[test]
fn the_time_to_finish_is_bounded() -> Outcome {
    let supervisor = working(Duration::from_secs(60))?;
    let mut gateway = Gateway::start_with(&supervisor.socket, &["--drain", "300ms"])?;
    let mut client = Client::connect(gateway.address)?;
    client.post("", SCRIPT)?;
    until("the job runs", || supervisor.requests().len() == 1);
    let started = Instant::now();
    gateway.signal(Signal::SIGTERM)?;
    assert_eq!(gateway.wait()?.code(), Some(0));
    assert!(
        (Duration::from_millis(250)..Duration::from_secs(5)).contains(&started.elapsed()),
        "{:?}",
        started.elapsed()
    );
    Ok(())
}

#[test]
fn asked_twice_it_ends_at_once() -> Outcome {
    let supervisor = working(Duration::from_secs(60))?;
    let mut gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    client.post("", SCRIPT)?;
    until("the job runs", || supervisor.requests().len() == 1);
    gateway.signal(Signal::SIGINT)?;
    gateway.logged("the end's beginning", |line| line["message"] == "stopping: running requests may finish");
    gateway.signal(Signal::SIGINT)?;
    assert_eq!(gateway.wait()?.code(), Some(0));
    Ok(())
}

#[test]
fn with_nothing_to_do_it_ends_at_once() -> Outcome {
    let mut gateway = Gateway::start(&Place::new()?)?;
    let started = Instant::now();
    gateway.signal(Signal::SIGTERM)?;
    assert_eq!(gateway.wait()?.code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(2));
    Ok(())
}
