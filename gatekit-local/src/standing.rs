//! Where a root stands: its links, its service, and what that means for a change.

use std::fmt;

use gatekit_core::{Digest, Live, Location, Result, RunId};
use serde::{Deserialize, Serialize};

use crate::layout::{CURRENT, Layout, PREVIOUS};
use crate::release::{self, ReleaseId};
use crate::service::{Record, Service};

/// What the `current` link names, and what runs. The two differ while a change is under way, and
/// when a service has ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct State {
    /// The release that the `current` link names.
    pub release: Option<ReleaseId>,
    /// The release whose service runs.
    pub runs: Option<ReleaseId>,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.release, &self.runs) {
            (None, None) => f.write_str("nothing"),
            (Some(release), Some(runs)) if release == runs => write!(f, "{release}"),
            (Some(release), None) => write!(f, "{release}, stopped"),
            (None, Some(runs)) => write!(f, "no link, {runs} runs"),
            (Some(release), Some(runs)) => write!(f, "{release}, but {runs} runs"),
        }
    }
}

/// The change of a [`ReleaseDir`](crate::ReleaseDir).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReleaseChange {
    /// What was there when the change was planned.
    pub before: State,
    /// What the `previous` link named then; a rollback restores it.
    pub previous: Option<ReleaseId>,
    /// What is to be there.
    pub wish: State,
    /// The digest of the files to be copied; `None` when the release is under the root already.
    pub tree: Option<Digest>,
}

/// The receipt of a [`ReleaseDir`](crate::ReleaseDir).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReleaseReceipt {
    /// The release that the `current` link was switched to.
    pub release: Option<ReleaseId>,
    /// The mark of the service's start, unique for each; `None` when nothing was to run.
    pub token: Option<String>,
    /// The run that wrote.
    pub run: RunId,
    /// When nothing was to run, the mark of the start that was made last before: another one since
    /// means that somebody else has stopped the service again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// One reading of the root.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) link: Option<ReleaseId>,
    pub(crate) previous: Option<ReleaseId>,
    pub(crate) service: Service,
    /// The mark of the start that was made last, whether or not it still runs.
    pub(crate) started: Option<String>,
}

impl Standing {
    pub(crate) fn read(layout: &Layout) -> Result<Self> {
        Ok(Self {
            link: layout.link(CURRENT)?,
            previous: layout.link(PREVIOUS)?,
            service: Service::look(layout)?,
            started: Record::read(layout)?.map(|record| record.token),
        })
    }

    /// The state as a change keeps it; left-over processes count as nothing that runs.
    pub(crate) fn state(&self) -> State {
        State { release: self.link.clone(), runs: self.service.release().cloned() }
    }

    /// Whether exactly that holds, with no process beside it.
    pub(crate) fn is(&self, state: &State) -> bool {
        let runs = match (&self.service, &state.runs) {
            (Service::Nobody, None) => true,
            (Service::Runs(record, _), Some(runs)) => record.release == *runs,
            _ => false,
        };
        runs && self.link == state.release
    }

    pub(crate) fn locate(
        &self,
        layout: &Layout,
        change: &ReleaseChange,
        receipt: Option<&ReleaseReceipt>,
    ) -> Location {
        if let Service::Unknown(why) = &self.service {
            return Location::Unknown(why.clone());
        }
        let (before, wish) = (&change.before, &change.wish);
        if self.is(wish) && receipt.is_none_or(|receipt| self.is_effect_of(receipt)) {
            return Location::After;
        }
        if self.is(before) {
            return Location::Before;
        }
        let runs = self.service.release();
        let foreign = |id: &&ReleaseId| {
            ![&before.release, &before.runs, &wish.release, &wish.runs]
                .into_iter()
                .flatten()
                .any(|known| known == *id)
        };
        // The release of the wish, but another start of it than the receipt's: another run's effect.
        if let Some(third) = runs.filter(foreign).or_else(|| self.link.as_ref().filter(foreign)) {
            return Location::Elsewhere(release::live(layout, third));
        }
        if self.is(wish)
            && let Some(id) = runs.or(self.link.as_ref())
        {
            return Location::Elsewhere(release::live(layout, id));
        }
        Location::Between(self.describe())
    }

    /// Whether the running service is the one that the receipt's write started, or no other was started
    /// since it was stopped. The same run may start it again, after a reboot for instance.
    fn is_effect_of(&self, receipt: &ReleaseReceipt) -> bool {
        match &self.service {
            Service::Runs(record, _) => {
                receipt.token.as_ref() == Some(&record.token) || record.run == receipt.run
            }
            // Receipts of earlier builds do not tell what was stopped.
            _ => {
                receipt.token.is_none()
                    && (receipt.stopped.is_none() || receipt.stopped == self.started)
            }
        }
    }

    fn describe(&self) -> String {
        let link = self.link.as_ref().map_or("nothing", ReleaseId::as_str);
        let service = match &self.service {
            Service::Nobody => "no service runs".to_owned(),
            Service::Runs(record, _) => format!("`{}` runs", record.release),
            Service::Leftovers(pids) => format!(
                "the started process is gone or not alone, {} processes of a service are left",
                pids.len()
            ),
            Service::Unknown(why) => why.clone(),
        };
        format!("`current` names {link}, and {service}")
    }

    pub(crate) fn live(&self, layout: &Layout) -> Option<Live> {
        self.service.release().map(|id| release::live(layout, id))
    }
}
