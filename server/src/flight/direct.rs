//! Results on their way to the socket without a copy: a layer around the service that answers `DoGet` itself.
//!
//! The problem: the service that arrow-flight generates takes results as messages, and copies each into the body of the
//! response. Our way: the layer leaves a place in the request; a handler that has batches puts their stream there, and
//! the layer makes the body of it. Every other answer goes its usual way. It knows nothing of statements, and leaves it
//! to the service who may ask.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{FlightData, Ticket};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::Frame;
use tonic::body::Body;
use tonic::codec::{Codec, Streaming};
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use tower::Service;

use super::rope;
use crate::limits::WIRE_FRAME_BYTES_GATHERED;

/// The path of the one method that it answers, and how a request says that its message is compressed.
const DO_GET: &str = "/arrow.flight.protocol.FlightService/DoGet";
const ENCODING: &str = "grpc-encoding";

/// The pieces of messages, each message complete with its prefix.
pub type Messages = Pin<Box<dyn Stream<Item = Result<VecDeque<Bytes>, Status>> + Send>>;

/// The place in a request where a handler puts messages that need no further encoding.
#[derive(Clone, Default)]
pub struct Place(Arc<Mutex<Option<Messages>>>);

impl Place {
    /// Puts messages there, instead of those that the handler answers.
    pub fn put(&self, messages: Messages) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(messages);
    }

    fn take(&self) -> Option<Messages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A service of which `DoGet` is answered here.
pub struct Direct<S, F> {
    inner: S,
    service: Arc<F>,
    message_bytes: usize,
}

impl<S, F> Direct<S, F> {
    /// `inner`, the gRPC service over `service`, which accepts messages of `message_bytes`.
    pub fn new(inner: S, service: Arc<F>, message_bytes: usize) -> Self {
        Direct { inner, service, message_bytes }
    }
}

impl<S: Clone, F> Clone for Direct<S, F> {
    fn clone(&self) -> Self {
        Direct::new(self.inner.clone(), Arc::clone(&self.service), self.message_bytes)
    }
}

impl<S: NamedService, F> NamedService for Direct<S, F> {
    const NAME: &'static str = S::NAME;
}

impl<S, F> Service<Request<Body>> for Direct<S, F>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
    F: FlightService,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // Compressed messages are refused, which tonic does in the usual way.
        if request.uri().path() != DO_GET || request.headers().contains_key(ENCODING) {
            return Box::pin(self.inner.call(request));
        }
        let (service, message_bytes) = (Arc::clone(&self.service), self.message_bytes);
        Box::pin(async move { Ok(do_get(&*service, request, message_bytes).await.unwrap_or_else(Status::into_http)) })
    }
}

async fn do_get<F: FlightService>(
    service: &F,
    request: Request<Body>,
    message_bytes: usize,
) -> Result<Response<Body>, Status> {
    let (mut parts, body) = request.into_parts();
    let decoder = ProstCodec::<FlightData, Ticket>::default().decoder();
    let mut messages = Streaming::new_request(decoder, body, None, Some(message_bytes));
    // The layer around this one says it in our words.
    let ticket = messages.message().await?.ok_or_else(|| Status::internal("Missing request message."))?;
    // The request ends here; what a client says in its trailers, it says too late.
    messages.trailers().await?;
    let place = Place::default();
    parts.extensions.insert(place.clone());
    let metadata = MetadataMap::from_headers(parts.headers);
    let answer = service.do_get(tonic::Request::from_parts(metadata, parts.extensions, ticket)).await?;
    let (metadata, stream, extensions) = answer.into_parts();
    let messages = match place.take() {
        Some(messages) => messages,
        None => stream.map(|data| data.map(|data| VecDeque::from([rope::whole(&data)]))).boxed(),
    };
    let mut response = Response::new(Body::new(Sent::new(messages)));
    *response.headers_mut() = metadata.into_headers();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    *response.extensions_mut() = extensions;
    Ok(response)
}

