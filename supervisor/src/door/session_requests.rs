//! Requests about sessions: to open, tell of and close them, to interrupt their cells, and about their files. Their cells come as scripts
//! do.


use cloister_protocol::{
    Answer, Busy, ErrorCode, FILES, Failure, INTERRUPT, JobId, SESSIONS_PATH, Sessions as Told, check_file_path,
};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use crate::door::asked::Asked;
use crate::door::body;
use crate::door::requests::Requests;
use crate::door::response::{Body, boxed, id_value, json, refuse, respond};
use crate::job::session::{Order, Replied};

/// What a path below that of the sessions is about.
enum Path<'a> {
    All,
    One(JobId),
    Interrupt(JobId),
    Files(JobId),
    File(JobId, &'a str),
}

impl<'a> Path<'a> {
    fn read(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix(SESSIONS_PATH)?;
        if rest.is_empty() {
            return Some(Self::All);
        }
        let rest = rest.strip_prefix('/')?;
        let (id, rest) = rest.split_once('/').map_or((rest, None), |(id, rest)| (id, Some(rest)));
        let id = JobId::parse(id)?;
        match rest {
            None => Some(Self::One(id)),
            Some(INTERRUPT) => Some(Self::Interrupt(id)),
            Some(FILES) => Some(Self::Files(id)),
            Some(rest) => Some(Self::File(id, rest.strip_prefix(FILES)?.strip_prefix('/')?)),
        }
    }

    /// The methods that it takes.
    fn allowed(&self) -> &'static str {
        match self {
            Self::All => "GET, POST",
            Self::One(_) => "GET, DELETE",
            Self::Interrupt(_) => "POST",
            Self::Files(_) => "GET",
            Self::File(..) => "GET, PUT, DELETE",
        }
    }
}

impl Requests {
    /// Does what is asked of sessions.
    pub async fn session(&self, asked: Asked, request: Request<Incoming>) -> Response<Body> {
        let (id, tenant) = (asked.id, asked.tenant);
        let (head, body) = request.into_parts();
        let Some(path) = Path::read(head.uri.path()) else { return refuse(id, ErrorCode::NotFound, "no such path") };
        let done = match (&head.method, &path) {
            (&Method::GET, Path::All) => Ok(told(id, StatusCode::OK, &Told { sessions: self.sessions.of(tenant) })),
            (&Method::POST, Path::All) => self.open_session(&asked, body).await,
            (&Method::GET, Path::One(session)) => {
                self.sessions.find(*session, tenant).map(|session| told(id, StatusCode::OK, &session.info()))
            }
            (&Method::DELETE, Path::One(session)) => self.sessions.close(*session, tenant).await.map(|()| nothing(id)),
            (&Method::POST, Path::Interrupt(session)) => {
                self.sessions.interrupt(*session, tenant).map(|interrupted| told(id, StatusCode::OK, &interrupted))
            }
            (&Method::GET, Path::Files(session)) => self.order(&asked, *session, Order::List).await,
            (&Method::GET, Path::File(session, file)) => self.of_file(&asked, *session, file, Order::Get).await,
            (&Method::DELETE, Path::File(session, file)) => self.of_file(&asked, *session, file, Order::Delete).await,
            (&Method::PUT, Path::File(session, file)) => self.put_file(&asked, *session, file, body).await,
            _ => {
                let mut response = refuse(id, ErrorCode::MethodNotAllowed, &format!("use {}", path.allowed()));
                response.headers_mut().insert(ALLOW, HeaderValue::from_static(path.allowed()));
                Ok(response)
            }
        };
        done.unwrap_or_else(|error| respond(id, &Answer::Refused { error: &error, id }))
    }

    async fn open_session(&self, asked: &Asked, body: Incoming) -> Result<Response<Body>, Failure> {
        let mut memory = self.memory.open();
        let request = body::receive_session(body, &mut memory).await?;
        let opened = self.sessions.open(&self.engine, (asked.id, asked.tenant), request).await?;
        Ok(told(asked.id, StatusCode::CREATED, &opened))
    }

    async fn put_file(&self, asked: &Asked, session: JobId, file: &str, body: Incoming) -> Result<Response<Body>, Failure> {
        let most = self.sessions.find(session, asked.tenant)?.bounds.files_in_bytes;
        let mut memory = self.memory.open();
        let content = body::receive_content(body, &mut memory).await?;
        if content.len() as u64 > most {
            let message = format!("the file is {} bytes, above the profile's files.in_bytes of {most}", content.len());
            return Err(Failure::new(ErrorCode::TooLarge, message));
        }
        self.of_file(asked, session, file, |path| Order::Put(path, content)).await
    }

    async fn of_file(
        &self,
        asked: &Asked,
        session: JobId,
        file: &str,
        order: impl FnOnce(String) -> Order,
    ) -> Result<Response<Body>, Failure> {
        let invalid = |message: String| Failure::new(ErrorCode::InvalidRequest, message);
        let path = percent_decode_str(file).decode_utf8().map_err(|_| invalid("the path is not UTF-8".to_owned()))?;
        check_file_path(&path).map_err(|error| invalid(error.to_string()))?;
        self.order(asked, session, order(path.into_owned())).await
    }

    async fn order(&self, asked: &Asked, session: JobId, order: Order) -> Result<Response<Body>, Failure> {
        let memory = self.engine.room_for_sessions().memory;
        let turn = self.sessions.turn((session, asked.tenant), Busy::Wait, memory).await?;
        Ok(match turn.carry_out(order).await? {
            Replied::Done => nothing(asked.id),
            Replied::Files(files) => told(asked.id, StatusCode::OK, &files),
            Replied::Content(content) => {
                let mut response = Response::new(boxed(Full::from(content)));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
                response.headers_mut().insert(cloister_protocol::ID_HEADER, id_value(asked.id));
                response
            }
        })
    }
}

fn told(id: JobId, status: StatusCode, what: &impl Serialize) -> Response<Body> {
    json(status, id, serde_json::to_vec(what).expect("strings and numbers"))
}

fn nothing(id: JobId) -> Response<Body> {
    let mut response = json(StatusCode::NO_CONTENT, id, Vec::new());
    response.headers_mut().remove(CONTENT_TYPE);
    response
}
