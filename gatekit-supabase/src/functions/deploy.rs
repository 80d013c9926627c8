//! `Deploy`, the deployer of edge functions.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::{
    ApplyContext, Deployer, Digest, Effect, Error, Live, Location, NextAction, PlanContext,
    Planned, Result, Rollout, StageId, Verb,
};
use serde_json::{Value, json};

use super::change::{Former, FunctionChange, FunctionsChange, FunctionsReceipt, live_of};
use super::config::Config;
use super::files::{self, Found};
use super::keep::Keep;
use super::paths::Root;
use super::source::Function;
use super::writing::Writing;
use crate::code;
use crate::management::{Deployed, Project, Status, is_artefact};

/// How long the API may go on with a call after nobody waits for its answer any more.
const LATENESS: Duration = Duration::from_secs(150);

/// Deploys edge functions of a project: the server bundles their files.
///
/// The files are those that the Supabase CLI finds: the entrypoint, what it imports of the project, the import
/// map, the static files. They are read when the change is planned, and their digests are part of it: when a
/// file is another one by then, `apply` refuses.
///
/// A single function is bundled and made live by one call. Several are bundled first, and then one call makes
/// all of them live together. A write whose answer is lost is read back, and a deploy is never sent twice: what
/// is live is not taken for what stays live until the API cannot go on with it any more.
///
/// To bundle takes a version, and the API refuses what is deployed after one that was left. Where one of several
/// functions cannot be bundled, the others are therefore made live all the same, for the way back to undo.
///
/// `verify_jwt` is always sent: as configured, or else as it is. A function that treats tokens otherwise
/// afterwards has not been deployed: `functions.verify_jwt`.
///
/// The API keeps no earlier version. So what is live is read when the change is planned, and kept in a folder on
/// this machine, by its checksum, for [`Restore`](super::Restore). What a run that is resumed needs is there,
/// too: where runs go on on other machines, they have to share it. Nothing in it is removed.
///
/// The deploy has landed when each function has the artefact that was made of these files, demands tokens as
/// wished, and is active. The same files count as live when what the server made of them last is: what they
/// import from elsewhere may be newer by now.
///
/// # Example
/// ```no_run
/// # fn example() -> gatekit_core::Result<()> {
/// use gatekit_core::Pipeline;
/// use gatekit_supabase::functions::{Deploy, Function, Restore};
/// use gatekit_supabase::Management;
/// use secrecy::SecretString;
///
/// let project = Management::new(&SecretString::from("sbp_token"))?.project("abcdefghijklmnopqrst")?;
/// let functions = [Function::new("hello")?, Function::new("webhook")?.with_verify_jwt(false)];
/// let deploy = Deploy::new(&project, ".", "/var/lib/deploy/functions", functions)?;
/// let back = Restore::of(&deploy);
/// let pipeline = Pipeline::to("production/api").deploy(deploy).rollback_with(back).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "give it to `.deploy`"]
pub struct Deploy {
    id: StageId,
    pub(super) project: Project,
    root: PathBuf,
    pub(super) keep: Keep,
    functions: Vec<Function>,
}

impl Deploy {
    /// A deploy of these functions, whose files are below `root`, the folder that has `supabase` in it; what is
    /// replaced is kept in the folder `keep`. The id of the deploy is `functions`.
    ///
    /// # Errors
    /// `functions.config` without functions, or with one of them twice.
    pub fn new(
        project: &Project,
        root: impl Into<PathBuf>,
        keep: impl Into<PathBuf>,
        functions: impl IntoIterator<Item = Function>,
    ) -> Result<Self> {
        let functions: Vec<_> = functions.into_iter().collect();
        let mut slugs: Vec<_> = functions.iter().map(|it| &it.slug).collect();
        slugs.sort_unstable();
        slugs.dedup();
        if slugs.is_empty() || slugs.len() < functions.len() {
            let what = "a deploy has no functions, or one of them twice";
            return Err(Error::new(code::FUNCTIONS_CONFIG, what).with_effect(Effect::None));
        }
        Ok(Self {
            id: StageId::new("functions")?,
            project: project.clone(),
            root: root.into(),
            keep: Keep::at(keep.into(), project.write_timeout().saturating_add(LATENESS)),
            functions,
        })
    }

    /// Gives it another id: a pipeline with two of them needs that.
    pub fn with_id(mut self, id: StageId) -> Self {
        self.id = id;
        self
    }

