//! Calls that are sent without waiting for the answers to those before.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use super::fault::Fault;
use crate::migrations::history::Answer;

/// How many are under way at most: what a server has got, it works on, whoever has gone.
const AHEAD: usize = 16;

/// How much text these have together; one that has more goes alone. What a server has not read yet keeps it from
/// seeing that its client has gone, and how much it reads ahead is the system's.
const BYTES: usize = 1 << 16;

/// Calls of one connection, answered in the order in which they were sent. In a transaction the first error is
/// the true one: after it the server refuses all that follows, unless that goes back to a savepoint.
#[derive(Default)]
pub(in crate::migrations) struct Pipeline<'c> {
    sent: VecDeque<Call<'c>>,
    bytes: usize,
}

struct Call<'c> {
    /// Which statement of a file it is.
    number: Option<usize>,
    bytes: usize,
    answer: Pin<Box<dyn Future<Output = Answer<()>> + Send + 'c>>,
}

impl<'c> Pipeline<'c> {
    /// Sends a call, and waits for the first answers where too much is under way.
    ///
    /// # Errors
    /// Those of calls before it.
    pub(in crate::migrations) async fn send(
        &mut self,
        number: Option<usize>,
        bytes: usize,
        call: impl Future<Output = Answer<()>> + Send + 'c,
    ) -> Result<(), Fault> {
        self.make_room(bytes).await?;
        let mut answer: Pin<Box<dyn Future<Output = Answer<()>> + Send + 'c>> = Box::pin(call);
        // A client sends with the first poll.
        let at_once = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await;
        let is_answered = at_once.is_ready();
        if let Poll::Ready(at_once) = at_once {
            answer = Box::pin(async { at_once });
        }
        self.bytes += bytes;
        self.sent.push_back(Call { number, bytes, answer });
        // Where it could not be sent, nothing is to be sent after it.
        if is_answered { self.wait().await } else { Ok(()) }
    }

    /// Waits for the first answers where too much is under way for that much more.
    ///
    /// # Errors
    /// The first, by the order of the calls.
    pub(in crate::migrations) async fn make_room(&mut self, bytes: usize) -> Result<(), Fault> {
        while self.sent.len() >= AHEAD || (self.bytes + bytes > BYTES && !self.sent.is_empty()) {
            self.next().await?;
        }
        Ok(())
    }

    /// Waits for all answers.
    ///
    /// # Errors
    /// The first, by the order of the calls.
    pub(in crate::migrations) async fn wait(&mut self) -> Result<(), Fault> {
        while !self.sent.is_empty() {
            self.next().await?;
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<(), Fault> {
        let Some(Call { number, bytes, answer }) = self.sent.pop_front() else { return Ok(()) };
        self.bytes -= bytes;
        answer.await.map_err(|error| Fault::Statement(number, error))
    }
}