/// The body of an answer: messages, and how it ended as trailers.
struct Sent {
    messages: Messages,
    /// What is left of the message that is being sent.
    pieces: VecDeque<Bytes>,
    /// Small pieces that go together: each frame of the body wakes the client.
    open: BytesMut,
    end: End,
}

enum End {
    NotYet,
    Known(Status),
    Told,
}

impl Sent {
    fn new(messages: Messages) -> Self {
        Sent { messages, pieces: VecDeque::new(), open: BytesMut::new(), end: End::NotYet }
    }

    /// The next bytes of what has been made, where there are any and more need not be waited for.
    fn next_bytes(&mut self) -> Option<Bytes> {
        while let Some(piece) = self.pieces.pop_front() {
            let fits = self.open.len() + piece.len() <= WIRE_FRAME_BYTES_GATHERED;
            match (fits, self.open.is_empty()) {
                (true, _) => self.open.put(piece),
                (false, true) => return Some(piece),
                (false, false) => {
                    self.pieces.push_front(piece);
                    return Some(self.open.split().freeze());
                }
            }
        }
        None
    }

    fn trailers(&mut self) -> Option<Result<Frame<Bytes>, Status>> {
        match std::mem::replace(&mut self.end, End::Told) {
            End::Known(status) => {
                let mut trailers = HeaderMap::new();
                Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers)))
            }
            End::NotYet | End::Told => None,
        }
    }
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if let Some(bytes) = self.next_bytes() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if matches!(self.end, End::NotYet) {
                match self.messages.poll_next_unpin(cx) {
                    Poll::Ready(Some(Ok(pieces))) => {
                        self.pieces = pieces;
                        continue;
                    }
                    Poll::Ready(Some(Err(status))) => self.end = End::Known(status),
                    Poll::Ready(None) => self.end = End::Known(Status::new(Code::Ok, "")),
                    Poll::Pending if self.open.is_empty() => return Poll::Pending,
                    Poll::Pending => {}
                }
            }
            if !self.open.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(self.open.split().freeze()))));
            }
            return Poll::Ready(self.trailers());
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.end, End::Told)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures::FutureExt;
    use http_body::Body as _;

    use super::*;

    fn message(sizes: &[usize]) -> Result<VecDeque<Bytes>, Status> {
        Ok(sizes.iter().map(|size| Bytes::from(vec![7; *size])).collect())
    }

    /// The sizes of the frames that are there at once, and the code of the trailers.
    fn frames(body: &mut Sent) -> (Vec<usize>, Option<String>) {
        let (mut sizes, mut code) = (Vec::new(), None);
        while let Some(Some(frame)) = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).now_or_never() {
            match frame.unwrap().into_data() {
                Ok(data) => sizes.push(data.len()),
                Err(frame) => {
                    let trailers = frame.into_trailers().ok().unwrap_or_default();
                    code = trailers.get("grpc-status").map(|code| code.to_str().unwrap().to_string());
                }
            }
        }
        (sizes, code)
    }

    #[test]
    fn small_pieces_go_together_and_large_ones_alone() {
        let large = WIRE_FRAME_BYTES_GATHERED + 1;
        let messages = [message(&[10, 20]), message(&[5, large, 7]), message(&[1])];
        let mut body = Sent::new(futures::stream::iter(messages).boxed());
        assert_eq!(frames(&mut body), (vec![35, large, 8], Some("0".into())));
        assert!(body.is_end_stream());
    }

    #[test]
    fn what_is_there_is_not_held_back_for_what_is_not() {
        let messages = futures::stream::iter([message(&[10])]).chain(futures::stream::pending());
        assert_eq!(frames(&mut Sent::new(messages.boxed())), (vec![10], None));
    }

    #[test]
    fn an_error_comes_after_what_was_before_it() {
        let messages = futures::stream::iter([message(&[10]), Err(Status::aborted("lost"))]);
        let mut body = Sent::new(messages.boxed());
        assert_eq!(frames(&mut body), (vec![10], Some("10".into())));
    }
}
