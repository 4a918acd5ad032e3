//! The sockets on which clients are waited for: the one that serves everything, and perhaps one for clients of Jupyter that know
//! of no prefix.

use std::io;
use std::net::SocketAddr;

use hyper::Uri;
use hyper::http::uri::PathAndQuery;
use tokio::net::{TcpListener, TcpStream};

/// Both of them.
#[derive(Debug)]
pub struct Listeners {
    all: TcpListener,
    jupyter: Option<TcpListener>,
}

/// By which of them somebody has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The one that serves everything.
    All,
    /// The one that serves what is under this prefix alone, which is left out there.
    Under(&'static str),
}

impl Listeners {
    /// Of sockets that listen already.
    pub fn of((all, jupyter): (std::net::TcpListener, Option<std::net::TcpListener>)) -> io::Result<Self> {
        let jupyter = jupyter.map(TcpListener::from_std).transpose()?;
        Ok(Self { all: TcpListener::from_std(all)?, jupyter })
    }

    /// Where everything is served.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.all.local_addr()
    }

    /// Whoever comes next. Can be dropped and called again without loss.
    pub async fn accept(&self, under: &'static str) -> io::Result<(TcpStream, SocketAddr, Door)> {
        let Some(jupyter) = &self.jupyter else {
            let (stream, peer) = self.all.accept().await?;
            return Ok((stream, peer, Door::All));
        };
        let ((stream, peer), door) = tokio::select! {
            come = self.all.accept() => (come?, Door::All),
            come = jupyter.accept() => (come?, Door::Under(under)),
        };
        Ok((stream, peer, door))
    }
}

impl Door {
    /// What is asked for there, as everywhere else it would be.
    pub fn target(self, asked: Uri) -> Uri {
        let Self::Under(prefix) = self else { return asked };
        let path = asked.path_and_query().map_or("/", PathAndQuery::as_str);
        let under = PathAndQuery::try_from(format!("{prefix}{path}")).ok();
        let mut parts = asked.into_parts();
        parts.path_and_query = under;
        Uri::from_parts(parts).unwrap_or_else(|_| Uri::from_static(prefix))
    }
}

#[cfg(test)]
mod tests {
    use hyper::Uri;

    use super::Door;

    #[test]
    fn nothing_else_is_reached_under_a_prefix() {
        let target = |door: Door, asked: &str| door.target(asked.parse::<Uri>().expect("a target")).to_string();
        for (asked, under) in [
            ("/api/kernels?token=k", "/jupyter/api/kernels?token=k"),
            ("/execute", "/jupyter/execute"),
            ("/../execute", "/jupyter/../execute"),
            ("http://localhost/api", "http://localhost/jupyter/api"),
            ("*", "/jupyter"),
            ("localhost:80", "/jupyter"),
        ] {
            assert!(target(Door::Under("/jupyter"), asked).contains(under), "{asked}");
            assert_eq!(target(Door::All, asked), asked.parse::<Uri>().expect("a target").to_string());
        }
    }
}
