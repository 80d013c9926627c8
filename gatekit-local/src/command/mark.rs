//! By what the processes of a call are found again, also by another process of gatekit.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use gatekit_core::{Fence, RunId};
use uuid::Uuid;

use crate::platform;

/// The variable that marks every process of a call: one mark for each gatekit around it, for a
/// program may itself run gatekit, and the outer one has to find what that has started.
pub(super) const MARKS: &str = "GATEKIT_COMMAND";

/// Between two marks.
const AND: u8 = b':';

/// The mark of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark(String);

impl Mark {
    /// Of a call that reads: nobody else has to find it.
    pub(super) fn of_reading() -> Self {
        Self(Uuid::new_v4().to_string())
    }

    /// Of a call that writes: whoever takes the run over finds it by the run, and tells it from a call
    /// of its own by the fence.
    pub(super) fn of_writing(run: RunId, fence: Fence) -> Self {
        Self(format!("{run}/{fence}/{}", Uuid::new_v4()))
    }

    /// The value of [`MARKS`] for its program.
    pub(super) fn value(&self, outer: Option<&OsStr>) -> OsString {
        let mut value = outer.map(OsStr::to_owned).unwrap_or_default();
        if !value.is_empty() {
            value.push(OsStr::from_bytes(&[AND]));
        }
        value.push(&self.0);
        value
    }

    /// Notes that what this call has started is to live on, also when its run is taken over.
    pub(super) fn keep(&self) -> io::Result<()> {
        if !platform::has_marked(MARKS, &|marks| self.is_in(marks))? {
            return Ok(());
        }
        let Some(call) = self.0.rsplit('/').next().and_then(|call| call.parse().ok()) else {
            return Ok(());
        };
        File::create_new(kept_by(call)).map(|_| ())
    }

    /// Whether a process with that value of [`MARKS`] is of this call.
    pub(super) fn is_in(&self, value: &[u8]) -> bool {
        value.split(|&byte| byte == AND).any(|mark| mark == self.0.as_bytes())
    }
}

/// Whether a process with those [`MARKS`] may be of a call of `run` that writes under an older fence than
/// `fence`: of any that is not known to have succeeded.
pub(super) fn writes_still(marks: &[u8], run: RunId, fence: Fence) -> bool {
    marks
        .split(|&byte| byte == AND)
        .any(|mark| older_write(mark, run, fence).is_some_and(|call| !kept_by(call).exists()))
}

/// The call, if that is a mark of one of `run` that writes under an older fence.
fn older_write(mark: &[u8], run: RunId, fence: Fence) -> Option<Uuid> {
    let mut parts = std::str::from_utf8(mark).ok()?.split('/');
    let of_run = parts.next()? == run.to_string();
    let older = parts.next()?.parse::<u64>().ok()? < fence.0;
    let call = parts.next()?.parse().ok()?;
    (of_run && older).then_some(call)
}

/// The file that says: what that call has started is to live on.
///
/// In a place that everybody has: where a note is missing, too much is ended, and never too little. No
/// other user knows the name beforehand.
fn kept_by(call: Uuid) -> PathBuf {
    std::env::temp_dir().join(format!("gatekit-kept-{call}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_call_is_of_both() {
        let (outer, inner) = (Mark::of_reading(), Mark::of_reading());
        let value = inner.value(Some(&outer.value(None)));
        let value = value.as_bytes();
        assert!(outer.is_in(value) && inner.is_in(value) && !Mark::of_reading().is_in(value));
        assert!(!outer.is_in(b"") && !outer.is_in(&outer.0.as_bytes()[1..]));
    }

    #[test]
    fn only_older_writes_of_the_same_run_are_shut_out() {
        let (run, other) = (RunId::generate(), RunId::generate());
        let mark = Mark::of_writing(run, Fence(9));
        let nested = Mark::of_reading().value(Some(&mark.value(Some("x/y".as_ref()))));
        for (run, fence, older) in [
            (run, 10, true),
            (run, 100, true),
            (run, 9, false),
            (run, 1, false),
            (other, 10, false),
        ] {
            assert_eq!(writes_still(nested.as_bytes(), run, Fence(fence)), older, "{fence}");
        }
        for other in [&b"\xff:a/b"[..], b"", format!("{run}/1/..").as_bytes()] {
            assert!(!writes_still(other, run, Fence(10)));
        }
    }
}
