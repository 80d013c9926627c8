//! `Repair`, the deployer of a history that is told to be another one.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::{
    ApplyContext, Deployer, Digest, Effect, Error, Live, Location, NextAction, PlanContext,
    Planned, Result, Rollout, RunId, StageId,
};
use serde_json::{Value, json};

use super::change::{RepairChange, RepairReceipt, RowChange, RowWish, Status, befores};
use super::proof::Proof;
use super::rows::Seen;
use super::writing::{self, Way, Writing};
use crate::code;
use crate::database::Database;
use crate::migrations::files::content::content;
use crate::migrations::files::file::File;
use crate::migrations::files::folder::FolderReader;
use crate::migrations::orphans::Orphans;
use crate::migrations::push::deployer::several;

/// How long another writer of the history is waited for.
const TURN: Duration = Duration::from_secs(60);

/// Makes the history say that versions are applied, or that they are not.
///
/// It changes rows of `supabase_migrations.schema_migrations`, and nothing else that a migration does. It is one
/// transaction, under the lock of [`Push`](super::super::Push), in which the rows are read again first: rows that
/// somebody else has changed since the plan are refused. What they were, all columns of them, is kept in the same
/// transaction in the table `supabase_migrations.gatekit_repairs`, from which
/// [`RestoreRows`](super::RestoreRows) takes it; there it stays. It is kept in the database, and not in the
/// journal, because statements may have secrets in them: the journal has digests, and the first words of each
/// statement without what strings say.
///
/// A repeated `apply` finds its own id in that table. The scope are database, status, versions, and the rows
/// before.
///
/// # Default
/// The id of the deploy is `repair`.
///
/// # Example
/// ```no_run
/// # fn example() -> gatekit_core::Result<()> {
/// use gatekit_core::Pipeline;
/// use gatekit_supabase::Database;
/// use gatekit_supabase::migrations::{Repair, RestoreRows};
///
/// let database = Database::at("postgres://postgres@db.example.org/postgres")?;
/// let repair = Repair::reverted(database, ["20260101000000"])?;
/// let back = RestoreRows::of(&repair);
/// let pipeline = Pipeline::to("production/db").deploy(repair).rollback_with(back).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "give it to `.deploy`"]
pub struct Repair {
    id: StageId,
    pub(super) database: Database,
    what: What,
}

/// Which versions are repaired, and how.
#[derive(Debug, Clone)]
enum What {
    Reverted(Vec<String>),
    Applied { versions: Vec<String>, folder: FolderReader, proof: Proof },
    Orphans(Box<Orphans>),
}

impl Repair {
    /// Removes the rows of these versions: they are told to be not applied.
    ///
    /// # Errors
    /// `migration.no_versions` when it is none, of which the Supabase CLI would empty the history;
    /// `migration.version` when one has other than digits.
    pub fn reverted<V: Into<String>>(
        database: Database,
        versions: impl IntoIterator<Item = V>,
    ) -> Result<Self> {
        Ok(Self { id: id()?, database, what: What::Reverted(checked(versions)?) })
    }

    /// Makes these versions applied, by the files that `folder` has of them, where `proof` shows that they are:
    /// each row then says what its file does. The folder is read again when it is applied.
    ///
    /// # Errors
    /// As [`Repair::reverted`].
    pub fn applied<V: Into<String>>(
        database: Database,
        folder: impl Into<FolderReader>,
        versions: impl IntoIterator<Item = V>,
        proof: Proof,
    ) -> Result<Self> {
        let (versions, folder) = (checked(versions)?, folder.into());
        Ok(Self { id: id()?, database, what: What::Applied { versions, folder, proof } })
    }

    /// Removes the rows that no file has, of which nothing is in the database, where that may be done without a
    /// person: the repair of a recovery, see [`Orphans`]. Which these are is found when it is planned; none are
    /// a change that has landed.
    ///
    /// # Errors
    /// None: the id is valid.
    pub fn orphans(orphans: &Orphans) -> Result<Self> {
        let (database, what) = (orphans.database.clone(), What::Orphans(Box::new(orphans.clone())));
        Ok(Self { id: id()?, database, what })
    }

    /// Gives it another id.
    pub fn with_id(mut self, id: StageId) -> Self {
        self.id = id;
        self
    }

    fn status(&self) -> Status {
        match self.what {
            What::Reverted(_) | What::Orphans(_) => Status::Reverted,
            What::Applied { .. } => Status::Applied,
        }
    }

