//! A request larger than a message may be is answered with RESOURCE_EXHAUSTED and a hint, one that cannot be read with
//! INVALID_ARGUMENT.
//!
//! The problem: tonic refuses them before any handler sees them. The first as OUT_OF_RANGE, which says that a retry with
//! another range may help; the second as INTERNAL, which says that the server is broken. Our way: a layer around the
//! service puts our answers in place of those. No handler uses the one code, and our own internal errors name a query.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::Code;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use super::status::{QUERY_ID_HEADER, to_status};
use crate::Error;

/// A service whose refusals of large requests are ours.
#[derive(Debug, Clone)]
pub struct Oversize<S> {
    inner: S,
    message_bytes: usize,
}

impl<S> Oversize<S> {
    /// The same service, which accepts messages of `message_bytes`.
    pub fn new(inner: S, message_bytes: usize) -> Self {
        Oversize { inner, message_bytes }
    }
}

/// The error of a message with more than `message_bytes` bytes.
pub fn too_large(message_bytes: usize) -> Error {
    Error::exhausted(format!("a message has more than the {message_bytes} bytes that the server accepts"))
        .with_hint("send less at a time; the limit is `max_message_bytes`")
}

/// The error of a message that is cut, or is not the protobuf message that the call takes.
fn unreadable() -> Error {
    Error::input("the request's message cannot be read: it is cut, or not of the call's type")
}

impl<S: NamedService> NamedService for Oversize<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, B> Service<Request<B>> for Oversize<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (answer, message_bytes) = (self.inner.call(request), self.message_bytes);
        Box::pin(async move {
            let response = answer.await?;
            let code = response.headers().get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()));
            Ok(match code {
                Some(Code::OutOfRange) => to_status(&too_large(message_bytes), "").into_http(),
                Some(Code::Internal) if !response.headers().contains_key(QUERY_ID_HEADER) => {
                    to_status(&unreadable(), "").into_http()
                }
                _ => response,
            })
        })
    }
}
