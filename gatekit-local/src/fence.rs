//! One writer at a time, and never one whose fence was overtaken.

use std::fs::{File, OpenOptions};
use std::time::Duration;

use gatekit_core::{Digest, Effect, Fence, NextAction, Permit, Result, RunId};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::code;
use crate::durable::{VERSION, read_json, write_json};
use crate::error::{Doing as _, WithEffect as _, refuse};
use crate::layout::Layout;

const POLL: Duration = Duration::from_millis(25);

#[derive(Debug, Serialize, Deserialize)]
struct Newest {
    v: u32,
    fence: Fence,
    run: RunId,
    /// Which history of the target the fence belongs to, where that was known.
    #[serde(default)]
    chain: Option<Digest>,
}

/// The right to make one write under the root. The lock goes with it, and with its process.
#[derive(Debug)]
#[must_use = "the lock is given back when this is dropped"]
pub(crate) struct Locked {
    // Opened by std, hence close-on-exec: a service never inherits the lock.
    _lock: File,
}

/// Takes the root's lock and proves that no newer fence has written here.
///
/// A process that was paused between its permit and its write is refused here once somebody else
/// has written.
pub(crate) async fn lock(layout: &Layout, permit: &Permit, deadline: Instant) -> Result<Locked> {
    layout.make().no_effect()?;
    let path = layout.fence_lock();
    // One lock file that is never replaced beside a record that always is: a torn write of the
    // record would otherwise close the root for good.
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .doing("open the lock", &path)
        .no_effect()?;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            Err(Errno::WOULDBLOCK | Errno::INTR) => {}
            Err(error) => return Err(error).doing("lock the root", &path).no_effect(),
        }
        if Instant::now() >= deadline {
            return Err(busy(layout));
        }
        tokio::time::sleep(POLL).await;
    }
    claim(layout, permit.fence(), permit.run(), permit.chain())?;
    Ok(Locked { _lock: file })
}

/// Refuses a root that another ledger has written under: its fences and these cannot be compared, and
/// what is live there is not in this journal.
pub(crate) fn same_history(layout: &Layout, chain: Option<&Digest>) -> Result<()> {
    match read_json::<Newest>(&layout.fence()).no_effect()? {
        Some(newest) => newest.same_history(layout, chain),
        None => Ok(()),
    }
}

impl Newest {
    fn same_history(&self, layout: &Layout, chain: Option<&Digest>) -> Result<()> {
        match (&self.chain, chain) {
            (Some(known), Some(own)) if known != own => Err(refuse(
                code::OTHER_LEDGER,
                "another ledger or target has released under this root",
            )
            .with_context("last_writer", format!("fence {} of run {}", self.fence, self.run))
            .with_next(NextAction::outside(
                "use the ledger and the target it was released with; from a file to a server it goes by \
                 `ledger copy`, before anything is shipped there",
            ))
            .with_next(
                NextAction::outside(format!(
                    "if that ledger is lost and nobody ships here: delete {}",
                    layout.fence().display()
                ))
                .by("operator"),
            )),
            _ => Ok(()),
        }
    }
}

fn claim(layout: &Layout, fence: Fence, run: RunId, chain: Option<&Digest>) -> Result<()> {
    let path = layout.fence();
    if let Some(newest) = read_json::<Newest>(&path).no_effect()? {
        newest.same_history(layout, chain)?;
        if newest.fence == fence && newest.run == run {
            return Ok(());
        }
        if newest.fence >= fence {
            return Err(gatekit_core::Error::new(
                gatekit_core::code::LOCK_LOST,
                "a run with a newer fence has written under this root",
            )
            .with_effect(Effect::None)
            .with_context("newest", format!("fence {} of run {}", newest.fence, newest.run))
            .with_context("own", format!("fence {fence} of run {run}"))
            .with_next(NextAction::verb(gatekit_core::Verb::Status, &[]))
            .with_next(
                NextAction::outside(format!(
                    "if the ledger was replaced on purpose, or the root was moved to another \
                     target, and nobody ships here: delete {}",
                    path.display()
                ))
                .by("operator"),
            ));
        }
    }
    write_json(&path, &Newest { v: VERSION, fence, run, chain: chain.cloned() }).no_effect()
}

fn busy(layout: &Layout) -> gatekit_core::Error {
    let error = refuse(code::BUSY, "another process is writing under this root")
        .with_context("lock", layout.fence_lock().display())
        .retry_later()
        .with_next(NextAction::outside(format!(
            "wait for it; if it hangs, find it with `fuser {}` and kill it",
            layout.fence_lock().display()
        )));
    match read_json::<Newest>(&layout.fence()) {
        Ok(Some(newest)) => error.with_context("last_writer", newest.run),
        // Who it is would only have helped people: the refusal stands without it.
        Ok(None) | Err(_) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_fence_and_its_run_may_write() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path()).unwrap();
        let (old, new, other) = (RunId::generate(), RunId::generate(), RunId::generate());
        claim(&layout, Fence(1), old, None).unwrap();
        claim(&layout, Fence(1), old, None).unwrap();
        claim(&layout, Fence(3), new, None).unwrap();
        for (fence, run) in [(1, old), (2, new), (3, other), (0, new)] {
            let error = claim(&layout, Fence(fence), run, None).unwrap_err();
            assert_eq!(error.code(), &gatekit_core::code::LOCK_LOST);
            assert_eq!(error.effect(), Effect::None);
        }
        claim(&layout, Fence(4), old, None).unwrap();
        let (one, two) = (Digest::of("one"), Digest::of("two"));
        claim(&layout, Fence(5), new, Some(&one)).unwrap();
        claim(&layout, Fence(6), old, Some(&one)).unwrap();
        let error = claim(&layout, Fence(9), other, Some(&two)).unwrap_err();
        assert_eq!(error.code(), &code::OTHER_LEDGER, "a greater number of another ledger");
        assert!(same_history(&layout, Some(&two)).is_err());
        same_history(&layout, Some(&one)).unwrap();
        std::fs::write(layout.fence(), "{").unwrap();
        assert_eq!(claim(&layout, Fence(9), old, None).unwrap_err().code(), &code::CORRUPT);
    }
}