    /// The versions to be removed, with their rows.
    async fn reverting(&self, cx: &PlanContext, versions: Vec<String>) -> Result<Vec<RowChange>> {
        let seen = writing::look(&self.database, &versions, cx.deadline()).await?;
        // What a repair has removed before is known, and stays away.
        let is_known = |it: &&String| seen.rows.contains_key(*it) || seen.removed.contains(*it);
        let unknown: Vec<_> =
            versions.iter().filter(|it| !is_known(it)).map(String::as_str).collect();
        if !unknown.is_empty() {
            let what = "the history does not have these versions: nothing was repaired";
            return Err(self.refused(code::UNKNOWN_VERSION, what, &unknown));
        }
        Ok(versions.into_iter().map(|version| row(version, &seen, None, Vec::new())).collect())
    }

    /// The versions to be added, each with what proves it.
    async fn applying(
        &self,
        cx: &PlanContext,
        (versions, folder, proof): (&[String], &FolderReader, &Proof),
    ) -> Result<Vec<RowChange>> {
        let files = self.files(versions, folder)?;
        let seen = writing::look(&self.database, versions, cx.deadline()).await?;
        let mut rows = Vec::with_capacity(files.len());
        for file in files {
            let proof = proof.of(&self.database, &file, cx.deadline()).await?;
            let texts: Vec<_> = file.statements.iter().map(|it| it.text.as_str()).collect();
            let (name, digest, content) = (file.name, file.digest, content(&texts));
            let wish = RowWish { name, file: digest, content };
            rows.push(row(file.version, &seen, Some(wish), proof));
        }
        Ok(rows)
    }

    fn files(&self, versions: &[String], folder: &FolderReader) -> Result<Vec<File>> {
        let mut files = folder.read()?.files;
        files.retain(|file| versions.contains(&file.version));
        let has = |it: &&String| files.iter().any(|file| file.version == **it);
        let unknown: Vec<_> = versions.iter().filter(|it| !has(it)).map(String::as_str).collect();
        if unknown.is_empty() {
            return Ok(files);
        }
        let what = "no file has these versions: nothing was repaired";
        let error = self.refused(code::UNKNOWN_VERSION, what, &unknown);
        Err(error.with_context("folder", folder.dir().display()))
    }

    /// The files of the change, as they are in the folder now.
    fn files_of(&self, change: &RepairChange) -> Result<Vec<File>> {
        let What::Applied { versions, folder, .. } = &self.what else { return Ok(Vec::new()) };
        let files = self.files(versions, folder)?;
        let is_same = |it: &&RowChange| {
            let digest = it.wish.as_ref().map(|wish| &wish.file);
            files.iter().any(|file| file.version == it.version && Some(&file.digest) == digest)
        };
        match change.rows.iter().find(|it| !is_same(it)) {
            None => Ok(files),
            Some(changed) => {
                let what = "a file is not the one that was planned";
                Err(self.refused(code::CHANGED, what, &[&changed.version]))
            }
        }
    }

    fn refused(&self, code: gatekit_core::Code, what: &str, versions: &[&str]) -> Error {
        Error::new(code, what)
            .with_effect(Effect::None)
            .with_context("versions", several(versions))
            .with_context("database", self.database.name())
    }

    pub(super) fn writing<'a>(
        &'a self,
        cx: &'a ApplyContext,
        change: &'a RepairChange,
    ) -> Writing<'a> {
        Writing { database: &self.database, cx, change, turn: TURN }
    }

    pub(super) async fn where_it_stands(
        &self,
        cx: &PlanContext,
        change: &RepairChange,
        is_own: bool,
    ) -> Result<Location> {
        self.database.is_planned(&change.database)?;
        writing::locate(&self.database, cx, change, (is_own, TURN)).await
    }
}

#[async_trait]
impl Deployer for Repair {
    type Change = RepairChange;
    type Receipt = RepairReceipt;

    fn id(&self) -> StageId {
        self.id.clone()
    }

    fn describe(&self) -> Value {
        let what = match &self.what {
            What::Reverted(versions) => json!({ "reverted": versions }),
            What::Applied { versions, proof, .. } => json!({ "applied": versions, "proof": proof }),
            What::Orphans(orphans) => json!({ "orphans": orphans.described() }),
        };
        json!({ "kind": "supabase_repair", "database": self.database.name(), "what": what })
    }

