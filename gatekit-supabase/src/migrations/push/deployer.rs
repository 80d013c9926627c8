//! `Push`, the deployer of migrations.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::pin::pin;
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::{
    ApplyContext, Deployer, Digest, Effect, Error, Live, Location, PlanContext, Planned, Result,
    Rollout, StageId,
};
use serde_json::{Value, json};
use tokio::select;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::alone::{self, unfinished};
use super::apply::{Applying, Became, Limits, Step};
use super::change::{Before, Pending, PushChange, PushReceipt, live};
use super::pooler;
use crate::code;
use crate::database::Database;
use crate::migrations::PendingFiles;
use crate::migrations::files::file::File;
use crate::migrations::files::folder::{Folder, FolderReader, misnamed};
use crate::migrations::files::merge::{Applied, merge};
use crate::migrations::files::mode::Mode;
use crate::migrations::history::progress::{Progress, Way};
use crate::migrations::history::{self, History, READING, SHAPE, Shape, Texts};

/// How many versions a message names.
const NAMED: usize = 10;

const ORPHANED: &str = "versions were applied that no file has";

/// Applies the migrations of a folder that a database has not got yet.
///
/// History and files are those of the Supabase CLI. Each file is one transaction, and its row in the history
/// with it: a file is applied as a whole and recorded, or neither. The push holds a lock on the history that no
/// other push of gatekit gets, also when this process is gone and the server still works for it; under that
/// lock the history is read again first. When an answer is lost, the history is read, and never guessed.
///
/// Statements are sent before the answers to those before them, 16 of them or 64 KiB at most, and with them the
/// commit, where another file comes next: the server refuses it when one of them fails. A server on Linux, from
/// PostgreSQL 14 on, stops within seconds when the process that pushes is gone. While the last file is applied, a
/// second connection is made for the look at the history that comes after it; one that nobody uses for ten seconds is
/// closed.
///
/// The change has landed when the history has every file of it, by what their statements say. Whoever else
/// has applied the same file has applied it: the table does not tell who it was.
///
/// # Files that allow no transaction
/// Those of [`Mode::NonTransactional`] are applied statement by statement, on a session of their own, which a
/// pooler must not share. How far one is, is kept in `supabase_migrations.gatekit_progress` while it is under
/// way: it goes on from there, by the same run or another. Whether a statement is done whose end nobody has
/// seen, the database shows: an index that was not finished is dropped and built again. Where it cannot,
/// `migration.cannot_tell` says so.
///
/// # What stops a plan
/// Files that were applied and edited since, versions that no file has, and files older than the newest that
/// is applied.
///
/// # Example
/// ```no_run
/// # fn example() -> gatekit_core::Result<()> {
/// use gatekit_core::Pipeline;
/// use gatekit_supabase::{Database, migrations::Push};
///
/// let database = Database::at("postgres://postgres@db.example.org/postgres")?;
/// let pipeline = Pipeline::to("production/db")
///     .deploy(Push::new(database, "supabase/migrations")?)
///     .irreversible("a migration is mended by the next one")
///     .build()?;
/// # Ok(())
/// # }
/// ```
///
/// A project that keeps files which take others back has a way back: [`Down`](crate::migrations::Down).
#[derive(Debug, Clone)]
#[must_use = "give it to `.deploy`"]
pub struct Push {
    id: StageId,
    pub(in crate::migrations) database: Database,
    pub(in crate::migrations) folder: FolderReader,
    allows_out_of_order: bool,
    leaves_orphans: bool,
    pub(in crate::migrations) limits: Limits,
}

impl Push {
    /// A push of that folder, as `supabase/migrations`, or of one that is read otherwise than by default: see
    /// [`FolderReader`]. The id of the deploy is `migrations`.
    ///
    /// # Errors
    /// None as yet: the id is a name that can be.
    pub fn new(database: Database, folder: impl Into<FolderReader>) -> Result<Self> {
        let limits = Limits {
            lock: Duration::from_secs(10),
            statement: Duration::from_secs(600),
            turn: Duration::from_secs(60),
        };
        let id = StageId::new("migrations")?;
        Ok(Self {
            id,
            database,
            folder: folder.into(),
            allows_out_of_order: false,
            leaves_orphans: false,
            limits,
        })
    }

    /// Gives it another id.
    pub fn with_id(mut self, id: StageId) -> Self {
        self.id = id;
        self
    }