    /// Lets the API go on for so long with a call whose answer nobody waits for any more. Until then nobody
    /// says that what was live before stays live: `apply` waits, and where the deadline does not allow that, the
    /// target is suspect.
    ///
    /// # Default
    /// 150 s, after those that an answer may take.
    pub fn with_lateness(mut self, lateness: Duration) -> Self {
        let longest = self.project.write_timeout().saturating_add(lateness);
        self.keep = self.keep.with_longest(longest);
        self
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.functions.iter().map(|it| &*it.slug)
    }

    /// The names of its functions, for people.
    pub(super) fn slugs(&self) -> String {
        self.names().collect::<Vec<_>>().join(", ")
    }

    fn find(&self) -> Result<Vec<(&Function, Found)>> {
        let root = Root::open(&self.root)?;
        let config = Config::read(&root, self.project.reference())?;
        let found = self.functions.iter().map(|it| Ok((it, files::find(&root, &config, it)?)));
        found.collect()
    }

    /// The files of a function as they were planned.
    pub(super) fn files_of(&self, planned: &FunctionChange) -> Result<Vec<(String, Vec<u8>)>> {
        let changed = |file: &str| {
            let what = "a file of a function is not the one that was planned";
            Error::new(code::FUNCTIONS_CHANGED, what)
                .with_effect(Effect::None)
                .with_context("function", &planned.slug)
                .with_context("file", file)
        };
        let root = Root::open(&self.root)?;
        let files = planned.files.iter().map(|sent| {
            let bytes = root.read(&sent.path, "", files::LARGEST)?;
            let is_same = Digest::of(&bytes) == sent.digest;
            if is_same { Ok((sent.path.clone(), bytes)) } else { Err(changed(&sent.path)) }
        });
        files.collect()
    }

    /// What is deployed now, with its artefact kept.
    async fn former(&self, cx: &PlanContext, live: &Deployed) -> Result<Former> {
        let Some(verify_jwt) = live.verify_jwt else {
            let what = "the API does not tell whether the function demands JSON web tokens";
            return Err(Error::new(code::FUNCTIONS_VERIFY_JWT, what)
                .with_effect(Effect::None)
                .with_context("function", &live.slug));
        };
        let (kept, not_kept) = match self.kept(cx, live).await? {
            Ok(kept) => (Some(kept), None),
            Err(why) => (None, Some(why)),
        };
        Ok(Former {
            id: live.id.clone(),
            name: live.name.clone(),
            version: live.version,
            checksum: live.checksum.clone(),
            verify_jwt,
            throttled: live.status == Status::Throttled,
            import_map: live.import_map,
            entrypoint_path: live.entrypoint_path.clone(),
            import_map_path: live.import_map_path.clone(),
            kept,
            not_kept,
        })
    }

    /// Keeps the artefact that is live; the inner `Err` says why it is not kept.
    async fn kept(&self, cx: &PlanContext, live: &Deployed) -> Result<Result<Digest, String>> {
        if let Some(checksum) = live.checksum.as_ref().filter(|it| self.keep.has_artefact(it)) {
            return Ok(Ok(checksum.clone()));
        }
        let body = match self.project.body(&live.slug, cx.deadline()).await? {
            Ok(body) => body,
            Err(why) => return Ok(Err(why)),
        };
        let digest = Digest::of(&body);
        let slug = &live.slug;
        match &live.checksum {
            Some(checksum) if *checksum != digest => {
                return Ok(Err(format!("the body of `{slug}` is not what its checksum is of")));
            }
            // Whatever answered with it.
            None if !is_artefact(&body) => {
                return Ok(Err(format!("the body of `{slug}` is no artefact")));
            }
            _ => {}
        }
        self.keep.keep_artefact(&digest, &body)?;
        Ok(Ok(digest))
    }

    pub(super) fn is_of_project(&self, change: &FunctionsChange) -> Result<()> {
        let given = self.project.place();
        if given == change.project {
            return Ok(());
        }
        Err(Error::new(code::CONFIG, "the change was planned for another project")
            .with_effect(Effect::None)
            .with_context("planned", &change.project)
            .with_context("given", given)
            .with_next(NextAction::verb(Verb::Resume, &[]).by("operator")))
    }

