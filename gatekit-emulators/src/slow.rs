//! An answer that comes in drops.

use std::convert::Infallible;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame};
use tokio::time::{Sleep, sleep};

const DROP: usize = 64;
const PAUSE: Duration = Duration::from_millis(50);

/// A body that is sent a few bytes at a time.
pub(crate) struct SlowBody {
    left: Bytes,
    pause: Pin<Box<Sleep>>,
}

impl SlowBody {
    pub(crate) fn new(body: Bytes) -> Self {
        Self { left: body, pause: Box::pin(sleep(PAUSE)) }
    }
}

impl Body for SlowBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        ready!(self.pause.as_mut().poll(cx));
        self.pause = Box::pin(sleep(PAUSE));
        let drop = self.left.len().min(DROP);
        let drop = self.left.split_to(drop);
        Poll::Ready(Some(Ok(Frame::data(drop))))
    }
}
