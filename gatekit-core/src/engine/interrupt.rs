//! Interrupts: the first asks a run to stop at the next safe point, the second to let go.

use tokio_util::sync::CancellationToken;

/// A handle by which a run is interrupted. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Interrupter {
    stop: CancellationToken,
    let_go: CancellationToken,
}

impl Interrupter {
    /// Interrupts the run. The first time it stops at the next safe point and then unwinds, or is
    /// left for `resume`, as the pipeline chose; calls in flight are awaited. The second time the
    /// journal is left as it is: the handle of the run answers at once, and the process should end.
    pub fn interrupt(&self) {
        if self.stop.is_cancelled() {
            self.let_go.cancel();
        } else {
            self.stop.cancel();
        }
    }

    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    pub(crate) fn let_go(&self) -> &CancellationToken {
        &self.let_go
    }
}
