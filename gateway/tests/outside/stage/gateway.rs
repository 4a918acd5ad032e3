//! A gateway process on a port of its own. Ends with the value.

use std::io::{self, BufRead, BufReader, Error};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use serde_json::Value;

use super::{Client, LONG, Message, PROGRAM, USER};

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    log: Arc<Mutex<Vec<Value>>>,
    reader: Option<JoinHandle<()>>,
}

impl Gateway {
    /// Starts one with the usual bounds.
    pub fn start(socket: &Path) -> io::Result<Self> {
        Self::start_with(socket, &[])
    }

    /// Starts one with these further arguments.
    pub fn start_with(socket: &Path, arguments: &[&str]) -> io::Result<Self> {
        Self::spawn(Command::new(PROGRAM), socket, arguments)
    }

    /// Starts one that is handed the files of this directory as credentials.
    pub fn start_with_credentials(socket: &Path, directory: &Path, arguments: &[&str]) -> io::Result<Self> {
        let mut command = Command::new(PROGRAM);
        command.env("CREDENTIALS_DIRECTORY", directory);
        Self::spawn(command, socket, arguments)
    }

    /// Starts one that may have this many files open.
    pub fn start_with_files(socket: &Path, files: usize) -> io::Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\""), PROGRAM]);
        Self::spawn(shell, socket, &[])
    }

    /// Starts one that is passed these two listening sockets, under these names.
    pub fn start_passed(socket: &Path, sockets: [TcpListener; 2], names: &str) -> io::Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec 3<&0 4<&1 && LISTEN_PID=$$ exec \"$0\" \"$@\"", PROGRAM]);
        let [first, second] = sockets.map(OwnedFd::from);
        shell.stdin(first).stdout(second).env("LISTEN_FDS", "2").env("LISTEN_FDNAMES", names);
        Self::spawn(shell, socket, &[])
    }

    fn spawn(mut command: Command, socket: &Path, arguments: &[&str]) -> io::Result<Self> {
        command.args(["serve", "--log-format", "json", "--socket"]).arg(socket);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        if geteuid().is_root() {
            command.args(["--user", &USER.to_string()]);
        }
        let mut child = command
            .args(arguments)
            .env_remove("CLOISTER_LOG")
            .env_remove("CLOISTER_KEYS")
            .stderr(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(child.stderr.take().ok_or_else(|| Error::other("no stderr"))?);
        let log = Arc::new(Mutex::new(Vec::new()));
        let reader = std::thread::spawn({
            let log = Arc::clone(&log);
            move || {
                for line in lines.lines().map_while(Result::ok) {
                    let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                    log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                }
            }
        });
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut gateway = Self { child, address, log, reader: Some(reader) };
        let listening = gateway.logged("listening", |line| line["message"] == "listening");
        gateway.address = listening["address"].as_str().unwrap_or_default().parse().map_err(Error::other)?;
        Ok(gateway)
    }

    /// The first log line for which this holds, now or soon.
    pub fn logged(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let log = self.log();
            if let Some(line) = log.iter().find(|line| holds(line)) {
                return line.clone();
            }
            assert!(started.elapsed() < LONG, "not in the log: {what}: {log:#?}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// What `/metrics` says, for a gateway that serves it.
    pub fn metrics(&self) -> io::Result<Message> {
        let serving = self.logged("where the metrics are", |line| line["message"] == "serving metrics");
        let address = serving["address"].as_str().unwrap_or_default().parse().map_err(Error::other)?;
        let mut client = Client::connect(address)?;
        client.send("GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
        client.response()
    }

    /// The value of one series; NaN if there is none.
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.metrics().map(|response| String::from_utf8_lossy(&response.body).into_owned());
        let text = text.unwrap_or_default();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or(f64::NAN)
    }

    /// All log lines so far.
    pub fn log(&self) -> Vec<Value> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        kill(self.pid(), signal).map_err(Error::from)
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            assert!(started.elapsed() < LONG, "the gateway did not end");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Runs one that is expected to refuse its arguments; returns what it says.
    pub fn refuses(arguments: &[&str]) -> io::Result<String> {
        Self::refuses_with(Command::new(PROGRAM), arguments)
    }

    /// Runs one that is expected to refuse the credentials in this directory; returns what it says.
    pub fn refuses_credentials(directory: &Path) -> io::Result<String> {
        let mut command = Command::new(PROGRAM);
        command.env("CREDENTIALS_DIRECTORY", directory);
        Self::refuses_with(command, &["--listen", "127.0.0.1:0"])
    }

    fn refuses_with(mut command: Command, arguments: &[&str]) -> io::Result<String> {
        command.arg("serve").args(arguments).env_remove("CLOISTER_LISTEN").env_remove("CLOISTER_KEYS");
        let output = command.output()?;
        assert!(!output.status.success(), "{arguments:?} should be refused");
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.reader.take().map(JoinHandle::join);
    }
}
