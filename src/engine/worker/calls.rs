//! The calls of the application's code for which a connection waits: its handler, the
//! next piece of its body, a file.

use std::io;
use std::sync::Arc;

use super::Worker;
use crate::engine::body_source::SlotBodySource;
use crate::engine::connection::Answer;
use crate::engine::connection::Connection;
use crate::engine::connection::FileBody;
use crate::engine::connection::FilePart;
use crate::engine::connection::OwnResponse;
use crate::engine::connection::StreamBody;
use crate::escaped::Escaped;
use crate::isolate::Panicked;
use crate::isolate::isolate;
use crate::journal::note;
use crate::lifecycle::report::UserCode;
use crate::message::body::source::BodyKind;
use crate::message::body::source::Piece;
use crate::message::rendering::Renderer;
use crate::message::rendering::after_panic;
use crate::message::request::Request;
use crate::net::stream::Sent;

impl Worker<'_> {
    /// Calls the handler. Returns `None` if an abort has taken the connection
    /// meanwhile.
    pub(super) fn handle(
        &mut self,
        mut connection: Box<Connection>,
        mut request: Request,
    ) -> Option<(Box<Connection>, Answer)> {
        let services = &self.engine.services;
        if connection.body_follows() {
            let slot = Arc::clone(self.runner.slot());
            let rest = SlotBodySource::new(services, slot, connection.exchange_number());
            request.body_mut().attach(Box::new(rest));
        }
        note!(
            services.journal,
            Debug,
            "{}: {} {}",
            request.peer_addr(),
            request.method(),
            Escaped(request.uri())
        );
        let life = &services.life;
        // Under the slot's lock: see `InFlightSlot`.
        let refused = || life.is_aborting();
        let key = connection.call_key();
        connection.leaves_queue(self.runner.now);
        let begun = match self
            .runner
            .begin(UserCode::Handler, key, connection, refused)
        {
            Ok(begun) => begun,
            Err(connection) => {
                connection.count_unavailable();
                return Some((connection, OwnResponse::UNAVAILABLE.into_answer()));
            }
        };
        let (handler, renderer) = (&self.engine.handler, self.engine.renderer.as_ref());
        if let Some(renderer) = renderer {
            request.set_renderer(renderer.clone());
        }
        let call = || Answer::of_handler(handler.handle(request), renderer);
        // A panic that a layer has seen is logged already, and does not get here.
        let mut has_panicked = false;
        let call = || {
            isolate(call).unwrap_or_else(|Panicked| {
                has_panicked = true;
                answer_after_panic(renderer)
            })
        };
        let (connection, answer) = self.runner.run(begun, call)?;
        if has_panicked {
            note!(
                services.journal,
                Error,
                "the handler panicked ({connection:?}): the client gets a 500"
            );
        }
        Some((connection, answer))
    }

    /// Has the application render a response of the server itself. Returns `None` if
    /// an abort has taken the connection meanwhile.
    #[cold]
    pub(super) fn render(
        &mut self,
        connection: Box<Connection>,
        own: OwnResponse,
    ) -> Option<(Box<Connection>, Answer)> {
        let code = UserCode::Renderer;
        let key = connection.call_key().for_code(code);
        let refused = || self.engine.services.life.is_aborting();
        match self.runner.begin(code, key, connection, refused) {
            Ok(begun) => {
                let renderer = self.engine.renderer.as_ref();
                let render = || isolate(|| own.into_rendered(renderer));
                let (connection, answer) = self.runner.run(begun, render)?;
                let answer = answer.unwrap_or_else(|Panicked| {
                    let journal = &self.engine.services.journal;
                    note!(journal, Error, "{} panicked", UserCode::Drop);
                    own.into_answer()
                });
                Some((connection, answer))
            }
            Err(connection) => Some((connection, own.into_answer())),
        }
    }

    /// Gets the next piece of a body, which may run code of the application, as a
    /// handler does. Returns `None` if an abort has taken the connection meanwhile.
    pub(super) fn pull(
        &mut self,
        connection: Box<Connection>,
        mut stream: StreamBody,
    ) -> Option<(Box<Connection>, StreamBody, Piece)> {
        // At an abort, a finite body is cut. Other bodies are still completed, as long
        // as connections can be suspended.
        let to_the_end = stream.kind() != BodyKind::Finite;
        let engine = self.engine;
        let refused = || {
            let aborting = engine.services.life.is_aborting();
            aborting && (!to_the_end || engine.is_evicted())
        };
        let code = UserCode::BodyPiece;
        let key = connection.call_key().for_code(code);
        let begun = match self.runner.begin(code, key, connection, refused) {
            Ok(begun) => begun,
            Err(connection) => return Some((connection, stream, Piece::NotYet)),
        };
        let next = move || {
            let piece = isolate(|| match stream.next() {
                // The error may be the application's: its text and its drop are then
                // code of the application too.
                Piece::Failed(error) => Piece::Failed(io::Error::other(error.to_string())),
                piece => piece,
            });
            (stream, piece)
        };
        let (connection, (stream, piece)) = self.runner.run(begun, next)?;
        let piece = piece.unwrap_or_else(|Panicked| Piece::Failed(io::Error::other("it panicked")));
        Some((connection, stream, piece))
    }

    /// Sends a part of a file. Returns `None` if an abort has taken the connection
    /// meanwhile.
    pub(super) fn send_file(
        &mut self,
        connection: Box<Connection>,
        part: FilePart,
    ) -> Option<(Box<Connection>, FileBody, io::Result<Sent>)> {
        let code = UserCode::File;
        let key = connection.call_key().for_code(code);
        let refused = || self.engine.is_evicted();
        let (connection, (file, sent)) = match self.runner.begin(code, key, connection, refused) {
            Ok(begun) => self.runner.run(begun, || part.send())?,
            Err(connection) => (connection, part.keep()),
        };
        Some((connection, file, sent))
    }
}

/// The answer to a request whose handler has panicked, or the drop of a value in its
/// response.
#[cold]
fn answer_after_panic(renderer: Option<&Renderer>) -> Answer {
    isolate(|| Answer::of_handler(after_panic(), renderer))
        .unwrap_or_else(|Panicked| Answer::of_handler(after_panic(), None))
}
