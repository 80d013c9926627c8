//! `Orphans`: what is done about versions that no file has.

use std::fmt::Write as _;
use std::path::PathBuf;

use async_trait::async_trait;
use gatekit_core::{
    Digest, Effect, Error, Evidence, Finding, Gate, NextAction, PlanContext, Result, StageId,
    Verdict,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::diagnosis::{Diagnosis, Orphan, Remains, diagnose};
use super::files;
use super::unattended::Unattended;
use crate::code;
use crate::database::Database;
use crate::migrations::files::folder::FolderReader;
use crate::migrations::push::deployer::Push;

/// How many orphans are told in words, and with what of each the evidence has them: it is cut off as a whole where it
/// is too long. Its digest is that of all.
const TOLD: usize = 10;

/// How many statements, and things that were looked up, the evidence has of each.
const OF_EACH: usize = 5;

/// How many more it has the versions of.
const NAMED: usize = 100;

/// The gate on versions that were applied and that no file has, which no push gets over, and what is done about
/// them.
///
/// | what of them is in the database | then |
/// |---|---|
/// | nothing that their statements create | the rows are removed by a recovery, where [`Unattended`] allows it; else the run is refused, with what a person runs |
/// | all of it | the statements become files in the folder, where [that is asked for](Self::writing_files); the run is refused: commit them, ship again |
/// | it cannot be told | the run is refused, and a person has to look |
///
/// It passes when there are none, or when the recovery may remove them. What is looked up is only whether
/// there are objects of these names. It cannot be waived: the recovery would still not do what is not allowed.
///
/// A refusal of `plan` is no failure that can be recovered from, so the push plans without the orphans, and fails
/// when it is to be applied: [`Push::leaving_orphans`]. The recovery finds out by itself once more, and repairs
/// nothing that this gate would not pass.
///
/// # Default
/// The id `orphans`; nothing is done without a person; no files are written.
///
/// # Example
/// ```no_run
/// # fn example() -> gatekit_core::Result<()> {
/// use gatekit_core::{Pipeline, Replan, enforced, on};
/// use gatekit_supabase::migrations::{Orphans, Push, Repair, RestoreRows, Unattended};
/// use gatekit_supabase::{Database, code};
///
/// let database = Database::at("postgres://postgres@db.example.org/postgres")?;
/// let push = Push::new(database, "supabase/migrations")?.leaving_orphans();
/// let orphans = Orphans::of(&push)?.unattended(Unattended::none().reverted_on("preview/*"));
/// let repair = Repair::orphans(&orphans)?;
/// let back = RestoreRows::of(&repair);
/// let pipeline = Pipeline::to("preview/db")
///     .gate(enforced(orphans))
///     .deploy(push)
///     .irreversible("a migration is mended by the next one")
///     .recover(on(code::ORPHANED).deploy(repair).rollback_with(back).then(Replan).at_most(2))
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "give it to `enforced(..)`, and to `Repair::orphans`"]
pub struct Orphans {
    id: StageId,
    pub(in crate::migrations) database: Database,
    folder: FolderReader,
    unattended: Unattended,
    writes: bool,
}

/// Why a run does not get over its orphans.
#[derive(Debug)]
struct Way {
    code: gatekit_core::Code,
    says: String,
    next: NextAction,
}

impl Orphans {
    /// The orphans of that push.
    ///
    /// # Errors
    /// None: the id is valid.
    pub fn of(push: &Push) -> Result<Self> {
        Ok(Self {
            id: StageId::new("orphans")?,
            database: push.database.clone(),
            folder: push.folder.clone(),
            unattended: Unattended::none(),
            writes: false,
        })
    }

    /// Gives it another id.
    pub fn with_id(mut self, id: StageId) -> Self {
        self.id = id;
        self
    }

    /// Sets what may be done without a person.
    pub fn unattended(mut self, unattended: Unattended) -> Self {
        self.unattended = unattended;
        self
    }

    /// Writes the files of orphans that are all there when the gate is asked, also by a preview that asks the gates:
    /// `VERSION_NAME.sql`, never over what is there, and through no link. The database is not touched.
    pub fn writing_files(mut self) -> Self {
        self.writes = true;
        self
    }

    /// Reads the folder and the history, and looks up what the orphans have created, until `deadline`. Writes
    /// nothing; idempotent and cancel-safe.
    ///
    /// # Errors
    /// Those of a folder; `migration.history`; `database.*`.
    pub async fn diagnose(&self, deadline: Instant) -> Result<Diagnosis> {
        diagnose(&self.database, &self.folder, deadline).await
    }

    /// Writes the statements of these orphans as files into the folder, all or none, and tells where. They are
    /// split into the same statements, so that a push takes them for what was applied.
    ///
    /// # Errors
    /// `migration.orphans_unclear` when not all of what they create is there; `migration.not_written` when the folder
    /// is a link, a file is there, or a name or a statement cannot be that of a file.
    pub fn write_files(&self, diagnosis: &Diagnosis) -> Result<Vec<PathBuf>> {
        if diagnosis.remains() != Some(Remains::Everything) {
            let what = "files are made only of orphans that are all there";
            let error = Error::new(code::ORPHANS_UNCLEAR, what).with_effect(Effect::None);
            return Err(error.with_context("versions", diagnosis.versions().join(", ")));
        }
        let made = files::make(self.folder.dir(), &diagnosis.orphans)?;
        files::write(self.folder.dir(), &made)?;
        Ok(made.into_iter().map(|it| it.path).collect())
    }

