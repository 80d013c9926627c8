//! `RestoreRows`, the way back of a repair.

use async_trait::async_trait;
use gatekit_core::{ApplyContext, Location, PlanContext, Result, Reversibility, Rollback, Rollout};

use super::change::{RepairChange, RepairReceipt};
use super::deployer::Repair;
use super::writing::Way;

/// Makes the rows what they were before a [`Repair`], all of their columns: in one transaction, with the care of
/// the repair. When somebody else has changed one since, nothing is restored.
///
/// # Example
/// See [`Repair`].
#[derive(Debug, Clone)]
#[must_use = "give it to `.rollback_with`"]
pub struct RestoreRows {
    repair: Repair,
}

impl RestoreRows {
    /// The way back of that repair.
    pub fn of(repair: &Repair) -> Self {
        Self { repair: repair.clone() }
    }
}

#[async_trait]
impl Rollback<Repair> for RestoreRows {
    fn reversibility(&self, _: &RepairChange) -> Reversibility {
        Reversibility::Free
    }

    /// Restores the rows.
    ///
    /// # Errors
    /// As [`Repair`]'s `apply`; `migration.not_kept` when somebody has removed what they were.
    async fn roll_back(
        &self,
        cx: &ApplyContext,
        change: &RepairChange,
        _: Option<&RepairReceipt>,
    ) -> Result<()> {
        self.repair.database.is_planned(&change.database)?;
        self.repair.writing(cx, change).write(Way::Back).await.map(drop)
    }

    async fn observe_back(
        &self,
        cx: &PlanContext,
        change: &RepairChange,
        _: Option<&RepairReceipt>,
    ) -> Result<Rollout> {
        Ok(match self.repair.where_it_stands(cx, change, false).await? {
            Location::Before => Rollout::Settled,
            Location::Elsewhere(live) => Rollout::Superseded { by: live.to_string() },
            other => Rollout::Failed(format!("the history says: {other}")),
        })
    }
}
