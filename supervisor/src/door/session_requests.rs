//! Requests about sessions: to open, tell of and close them, to interrupt their cells, and about their files. Their cells come as scripts
//! do.

use std::sync::Arc;

use cloister_program::Taken;
use cloister_protocol::{
    Answer, Busy, CELLS, EXPORT, ErrorCode, FILES, FORK, Failure, ForkRequest, ID_HEADER, INTERRUPT, JobId,
    SESSIONS_PATH, Sessions as Told, check_file_path,
};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use crate::door::answers::AnswerBody;
use crate::door::asked::Asked;
use crate::door::body;
use crate::door::connections::Connection;
use crate::door::places::Place;
use crate::door::requests::Requests;
use crate::door::response::{Body, boxed, id_value, json, refuse, respond};
use crate::job::session::{Order, Replied};

/// What a path below that of the sessions is about.
enum Path<'a> {
    All,
    One(JobId),
    Interrupt(JobId),
    Fork(JobId),
    Files(JobId),
    File(JobId, &'a str),
    /// What made it, with or without its files.
    Export(JobId, bool),
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
            Some(FORK) => Some(Self::Fork(id)),
            Some(FILES) => Some(Self::Files(id)),
            Some(EXPORT) => Some(Self::Export(id, true)),
            Some(CELLS) => Some(Self::Export(id, false)),
            Some(rest) => Some(Self::File(id, rest.strip_prefix(FILES)?.strip_prefix('/')?)),
        }
    }

    /// The methods that it takes.
    fn allowed(&self) -> &'static str {
        match self {
            Self::All => "GET, POST",
            Self::One(_) => "GET, DELETE",
            Self::Interrupt(_) | Self::Fork(_) => "POST",
            Self::Files(_) | Self::Export(..) => "GET",
            Self::File(..) => "GET, PUT, DELETE",
        }
    }
}

impl Requests {
    /// Does what is asked of sessions.
    pub async fn session(
        &self,
        asked: Asked,
        request: Request<Incoming>,
        connection: &Arc<Connection>,
    ) -> Response<Body> {
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
            (&Method::POST, Path::Fork(session)) => self.fork(&asked, *session, connection, body).await,
            (&Method::GET, Path::Files(session)) => {
                self.order(&asked, *session, connection, async |_| Ok(Order::List)).await
            }
            (&Method::GET, &Path::Export(session, files)) => {
                self.order(&asked, session, connection, async |_| Ok(Order::Export { files })).await
            }
            (&Method::GET, Path::File(session, file)) => {
                self.of_file((&asked, *session, file), connection, async |path, _| Ok(Order::Get(path))).await
            }
            (&Method::DELETE, Path::File(session, file)) => {
                self.of_file((&asked, *session, file), connection, async |path, _| Ok(Order::Delete(path))).await
            }
            (&Method::PUT, Path::File(session, file)) => {
                self.put_file((&asked, *session, file), connection, body).await
            }
            _ => {
                let mut response = refuse(id, ErrorCode::MethodNotAllowed, &format!("use {}", path.allowed()));
                response.headers_mut().insert(ALLOW, HeaderValue::from_static(path.allowed()));
                Ok(response)
            }
        };
        done.unwrap_or_else(|error| respond(id, &Answer::Refused { error: &error, id }))
    }

    async fn open_session(&self, asked: &Asked, body: Incoming) -> Result<Response<Body>, Failure> {
        let place = self.engine.enter(asked.tenant).await?;
        let mut memory = self.memory.open();
        let request = body::receive_session(body, &mut memory).await?;
        let opened = self.sessions.open(&self.engine, (asked.id, asked.tenant), request, place).await?;
        Ok(told(asked.id, StatusCode::CREATED, &opened))
    }

    async fn fork(
        &self,
        asked: &Asked,
        session: JobId,
        connection: &Arc<Connection>,
        body: Incoming,
    ) -> Result<Response<Body>, Failure> {
        let turn = self.turn((session, asked.tenant), Busy::Wait);
        let (turn, place) = self.enter(asked.tenant, turn, connection).await?;
        let ForkRequest { count } = body::receive_fork(body, &mut self.memory.open()).await?;
        let room = self.engine.in_force().sessions();
        let forked = turn.fork(count, room, &self.engine.ground().slots, place).await?;
        Ok(told(asked.id, StatusCode::CREATED, &forked))
    }

    async fn put_file(
        &self,
        of: (&Asked, JobId, &str),
        connection: &Arc<Connection>,
        body: Incoming,
    ) -> Result<Response<Body>, Failure> {
        let most = self.sessions.find(of.1, of.0.tenant)?.bounds.files_in_bytes;
        self.of_file(of, connection, async |path, memory| {
            let content = body::receive_content(body, memory).await?;
            if content.len() as u64 > most {
                let message =
                    format!("the file is {} bytes, above the profile's files_in_bytes of {most}", content.len());
                return Err(Failure::new(ErrorCode::TooLarge, message));
            }
            Ok(Order::Put(path, content))
        })
        .await
    }

    async fn of_file(
        &self,
        (asked, session, file): (&Asked, JobId, &str),
        connection: &Arc<Connection>,
        order: impl AsyncFnOnce(String, &mut Taken) -> Result<Order, Failure>,
    ) -> Result<Response<Body>, Failure> {
        let invalid = |message: String| Failure::new(ErrorCode::InvalidRequest, message);
        let path = percent_decode_str(file).decode_utf8().map_err(|_| invalid("the path is not UTF-8".to_owned()))?;
        check_file_path(&path).map_err(|error| invalid(error.to_string()))?;
        let path = path.into_owned();
        self.order(asked, session, connection, async |memory| order(path, memory).await).await
    }

    /// Has a session carry out an order, in its turn and in a place, in which what comes with it is read.
    async fn order(
        &self,
        asked: &Asked,
        session: JobId,
        connection: &Arc<Connection>,
        order: impl AsyncFnOnce(&mut Taken) -> Result<Order, Failure>,
    ) -> Result<Response<Body>, Failure> {
        let turn = self.turn((session, asked.tenant), Busy::Wait);
        let (turn, place) = self.enter(asked.tenant, turn, connection).await?;
        let mut memory = self.memory.open();
        let order = order(&mut memory).await?;
        let replied = turn.carry_out(order, Arc::clone(&place)).await?;
        drop(memory);
        let mut response = match replied {
            Replied::Done => return Ok(nothing(asked.id)),
            Replied::Files(files) => {
                let list = serde_json::to_vec(&files).expect("strings and numbers");
                content(list, "application/json", &place, connection)
            }
            Replied::Content(bytes) => content(bytes, "application/octet-stream", &place, connection),
        };
        response.headers_mut().insert(ID_HEADER, id_value(asked.id));
        Ok(response)
    }
}

/// What is in a file, or which there are: counted until it was taken.
fn content(bytes: Vec<u8>, kind: &'static str, place: &Place, connection: &Arc<Connection>) -> Response<Body> {
    let (length, unread) = (bytes.len() as u64, place.unread(bytes.len() as u64));
    let mut response = Response::new(boxed(connection.answer(AnswerBody::of(bytes, unread))));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn told(id: JobId, status: StatusCode, what: &impl Serialize) -> Response<Body> {
    json(status, id, serde_json::to_vec(what).expect("strings and numbers"))
}

fn nothing(id: JobId) -> Response<Body> {
    let mut response = json(StatusCode::NO_CONTENT, id, Vec::new());
    response.headers_mut().remove(CONTENT_TYPE);
    response
}