    /// Also applies files that are older than the newest that is applied.
    pub fn including_out_of_order(mut self) -> Self {
        self.allows_out_of_order = true;
        self
    }

    /// Plans although versions were applied that no file has, and fails with `migration.orphaned` when it is to
    /// be applied: for a pipeline that recovers from that, see [`Orphans`](crate::migrations::Orphans). The scope is that
    /// of the push without these versions.
    pub fn leaving_orphans(mut self) -> Self {
        self.leaves_orphans = true;
        self
    }

    /// How long a statement may wait for a lock of the database, before its file is given up.
    ///
    /// # Default
    /// 10 s.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.limits.lock = timeout;
        self
    }

    /// How long a statement may take, before its file is given up.
    ///
    /// # Default
    /// 10 minutes.
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.limits.statement = timeout;
        self
    }

    /// How long another push is waited for.
    ///
    /// # Default
    /// 60 s.
    pub fn turn_timeout(mut self, timeout: Duration) -> Self {
        self.limits.turn = timeout;
        self
    }

    /// What the folder has, and what the database says: read at once. What is wrong with the folder is told first.
    async fn both(&self, deadline: Instant) -> Result<(Folder, History)> {
        let folder = self.folder.clone();
        let mut folder = spawn_blocking(move || folder.read());
        let mut history = pin!(self.history(deadline, Texts::All));
        let (read, asked) = select! {
            read = &mut folder => (read, None),
            asked = &mut history => (folder.await, Some(asked)),
        };
        let folder = read.map_err(|source| {
            Error::new(code::UNREADABLE, "the folder was not read to its end")
                .with_effect(Effect::None)
                .with_source(source)
        })??;
        let history = match asked {
            Some(asked) => asked?,
            None => history.await?,
        };
        Ok((folder, history))
    }

    /// What the database says.
    async fn history(&self, deadline: Instant, texts: Texts<'_>) -> Result<History> {
        let unread = |error| history::unread(&self.database, error);
        let (session, said) = self.database.session(SHAPE, READING, deadline).await?;
        let shape = Shape::of(&said).map_err(unread)?;
        let history = history::read(&session.client, shape, texts).await.map_err(unread)?;
        self.database.keep(session);
        Ok(history)
    }

    /// The same under the lock, in a transaction of its own: no push is under way.
    async fn history_locked(&self, deadline: Instant, texts: Texts<'_>) -> Result<History> {
        let turn = (deadline, self.limits.turn);
        let (session, turn) = history::begin(&self.database, "READ ONLY", turn).await?;
        let history = history::read(&session.client, turn.shape, texts).await;
        // A pooler closes the connection to the server of a client that leaves in a transaction.
        let ended = session.client.batch_execute("ROLLBACK").await;
        ended.map_err(|error| self.database.failed("let the history go", error))?;
        let history = history.map_err(|error| history::unread(&self.database, error))?;
        self.database.keep(session);
        Ok(history)
    }

    /// Refuses what cannot be applied, and what was left half applied and cannot be gone on with.
    async fn check(
        &self,
        deadline: Instant,
        pending: &[&File],
        underway: &[Progress],
    ) -> Result<()> {
        let mut needs_session = false;
        for file in pending.iter().flat_map(|it| [Some(*it), it.down.as_deref()]).flatten() {
            if file.mode()? == Mode::NonTransactional {
                alone::check(file)?;
                needs_session = true;
            }
        }
        for it in underway {
            let file = pending.iter().find(|file| file.version == it.version);
            let goes_on = |file: &&&File| {
                it.way == Way::Up
                    && it.is_of(file)
                    && file.mode().is_ok_and(|it| it == Mode::NonTransactional)
            };
            match file {
                Some(file) if !goes_on(&file) => return Err(unfinished(file)),
                Some(_) => {}
                None => {
                    let what = "a migration is half applied, or half taken back, and none of what is pending";
                    return Err(Error::new(code::UNFINISHED, what)
                        .with_effect(Effect::None)
                        .with_context("version", &it.version)
                        .with_context("database", self.database.name()));
                }
            }
        }
        if needs_session {
            let session = self.database.connect(deadline).await?;
            pooler::refuse(&self.database, &session, deadline).await?;
        }
        Ok(())
    }

    /// The files of the change as they are in the folder.
    pub(in crate::migrations) fn files(&self, change: &PushChange) -> Result<Vec<File>> {
        let mut found = self.folder.read()?.files;
        let planned: BTreeSet<_> = change.files.iter().map(|it| &it.version).collect();
        found.retain(|file| planned.contains(&file.version));
        let there: BTreeMap<_, _> = found.iter().map(|it| (&it.version, Pending::of(it))).collect();
        match change.files.iter().find(|it| there.get(&it.version) != Some(it)) {
            None => Ok(found),
            Some(changed) => {
                let what = "a file is not the one that was planned";
                Err(Error::new(code::CHANGED, what)
                    .with_effect(Effect::None)
                    .with_context("version", &changed.version)
                    .with_context("folder", self.folder.dir().display()))
            }
        }
    }

    pub(in crate::migrations) async fn where_it_stands(
        &self,
        cx: &PlanContext,
        change: &PushChange,
    ) -> Result<Location> {
        self.database.is_planned(&change.database)?;
        let texts = change.versions();
        // What is recorded stays, where nothing takes it back: somebody else who has the lock changes nothing of
        // that.
        if change.files.iter().all(|it| it.down.is_none()) {
            let history = self.history(cx.deadline(), Texts::Of(&texts)).await?;
            if change.locate(&history) == Location::After {
                return Ok(Location::After);
            }
        }
        match self.history_locked(cx.deadline(), Texts::Of(&texts)).await {
            Ok(history) => Ok(change.locate(&history)),
            Err(error) if *error.code() == code::LOCKED => Ok(Location::Unknown(error.to_string())),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Deployer for Push {
    type Change = PushChange;
    type Receipt = PushReceipt;

    fn id(&self) -> StageId {
        self.id.clone()
    }

    fn describe(&self) -> Value {
        json!({
            "kind": "supabase_push", "database": self.database.name(),
            "out_of_order": self.allows_out_of_order, "leaves_orphans": self.leaves_orphans,
        })
    }

    /// Reads the folder and the history.
    ///
    /// # Errors
    /// `migration.orphaned`, `.drifted`, `.out_of_order`, `.history`, `.pooled`, `.unfinished`; what is wrong with a file, of the area
    /// `migration`; `database.*`.
    async fn plan(&self, cx: &PlanContext) -> Result<Planned<PushChange>> {
        let (folder, history) = self.both(cx.deadline()).await?;
        let (Folder { files, skipped, .. }, History { rows, underway, .. }) = (folder, history);
        let before = Before::of(rows.iter().map(|row| row.version.as_str()));
        // Without those that are left to a recovery: what is pending is the same before it and after it.
        let is_left = |row: &Applied| {
            self.leaves_orphans && !files.iter().any(|file| file.version == row.version)
        };
        let (left, rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(is_left);
        let orphans: Vec<_> = left.into_iter().map(|row| row.version).collect();
        let merged = merge(&rows, &files);
        let database = self.database.name();
        let refused = |code, what: &str, versions: Vec<&str>| {
            Err(Error::new(code, what)
                .with_effect(Effect::None)
                .with_context("versions", several(&versions))
                .with_context("database", &database))
        };
        if !merged.orphans.is_empty() {
            let versions = merged.orphans.iter().map(|it| it.version.as_str()).collect();
            return refused(code::ORPHANED, ORPHANED, versions);
        }
        if !merged.drifted.is_empty() {
            let versions = merged.drifted.iter().map(|(file, _)| file.version.as_str()).collect();
            return refused(code::DRIFTED, "files were edited after they were applied", versions);
        }
        if !merged.out_of_order.is_empty() && !self.allows_out_of_order {
            let versions = merged.out_of_order.iter().map(|it| it.version.as_str()).collect();
            let what = "files are older than the newest that is applied";
            return refused(code::OUT_OF_ORDER, what, versions);
        }
        let pending = merged.unapplied();
        self.check(cx.deadline(), &pending, &underway).await?;
        let files: Vec<_> = pending.iter().map(|it| Pending::of(it)).collect();
        let named = |it: &&File| match underway.iter().find(|half| half.version == it.version) {
            Some(half) => format!("{} from statement {} on", it.file_name(), half.done + 1),
            None => it.file_name(),
        };
        let names: Vec<_> = pending.iter().map(named).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let mut summary = match names.as_slice() {
            [] => format!("{database}: nothing is pending"),
            names => format!("{database}: {}", several(names)),
        };
        let misnamed = misnamed(&skipped);
        if !misnamed.is_empty() {
            let misnamed: Vec<_> = misnamed.iter().map(String::as_str).collect();
            let _ = write!(summary, "; no migrations by their names: {}", several(&misnamed));
        }
        let scope = json!({ "database": database, "files": &files });
        Ok(Planned {
            scope: Digest::of_json(&scope),
            summary,
            change: PushChange { database, files, orphans, before },
        })
    }

    /// Applies the files that are not applied yet, one transaction each where they allow one.
    ///
    /// # Errors
    /// With [`Effect::None`] when nothing was applied, and [`Effect::Done`] when something before what failed
    /// was: `migration.failed` with the place in the file, `.changed`, `.elsewhere`, `.locked`, `.deadline`,
    /// `.history` when the server keeps a file's row away; of files that allow no transaction, `.pooled`, `.unfinished`, `.lock_lost` and `.session_gone`;
    /// `.orphaned` of a push [that leaves orphans](Push::leaving_orphans); `run.interrupted`; `database.*`. With
    /// [`Effect::Unknown`], `migration.cannot_tell`, and `.elsewhere` when a lost answer cannot be told from what
    /// somebody else has applied since.
    async fn apply(
        &self,
        cx: &ApplyContext,
        change: &PushChange,
        _: Option<&PushReceipt>,
    ) -> Result<PushReceipt> {
        self.database.is_planned(&change.database)?;
        if !change.orphans.is_empty() {
            let versions: Vec<_> = change.orphans.iter().map(String::as_str).collect();
            return Err(Error::new(code::ORPHANED, ORPHANED)
                .with_effect(Effect::None)
                .with_context("versions", several(&versions))
                .with_context("database", &change.database));
        }
        let files = self.files(change)?;
        let mut receipt = PushReceipt::default();
        let mut has_written = false;
        let mut applying = Applying::new(&self.database, cx, change, self.limits);
        let steps = files.iter().map(Step::up).collect::<Result<Vec<_>>>()?;
        for (number, step) in steps.iter().enumerate() {
            let file = step.file;
            cx.progress(format!("{} ({} of {})", file.file_name(), number + 1, files.len()));
            let next = steps.get(number + 1).copied();
            if next.is_none() {
                // That of the files is not as a new one any more, and what comes after them looks.
                self.database.connect_ahead(SHAPE);
            }
            let became = applying.take(*step, next).await.map_err(|error| {
                let is_clean = error.effect() == Effect::None;
                if is_clean && has_written { error.with_effect(Effect::Done) } else { error }
            })?;
            has_written |= became == Became::Done;
            receipt.applied.push(file.version.clone());
        }
        Ok(receipt)
    }

    /// Reads the history once more.
    async fn observe(
        &self,
        cx: &PlanContext,
        change: &PushChange,
        _: &PushReceipt,
    ) -> Result<Rollout> {
        Ok(match self.where_it_stands(cx, change).await? {
            Location::After => Rollout::Settled,
            Location::Elsewhere(live) => Rollout::Superseded { by: live.to_string() },
            other => Rollout::Failed(format!("the history says: {other}")),
        })
    }

    async fn locate(
        &self,
        cx: &PlanContext,
        change: &PushChange,
        _: Option<&PushReceipt>,
    ) -> Result<Location> {
        self.where_it_stands(cx, change).await
    }

    /// Waits until no push is under way: what a process that is gone had begun is over then.
    async fn fence_off(&self, cx: &ApplyContext) -> Result<()> {
        self.history_locked(cx.deadline(), Texts::Of(&[])).await.map(drop)
    }

    async fn live(&self, cx: &PlanContext) -> Result<Option<Live>> {
        let rows = self.history(cx.deadline(), Texts::Of(&[])).await?.rows;
        Ok(rows.iter().max_by(|a, b| a.version.cmp(&b.version)).map(live))
    }
}

#[async_trait]
impl PendingFiles for Push {
    fn describe(&self) -> Value {
        Deployer::describe(self)
    }

    async fn pending(&self, cx: &PlanContext) -> Result<Vec<File>> {
        let (Folder { files, .. }, History { rows, .. }) = self.both(cx.deadline()).await?;
        Ok(merge(&rows, &files).unapplied().into_iter().cloned().collect())
    }
}

/// The first of them, and how many more there are.
pub(in crate::migrations) fn several(names: &[&str]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let named = names.get(..names.len() - more).unwrap_or_default().join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}