    /// Reads the rows, and looks up what proves that a file is applied.
    ///
    /// # Errors
    /// `migration.unknown_version` when the history, or the folder, does not have one of them: then none is
    /// repaired. `migration.unproven`, `migration.probe`; `migration.history`; those of a folder; `database.*`. Of
    /// orphans, what stands in the way of the repair: `migration.orphans_absent`, `migration.orphans_present`,
    /// `migration.orphans_unclear`.
    async fn plan(&self, cx: &PlanContext) -> Result<Planned<RepairChange>> {
        let rows = match &self.what {
            What::Reverted(versions) => self.reverting(cx, versions.clone()).await?,
            What::Applied { versions, folder, proof } => {
                self.applying(cx, (versions, folder, proof)).await?
            }
            What::Orphans(orphans) => {
                let versions = orphans.repairable(cx).await?;
                self.reverting(cx, versions).await?
            }
        };
        let (database, status) = (self.database.name(), self.status());
        let scope = json!({ "database": database, "status": status, "rows": befores(&rows) });
        let shown: Vec<_> = rows.iter().map(shown).collect();
        let shown: Vec<_> = shown.iter().map(String::as_str).collect();
        let summary = match shown.as_slice() {
            [] => format!("{database}: nothing is to be repaired"),
            rows => format!("{database}: {}: {}", status.as_str(), several(rows)),
        };
        let repair = RunId::generate().to_string();
        Ok(Planned {
            scope: Digest::of_json(&scope),
            summary,
            change: RepairChange { database, repair, status, rows },
        })
    }

    /// Writes the rows, all or none.
    ///
    /// # Errors
    /// With [`Effect::None`]: `migration.elsewhere` when a row is not as planned, `migration.changed` when a file
    /// is not; `migration.unproven`, `migration.probe`; `migration.locked`; `migration.history` when the table
    /// has changed what was written; `database.*`. With [`Effect::Unknown`], `migration.cannot_tell`.
    async fn apply(
        &self,
        cx: &ApplyContext,
        change: &RepairChange,
        _: Option<&RepairReceipt>,
    ) -> Result<RepairReceipt> {
        self.database.is_planned(&change.database)?;
        let files = self.files_of(change)?;
        let objects = Proof::objects();
        let proof = match &self.what {
            What::Applied { proof, .. } => proof,
            What::Reverted(_) | What::Orphans(_) => &objects,
        };
        let proof = self.writing(cx, change).write(Way::There(&files, proof)).await?;
        Ok(RepairReceipt { proof })
    }

    async fn observe(
        &self,
        cx: &PlanContext,
        change: &RepairChange,
        _: &RepairReceipt,
    ) -> Result<Rollout> {
        Ok(match self.where_it_stands(cx, change, true).await? {
            Location::After => Rollout::Settled,
            Location::Elsewhere(live) => Rollout::Superseded { by: live.to_string() },
            other => Rollout::Failed(format!("the history says: {other}")),
        })
    }

    async fn locate(
        &self,
        cx: &PlanContext,
        change: &RepairChange,
        receipt: Option<&RepairReceipt>,
    ) -> Result<Location> {
        self.where_it_stands(cx, change, receipt.is_some()).await
    }

    /// Waits until nobody writes the history: what a process that is gone had begun is over then.
    async fn fence_off(&self, cx: &ApplyContext) -> Result<()> {
        writing::look_locked(&self.database, &[], (cx.deadline(), TURN)).await.map(drop)
    }

    async fn live(&self, cx: &PlanContext) -> Result<Option<Live>> {
        Ok(writing::look(&self.database, &[], cx.deadline()).await?.newest)
    }
}

fn id() -> Result<StageId> {
    StageId::new("repair")
}

/// The versions, each once and in order.
fn checked<V: Into<String>>(versions: impl IntoIterator<Item = V>) -> Result<Vec<String>> {
    let versions: BTreeSet<String> = versions.into_iter().map(Into::into).collect();
    if versions.is_empty() {
        let what = "no version is named: nothing is repaired";
        return Err(Error::new(code::NO_VERSIONS, what).with_effect(Effect::None));
    }
    let is_odd = |it: &&String| it.is_empty() || !it.bytes().all(|byte| byte.is_ascii_digit());
    match versions.iter().find(is_odd) {
        Some(odd) => Err(Error::new(code::VERSION, "a version is other than digits")
            .with_effect(Effect::None)
            .with_context("version", format!("`{odd}`"))
            .with_next(NextAction::outside("name it as the history does, as `20260101000000`"))),
        None => Ok(versions.into_iter().collect()),
    }
}

fn row(version: String, seen: &Seen, wish: Option<RowWish>, proof: Vec<String>) -> RowChange {
    let before = seen.rows.get(&version).map(super::rows::Row::before);
    RowChange { version, before, wish, proof }
}

/// A row, for people.
fn shown(row: &RowChange) -> String {
    let version = &row.version;
    let name = row.before.as_ref().and_then(|it| it.name.as_deref());
    let name = name.or_else(|| row.wish.as_ref().map(|it| it.name.as_str())).unwrap_or("-");
    let heads = row.before.as_ref().and_then(|it| it.statements.as_deref());
    let says = match (&row.before, heads) {
        (None, _) => "no row".to_owned(),
        (Some(_), None | Some([])) => "no statements".to_owned(),
        (Some(_), Some([only])) => format!("`{only}`"),
        (Some(_), Some([first, rest @ ..])) => format!("`{first}` and {} more", rest.len()),
    };
    format!("{version} {name} ({says})")
}
