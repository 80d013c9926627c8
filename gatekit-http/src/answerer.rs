//! Whose answer it is.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;

/// Whether an answer came from the process that should be live.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Judgement {
    /// It did. The facts, like the process id, go into the evidence: MUST NOT contain secrets.
    Ours(Value),
    /// Somebody else holds that address, and this is known of them.
    Stranger(String),
    /// Our process does not run. Final: no further attempt is made.
    NotRunning(String),
    /// It cannot be told, for this reason. Such an answer does not count.
    Unknown(String),
}

/// Tells whose answer it is, so that a stranger on the port cannot pass for our service. See
/// [`SmokeBuilder::answered_by`](crate::SmokeBuilder::answered_by).
///
/// ```
/// use std::net::SocketAddr;
/// use gatekit_http::{Answerer, Judgement};
///
/// /// Believes in one address, which is good enough for a documentation.
/// #[derive(Debug)]
/// struct At(SocketAddr);
///
/// impl Answerer for At {
///     fn judge(&self, peer: SocketAddr) -> Judgement {
///         if peer == self.0 {
///             Judgement::Ours(serde_json::json!({"address": peer.to_string()}))
///         } else {
///             Judgement::Stranger(format!("`{peer}` is not ours"))
///         }
///     }
/// }
/// ```
pub trait Answerer: Debug + Send + Sync + 'static {
    /// Whose process answers at `peer`, right now?
    ///
    /// Asked after each complete answer, with the address it really came from, and once more for
    /// all of them before the gate passes; the connection is closed by then. It runs on a thread for
    /// blocking work, so it may read files. It MUST be idempotent, MUST return by itself (it is no
    /// longer listened to after the attempt time-out, but its thread cannot be stopped), and MUST
    /// answer [`Judgement::Unknown`] rather than guess.
    fn judge(&self, peer: SocketAddr) -> Judgement;

    /// Why our process does not run any more; `None` when it runs or nobody knows.
    ///
    /// Asked when nobody answered at all, and only to give up early: the same rules hold as for
    /// [`judge`](Self::judge).
    fn not_running(&self) -> Option<String> {
        None
    }
}

macro_rules! forward {
    ($pointer:ident) => {
        #[deny(clippy::missing_trait_methods)]
        impl<A: Answerer + ?Sized> Answerer for $pointer<A> {
            fn judge(&self, peer: SocketAddr) -> Judgement {
                (**self).judge(peer)
            }

            fn not_running(&self) -> Option<String> {
                (**self).not_running()
            }
        }
    };
}
forward!(Arc);
forward!(Box);
