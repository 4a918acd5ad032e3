//! What keeps the gateway from starting, and a file that is read again from being used: what was being done, what happened,
//! and what to do.

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use caps::CapSet;
use caps::errors::CapsError;
use cloister_program::log::NoJournal;
use landlock::PathFdError;
use rustls::pki_types::pem;

/// One of them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Manual pages that could not be written.
    #[error("{0}")]
    Manual(String),
    /// There is no log to write to.
    #[error(transparent)]
    Log(#[from] NoJournal),
    /// A certificate without its key, or the other way around.
    #[error("of the credentials {certificate} and {key} only one was passed: pass both, or neither")]
    HalfOfPair {
        /// What the certificate is called.
        certificate: &'static str,
        /// What its key is called.
        key: &'static str,
    },
    /// What was handed over is no listening TCP socket.
    #[error("take the socket that was passed: {0}: pass a TCP stream socket (systemd: ListenStream=PORT)")]
    TakePassed(io::Error),
    /// What was handed over cannot be used.
    #[error("use the socket that was passed: {0}")]
    UsePassed(io::Error),
    /// Somebody else listens there.
    #[error("listen on {0}: the port is taken: stop what has it, or choose another with --listen or CLOISTER_LISTEN")]
    PortTaken(SocketAddr),
    /// The port is for who has a privilege.
    #[error("listen on {0}: {1}: start as root, which is given up at once, or choose a port above 1023")]
    PortForbidden(SocketAddr, io::Error),
    /// The address cannot be had.
    #[error("listen on {0}: {1}")]
    Bind(SocketAddr, io::Error),
    /// Anybody could run scripts.
    #[error(
        "{0} can be reached from outside and no keys are configured: make one with `cloister keys new` \
         and pass --keys, listen on a loopback address such as 127.0.0.1:8080, or pass --no-auth to serve strangers \
         without authentication"
    )]
    OpenToStrangers(SocketAddr),
    /// Anybody could read the metrics.
    #[error(
        "metrics on {0} can be reached from outside: choose a loopback address such as 127.0.0.1:9464 \
         (--metrics, or ListenStream= of the socket that was passed), or pass --metrics-public to let whoever reaches it read them"
    )]
    MetricsOpenToStrangers(SocketAddr),
    /// The listener cannot be used.
    #[error("listen: {0}")]
    Listen(io::Error),
    /// The operator's cannot.
    #[error("listen for metrics: {0}")]
    ListenForMetrics(io::Error),
    /// No signal would be heard.
    #[error("listen for signals: {0}")]
    Signals(io::Error),
    /// There is no event loop.
    #[error("start the event loop: {0}")]
    EventLoop(io::Error),
    /// Two metrics of one name.
    #[error("prepare the metrics: {0}")]
    Metrics(prometheus::Error),
    /// The key file cannot be used.
    #[error("{0}")]
    Keys(cloister_keys::ReadError),
    /// The state directory cannot be used.
    #[error("{0}")]
    StateDirectory(Box<dyn StdError + Send + Sync>),
    /// Nothing can be kept there.
    #[error("keep in {path} what keys use: {1}", path = .0.display())]
    State(PathBuf, io::Error),
    /// Nobody would count.
    #[error(
        "the key {0:?} has a quota, and what it uses is kept nowhere: pass --state with a directory of the gateway's own, \
         or take the quota away: cloister keys set {0} --cpu none --jobs none"
    )]
    QuotaWithoutState(String),
    /// Usage events cannot be written.
    #[error("write usage events to {path}: {1}", path = .0.display())]
    Usage(PathBuf, io::Error),
    /// Something of what was used is not where it should be.
    #[error("what was used could not be written as a whole: the log says what")]
    Unkept,
    /// A certificate or its key cannot be read.
    #[error("read {}: {error}: expected PEM that the gateway's own account may read", .path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        error: pem::Error,
    },
    /// A file without a certificate.
    #[error("read {}: there is no certificate in it", .0.display())]
    NoCertificate(PathBuf),
    /// TLS cannot be spoken.
    #[error("prepare TLS: {0}")]
    Tls(rustls::Error),
    /// A certificate and a key that is not its.
    #[error("use {} with {}: {error}", .certificate.display(), .key.display())]
    Pair {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// What does not fit.
        error: rustls::Error,
    },
    /// A power that could not be given up.
    #[error("{0}: {1}")]
    GiveUp(&'static str, Box<dyn StdError + Send + Sync>),
    /// Capabilities that could not be given up.
    #[error("clear the {0:?} capabilities: {1}")]
    Capabilities(CapSet, CapsError),
    /// Root is no one to become.
    #[error("--user 0 is root: name an account without privileges, or an unused number such as 64510")]
    UserIsRoot,
    /// Nor is an account that is root by another name.
    #[error("the account {0} or its group is root: name another with --user")]
    AccountIsRoot(String),
    /// Nobody to become.
    #[error(
        "started as root, but there is no account {0} to become: pass --user with an account or an unused number such as 64510"
    )]
    NoAccount(String),
    /// A path in which nothing can be.
    #[error("--socket {}: expected the path of a socket", .0.display())]
    NoSocketPath(PathBuf),
    /// A directory in which files are written cannot be opened.
    #[error("open {path}, to write in it: {1}: it has to be there, and belong to the gateway's account", path = .0.display())]
    Written(PathBuf, PathFdError),
    /// The directory of a file that is read again cannot be opened.
    #[error("open the directory of {}: {error}", .file.display())]
    Directory {
        /// The file.
        file: PathBuf,
        /// What happened.
        error: PathFdError,
    },
    /// The kernel cannot confine this process.
    #[error(
        "the kernel has no Landlock, which the gateway needs on itself: boot with lsm=landlock,... or use a kernel built with it"
    )]
    NoLandlock,
    /// The supervisor's socket would be out of reach for ever.
    #[error(
        "{} is missing, so connecting to a socket in it cannot be allowed: start the supervisor first, or create the directory",
        .0.display()
    )]
    NoSocketDirectory(PathBuf),
    /// Ours.
    #[error("a bug of ours, told on standard error")]
    Bug,
}
