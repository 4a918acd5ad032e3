//! The supervisor away, back, slow, or broken; and clients that leave while it works.

use std::io::{Read, Write};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use crate::stage::{Client, Gateway, LONG, Outcome, Place, SCRIPT, Supervisor, respond, until};

/// A supervisor whose jobs never end; it tells when the gateway closes a job's connection.
fn busy() -> std::io::Result<(Supervisor, Receiver<()>)> {
    let (left, leaving) = mpsc::channel();
    let supervisor = Supervisor::start(move |_, stream| {
        let ended = stream.read(&mut [0; 1]);
        if matches!(ended, Ok(0)) {
            let _ = left.send(());
        }
        Ok(false)
    })?;
    Ok((supervisor, leaving))
}

#[test]
fn a_client_that_hangs_up_takes_its_job_with_it() -> Outcome {
    let (supervisor, leaving) = busy()?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    client.post("", SCRIPT)?;
    until("the job runs", || supervisor.requests().len() == 1);
    assert!(leaving.recv_timeout(Duration::from_millis(200)).is_err(), "left without reason");
    drop(client);
    leaving.recv_timeout(LONG)?;
    gateway.logged("the departure", |line| line["message"] == "the client left before its answer");
    Ok(())
}

#[test]
fn a_client_that_closes_its_sending_side_has_left_too() -> Outcome {
    let (supervisor, leaving) = busy()?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    client.post("", SCRIPT)?;
    until("the job runs", || supervisor.requests().len() == 1);
    client.half_close()?;
    leaving.recv_timeout(LONG)?;
    Ok(())
}

#[test]
fn one_client_leaving_does_not_disturb_another() -> Outcome {
    let supervisor = Supervisor::start(|_, stream| {
        std::thread::sleep(Duration::from_millis(300));
        respond(stream, "200 OK", "", "{}").map(|()| true)
    })?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut stays = Client::connect(gateway.address)?;
    let mut leaves = Client::connect(gateway.address)?;
    stays.post("", SCRIPT)?;
    leaves.post("", SCRIPT)?;
    until("both jobs run", || supervisor.requests().len() == 2);
    drop(leaves);
    assert_eq!(stays.response()?.status(), 200);
    Ok(())
}