    /// The configuration that matters.
    pub(in crate::migrations) fn described(&self) -> Value {
        json!({
            "database": self.database.name(), "unattended": self.unattended, "writes": self.writes,
        })
    }

    /// The versions that may be repaired now.
    ///
    /// # Errors
    /// What stands in the way.
    pub(in crate::migrations) async fn repairable(&self, cx: &PlanContext) -> Result<Vec<String>> {
        let diagnosis = self.diagnose(cx.deadline()).await?;
        match self.way(cx, &diagnosis) {
            None => Ok(diagnosis.orphans.into_iter().map(|it| it.version).collect()),
            Some(Way { code, says, next }) => {
                Err(Error::new(code, says).with_effect(Effect::None).with_next(next))
            }
        }
    }

    /// What stands in the way; nothing where there are no orphans, or they may be removed.
    fn way(&self, cx: &PlanContext, diagnosis: &Diagnosis) -> Option<Way> {
        let versions = diagnosis.versions().join(" ");
        let told = told(diagnosis);
        let reverted = format!("repair --status reverted {versions}");
        Some(match diagnosis.remains()? {
            Remains::Nothing if self.unattended.allows_reverted(cx.candidate()) => return None,
            Remains::Nothing => Way {
                code: code::ORPHANS_ABSENT,
                says: format!(
                    "no file has these versions, and nothing of them is in the database: {told}"
                ),
                next: NextAction::outside(format!("`{reverted}`, then ship again")).by("operator"),
            },
            Remains::Everything => Way {
                code: code::ORPHANS_PRESENT,
                says: format!("no file has these versions, and the database has them: {told}"),
                next: NextAction::outside(
                    "bring their files here, as by `git pull` or as they are in the history; \
                     commit these files, ship again",
                ),
            },
            Remains::Unclear => Way {
                code: code::ORPHANS_UNCLEAR,
                says: format!(
                    "no file has these versions, and whether the database has them cannot be told: \
                     {told}"
                ),
                next: NextAction::outside(format!(
                    "look whether they are applied: bring their files here if they are, or \
                     `{reverted}`; then ship again"
                ))
                .by("operator"),
            },
        })
    }

    /// What the gate saw, with what it has written.
    fn evidence(&self, diagnosis: &Diagnosis, written: &[PathBuf]) -> Evidence {
        let orphans = &diagnosis.orphans;
        let written: Vec<_> = written.iter().map(|it| it.display().to_string()).collect();
        let all = json!({ "orphans": orphans, "written": written });
        let short = |it: &Orphan| {
            let statements: Vec<_> = it.statements.iter().take(OF_EACH).collect();
            let looked_up: Vec<_> = it.looked_up.iter().take(OF_EACH).collect();
            json!({
                "version": it.version, "remains": it.remains, "statements": statements,
                "looked_up": looked_up,
            })
        };
        let others = orphans.iter().skip(TOLD).take(NAMED).map(|it| &it.version);
        let facts = json!({
            "orphans": orphans.iter().take(TOLD).map(short).collect::<Vec<_>>(),
            "others": others.collect::<Vec<_>>(), "orphans_in_all": orphans.len(),
            "written": written.iter().take(TOLD).collect::<Vec<_>>(),
        });
        let source = format!("supabase_migrations.schema_migrations of {}", self.database.name());
        Evidence::digested(source, Digest::of_json(&all), facts)
    }
}

#[async_trait]
impl Gate for Orphans {
    fn id(&self) -> StageId {
        self.id.clone()
    }

    fn describe(&self) -> Value {
        json!({ "orphans": self.described() })
    }

    fn may_be_waived(&self) -> bool {
        false
    }

    /// # Errors
    /// As [`Orphans::diagnose`].
    async fn check(&self, cx: &PlanContext) -> Result<Verdict> {
        let diagnosis = self.diagnose(cx.deadline()).await?;
        let Some(Way { code, mut says, mut next }) = self.way(cx, &diagnosis) else {
            return Ok(Verdict::pass([self.evidence(&diagnosis, &[])]));
        };
        let mut written = Vec::new();
        if self.writes && code == code::ORPHANS_PRESENT {
            match self.write_files(&diagnosis) {
                Ok(paths) => {
                    let names: Vec<_> =
                        paths.iter().map(|it| format!("`{}`", it.display())).collect();
                    next = NextAction::outside(format!(
                        "commit these files, ship again: {}",
                        names.join(", ")
                    ));
                    written = paths;
                }
                Err(error) => drop(write!(says, "; no files are written: {error}")),
            }
        }
        let evidence = self.evidence(&diagnosis, &written);
        let finding = Finding::new(code.clone(), says).with_evidence([evidence]).with_next(next);
        let is_told = code != code::ORPHANS_UNCLEAR;
        Ok(if is_told { Verdict::Fail(finding) } else { Verdict::Inconclusive(finding) })
    }
}

/// The orphans, for people.
fn told(diagnosis: &Diagnosis) -> String {
    let orphans = &diagnosis.orphans;
    let mut told: Vec<_> = orphans
        .iter()
        .take(TOLD)
        .map(|it| {
            let name = it.name.as_deref().unwrap_or("-");
            let seen = if it.looked_up.is_empty() {
                "no statements".to_owned()
            } else {
                it.looked_up.join("; ")
            };
            format!("{} {name} ({seen})", it.version)
        })
        .collect();
    if orphans.len() > TOLD {
        told.push(format!("and {} more", orphans.len() - TOLD));
    }
    told.join(", ")
}
