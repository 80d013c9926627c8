//! A journal, read and checked.

use gatekit_core::ledger::{ChainVerifier, Head, Ledger, Record};
use gatekit_core::{Result, TargetName};

/// How many records are read at once: a journal of any length in the same memory.
const PAGE: usize = 1000;

/// The records of a chain up to a head, page by page, each checked before it is given.
#[derive(Debug)]
pub(crate) struct Verified<'a> {
    ledger: &'a dyn Ledger,
    target: &'a TargetName,
    head: &'a Head,
    after: u64,
    verifier: Option<ChainVerifier>,
}

impl<'a> Verified<'a> {
    pub(crate) fn new(ledger: &'a dyn Ledger, target: &'a TargetName, head: &'a Head) -> Self {
        let verifier = Some(ChainVerifier::new(target.clone(), None));
        Self { ledger, target, head, after: 0, verifier }
    }

    /// The next records; `None` once the chain has come to just that head.
    ///
    /// # Errors
    /// `log.broken`, and those of the ledger.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Record>>> {
        let Some(verifier) = &mut self.verifier else { return Ok(None) };
        let left = usize::try_from(self.head.seq.saturating_sub(self.after)).unwrap_or(usize::MAX);
        let page = self.ledger.read(self.target, self.after, PAGE.min(left)).await?;
        page.iter().try_for_each(|record| verifier.push(record))?;
        if let Some(last) = page.last() {
            self.after = last.seq;
            return Ok(Some(page));
        }
        self.verifier.take().map(|verifier| verifier.finish(self.head)).transpose()?;
        Ok(None)
    }

    /// Checks all of it.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub(crate) async fn drain(mut self) -> Result<()> {
        while self.next().await?.is_some() {}
        Ok(())
    }
}