    pub(super) async fn where_it_stands(
        &self,
        cx: &PlanContext,
        change: &FunctionsChange,
        receipt: Option<&FunctionsReceipt>,
    ) -> Result<Location> {
        self.is_of_project(change)?;
        let live = self.project.functions(change.slugs(), cx.deadline()).await?;
        Ok(change.standings(&live, receipt, &self.keep)?.location())
    }
}

#[async_trait]
impl Deployer for Deploy {
    type Change = FunctionsChange;
    type Receipt = FunctionsReceipt;

    fn id(&self) -> StageId {
        self.id.clone()
    }

    fn describe(&self) -> Value {
        let functions: Vec<_> = self.functions.iter().map(Function::describe).collect();
        json!({
            "kind": "supabase_functions", "project": self.project.place(), "functions": functions,
        })
    }

    /// Reads the files and what is live, and keeps the artefacts that are live on this machine.
    ///
    /// # Errors
    /// What is wrong with a file, of the area `functions`; `functions.verify_jwt` when the API does not tell it;
    /// `functions.keep`; `supabase.*`.
    async fn plan(&self, cx: &PlanContext) -> Result<Planned<FunctionsChange>> {
        let found = self.find()?;
        let live = self.project.functions(self.names(), cx.deadline()).await?;
        let (mut functions, mut scopes, mut told) = (Vec::new(), Vec::new(), Vec::new());
        for (function, found) in &found {
            let slug = &function.slug;
            let before = match live.iter().find(|it| it.slug == *slug) {
                Some(live) => Some(self.former(cx, live).await?),
                None => None,
            };
            // Who says nothing keeps what is; a new function is open to nobody by mistake.
            let is = before.as_ref().map(|it| it.verify_jwt);
            let verify_jwt = found.verify_jwt.or(is).unwrap_or(true);
            let files = found.files.len();
            told.push(match is {
                None => format!("{slug}: new, {files} files, verify_jwt {verify_jwt}"),
                Some(is) if is == verify_jwt => format!("{slug}: {files} files"),
                Some(is) => format!("{slug}: {files} files, verify_jwt {is} -> {verify_jwt}"),
            });
            let change = FunctionChange::new(slug, found, verify_jwt, before);
            scopes.push(json!({
                "slug": slug, "source": change.source, "verify_jwt": found.verify_jwt,
            }));
            functions.push(change);
        }
        let project = self.project.place();
        let scope = json!({ "project": project, "functions": scopes });
        Ok(Planned {
            scope: Digest::of_json(&scope),
            summary: format!("{}: {}", self.project.reference(), told.join("; ")),
            change: FunctionsChange { project, run: cx.run(), functions },
        })
    }

    /// Deploys the functions, and reads that they are live.
    ///
    /// # Errors
    /// With [`Effect::None`] unless something was written before: `functions.changed`, `functions.elsewhere`,
    /// `functions.keep`, and what the API refuses. With [`Effect::Done`]: `functions.verify_jwt`, and
    /// `functions.elsewhere` when somebody else deployed right after. `functions.cannot_tell` when no answer came
    /// and what is live does not tell, or may still change.
    async fn apply(
        &self,
        cx: &ApplyContext,
        change: &FunctionsChange,
        earlier: Option<&FunctionsReceipt>,
    ) -> Result<FunctionsReceipt> {
        self.is_of_project(change)?;
        let writing = Writing::new(self, cx, change);
        writing.apply(earlier).await.map_err(|error| writing.written.told_with(error))
    }

    /// Reads the functions once more.
    async fn observe(
        &self,
        cx: &PlanContext,
        change: &FunctionsChange,
        receipt: &FunctionsReceipt,
    ) -> Result<Rollout> {
        Ok(match self.where_it_stands(cx, change, Some(receipt)).await? {
            Location::After => Rollout::Settled,
            Location::Elsewhere(live) => Rollout::Superseded { by: live.to_string() },
            other => Rollout::Failed(format!("the functions are {other}")),
        })
    }

    async fn locate(
        &self,
        cx: &PlanContext,
        change: &FunctionsChange,
        receipt: Option<&FunctionsReceipt>,
    ) -> Result<Location> {
        self.where_it_stands(cx, change, receipt).await
    }

    async fn live(&self, cx: &PlanContext) -> Result<Option<Live>> {
        let live = self.project.functions(self.names(), cx.deadline()).await?;
        // In the order of the deploy, as `locate` has them.
        let own = self.functions.iter().filter_map(|it| live.iter().find(|of| of.slug == it.slug));
        Ok(live_of(own))
    }
}
