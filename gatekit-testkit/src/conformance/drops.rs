//! Futures that are dropped in the middle, as an interrupt does.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// At how many points of one call its future is dropped, at most.
pub(crate) const POINTS: usize = 16;

/// Polls `future` until it has to wait for the `nth` time and drops it there. `None` then; what it
/// came to when it ended before.
pub(crate) async fn dropped_at<F: Future>(future: F, nth: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut waits = 0;
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => {
            waits += 1;
            if waits < nth { Poll::Pending } else { Poll::Ready(None) }
        }
    })
    .await
}
