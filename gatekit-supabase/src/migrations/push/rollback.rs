//! `Down`, the way back of a push.

use async_trait::async_trait;
use gatekit_core::{
    ApplyContext, Effect, Error, Location, PlanContext, Result, Reversibility, Rollback, Rollout,
};

use super::apply::{Applying, Step};
use super::change::{PushChange, PushReceipt};
use super::deployer::Push;
use crate::code;

/// Takes back what a [`Push`] has applied, newest first, by the files `down/VERSION_NAME.down.sql` beside the
/// migrations: one transaction each, in which its row leaves the history, with the care of the push.
///
/// What takes back a file that allows no transaction must bear that only a part of it is there: as
/// `DROP INDEX CONCURRENTLY IF EXISTS`.
///
/// A push of which one file has none is one-way. What somebody else has applied since stands on it, and
/// nothing is taken back then.
///
/// # Example
/// ```no_run
/// # fn example() -> gatekit_core::Result<()> {
/// use gatekit_core::Pipeline;
/// use gatekit_supabase::Database;
/// use gatekit_supabase::migrations::{Down, Push};
///
/// let database = Database::at("postgres://postgres@db.example.org/postgres")?;
/// let push = Push::new(database, "supabase/migrations")?;
/// let down = Down::of(&push);
/// let pipeline = Pipeline::to("production/db").deploy(push).rollback_with(down).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "give it to `.rollback_with`"]
pub struct Down {
    push: Push,
}

impl Down {
    /// The way back of that push: of its folder and database, with its limits.
    pub fn of(push: &Push) -> Self {
        Self { push: push.clone() }
    }
}

#[async_trait]
impl Rollback<Push> for Down {
    fn reversibility(&self, change: &PushChange) -> Reversibility {
        match change.files.iter().find(|it| it.down.is_none()) {
            None => Reversibility::Free,
            Some(file) => Reversibility::OneWay(no_down(&file.version, &file.name)),
        }
    }

    /// Takes the files back that are applied.
    ///
    /// # Errors
    /// As [`Push`]'s `apply`; `migration.changed` when a file is not the one that was planned.
    async fn roll_back(
        &self,
        cx: &ApplyContext,
        change: &PushChange,
        _: Option<&PushReceipt>,
    ) -> Result<()> {
        self.push.database.is_planned(&change.database)?;
        let files = self.push.files(change)?;
        let mut applying = Applying::new(&self.push.database, cx, change, self.push.limits);
        for file in files.iter().rev() {
            let step = Step::down(file)?.ok_or_else(|| {
                Error::new(code::CHANGED, no_down(&file.version, &file.name))
                    .with_effect(Effect::None)
            })?;
            applying.take(step, None).await?;
        }
        Ok(())
    }

    async fn observe_back(
        &self,
        cx: &PlanContext,
        change: &PushChange,
        _: Option<&PushReceipt>,
    ) -> Result<Rollout> {
        Ok(match self.push.where_it_stands(cx, change).await? {
            Location::Before => Rollout::Settled,
            Location::Elsewhere(live) => Rollout::Superseded { by: live.to_string() },
            other => Rollout::Failed(format!("the history says: {other}")),
        })
    }
}

fn no_down(version: &str, name: &str) -> String {
    format!("nothing takes `{version}_{name}.sql` back: it has no down file")
}