#[test]
fn no_supervisor_is_a_503_and_service_comes_back_with_it() -> Outcome {
    let socket = Place::new()?;
    let gateway = Gateway::start_with(&socket, &["--hold", "0s"])?;
    let mut client = Client::connect(gateway.address)?;
    for request in 0..3 {
        let response = client.execute(SCRIPT)?;
        response.refusal(503, "unavailable");
        assert_eq!(response.header("retry-after"), Some("1"), "request {request}");
    }
    client.send("GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    client.response()?.refusal(503, "unavailable");
    client.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    assert_eq!(client.response()?.status(), 200);
    let line = gateway.logged("the 503", |line| line["status"] == 503);
    assert_eq!((&line["level"], &line["code"]), (&"ERROR".into(), &"Unavailable".into()));
    assert!(line["because"].as_str().is_some_and(|because| because.contains("No such file")), "{line}");

    for life in 0..3 {
        let supervisor = Supervisor::start_at(&socket, |_, stream| respond(stream, "200 OK", "", "{}").map(|()| true))?;
        for _ in 0..3 {
            assert_eq!(client.execute(SCRIPT)?.status(), 200, "life {life}");
        }
        assert_eq!(supervisor.requests().len(), 3, "no job runs twice");
        // Kept connections are closed now, and the socket is dead.
        std::fs::remove_file(supervisor.kill())?;
        client.execute(SCRIPT)?.refusal(503, "unavailable");
    }
    Ok(())
}

#[test]
fn a_kept_connection_that_went_stale_is_replaced() -> Outcome {
    let supervisor = Supervisor::start(|_, stream| respond(stream, "200 OK", "", "{}").map(|()| false))?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    for _ in 0..20 {
        assert_eq!(client.execute(SCRIPT)?.status(), 200);
        // Long enough for the close to have happened; the gateway is told of it by nothing else.
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!((supervisor.requests().len(), supervisor.connections()), (20, 20));
    Ok(())
}

#[test]
fn a_supervisor_that_dies_with_a_job_is_a_502_and_the_job_is_not_run_again() -> Outcome {
    let supervisor = Supervisor::start(|request, stream| {
        let dies = request.body.windows(3).any(|part| part == b"die");
        if !dies {
            respond(stream, "200 OK", "", "{}")?;
        }
        Ok(!dies)
    })?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    for requests in [1, 3, 5] {
        let response = client.execute(r#"{"script": "die"}"#)?;
        response.refusal(502, "lost");
        assert_eq!(response.header("retry-after"), None);
        assert_eq!(supervisor.requests().len(), requests, "no job runs twice");
        // The next to die does so on a connection that was kept.
        assert_eq!(client.execute(SCRIPT)?.status(), 200);
    }
    Ok(())
}

#[test]
fn a_request_that_only_waited_was_not_run_when_its_supervisor_goes() -> Outcome {
    let supervisor = Supervisor::start(|_, stream| {
        // It has been told the head alone; nothing more comes until it asks for it.
        stream.set_read_timeout(Some(Duration::from_millis(300)))?;
        let more = stream.read(&mut [0; 1]);
        assert!(more.is_err(), "the body came unasked: {more:?}");
        Ok(false)
    })?;
    supervisor.fill();
    let gateway = Gateway::start_with(&supervisor.socket, &["--hold", "0s"])?;
    let response = Client::connect(gateway.address)?.execute(SCRIPT)?;
    response.refusal(503, "unavailable");
    assert_eq!(response.header("retry-after"), Some("1"));
    assert_eq!(supervisor.requests().len(), 1);
    Ok(())
}

#[test]
fn a_refusal_that_asked_for_no_body_comes_through_and_the_next_request_is_served() -> Outcome {
    let supervisor = Supervisor::start(|_, stream| {
        respond(stream, "429 Too Many Requests", "retry-after: 1\r\nconnection: close\r\n", r#"{"error":{}}"#)?;
        // The small body may come unasked, and a socket that is closed upon what nobody has read takes the answer with it, unix(7).
        std::io::copy(stream, &mut std::io::sink()).map(|_| false)
    })?;
    supervisor.fill();
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    for _ in 0..3 {
        assert_eq!(client.execute(SCRIPT)?.status(), 429);
    }
    assert_eq!((supervisor.requests().len(), supervisor.connections()), (3, 3));
    Ok(())
}

#[test]
fn an_answer_that_breaks_off_is_not_passed_for_a_whole_one() -> Outcome {
    let supervisor = Supervisor::start(|_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{{\"result\":")?;
        Ok(false)
    })?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    client.post("", SCRIPT)?;
    assert!(client.response().is_err(), "the answer must not look complete");
    Ok(())
}

#[test]
fn what_the_supervisor_says_badly_is_a_502() -> Outcome {
    let supervisor = Supervisor::start(|_, stream| stream.write_all(b"SSH-2.0-nonsense\r\n\r\n").map(|()| false))?;
    let gateway = Gateway::start(&supervisor.socket)?;
    Client::connect(gateway.address)?.execute(SCRIPT)?.refusal(502, "lost");
    Ok(())
}

#[test]
fn a_supervisor_with_too_many_connections_is_a_429() -> Outcome {
    let supervisor = Supervisor::start(|_, stream| {
        write!(stream, "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
        Ok(false)
    })?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let response = Client::connect(gateway.address)?.execute(SCRIPT)?;
    response.refusal(429, "overloaded");
    assert_eq!(response.header("retry-after"), Some("1"));
    let mut client = Client::connect(gateway.address)?;
    client.send("GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    client.response()?.refusal(503, "unavailable");
    Ok(())
}

#[test]
fn a_large_answer_comes_through_whole() -> Outcome {
    let supervisor =
        Supervisor::start(|_, stream| respond(stream, "200 OK", "", &"a".repeat(20 << 20)).map(|()| true))?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let response = Client::connect(gateway.address)?.execute(SCRIPT)?;
    assert_eq!((response.status(), response.body.len()), (200, 20 << 20));
    Ok(())
}

#[test]
fn a_burst_is_served_whole() -> Outcome {
    let supervisor = Supervisor::answering("200 OK", "", "{}")?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut clients = (0..300).map(|_| Client::connect(gateway.address)).collect::<Result<Vec<_>, _>>()?;
    for client in &mut clients {
        client.post("", SCRIPT)?;
    }
    for client in &mut clients {
        assert_eq!(client.response()?.status(), 200);
    }
    assert_eq!(supervisor.requests().len(), 300);
    Ok(())
}
