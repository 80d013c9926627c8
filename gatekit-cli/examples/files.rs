//! A deploy tool for two targets that are files: what is released is written into the file. Small
//! enough to be read whole, and the program that the tests of this crate call.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use async_trait::async_trait;
use gatekit_cli::{App, Env};
use gatekit_core::{
    ApplyContext, Approval, Code, Deployer, Digest, Error, Evidence, Finding, Live, Location,
    Pipeline, PlanContext, Planned, Result, Reversibility, Rollback, Rollout, StageId, Verdict,
    enforced, gate_fn,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What is released.
#[derive(Debug, clap::Args, Serialize, Deserialize)]
struct Release {
    /// The text to release
    #[arg(long, value_name = "TEXT")]
    text: String,
    /// The words that must not be in it
    #[arg(long, value_name = "WORD")]
    forbid: Vec<String>,
    /// The words that somebody has to answer for
    #[arg(long, value_name = "WORD")]
    doubt: Vec<String>,
    /// Append a full stop
    #[arg(long)]
    dot: bool,
    /// How loud
    #[arg(long, short, action = clap::ArgAction::Count)]
    loud: u8,
    /// Who signs it
    #[arg(long, default_value = "nobody", env = "FILES_SIGNED_BY")]
    signed_by: String,
    /// What the store asks for: never journalled
    #[arg(long, env = "FILES_TOKEN", required = true)]
    #[serde(skip)]
    token: Option<SecretString>,
}

/// Where the files are.
#[derive(Debug, clap::Args)]
struct Place {
    /// The directory of the targets
    #[arg(long, global = true, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

/// What of a file is shown.
#[derive(Debug, clap::Args)]
struct Show {
    /// How often
    #[arg(long, value_name = "N", default_value_t = 1)]
    times: usize,
}

#[derive(Debug, Serialize)]
struct Shown {
    text: String,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// There is nothing to show.
const NO_FILE: Code = Code::new("files.none");

fn main() -> ExitCode {
    App::new("files")
        .about("Releases a text into a file.")
        .version(env!("CARGO_PKG_VERSION"))
        .args::<Place>()
        .ledger(|env| Ok(env.args::<Place>()?.dir.join("ledger.db")))
        .pipeline("staging", async |release: Release, env: Env| {
            let file = TextFile::of(&release, &env)?;
            Pipeline::to(env.target().as_str())
                .gate(enforced(words(release.forbid, release.doubt)?))
                .deploy(file.clone())
                .rollback_with(Former)
                .verify(enforced(still(file)?))
                .build()
        })
        .look("show", "Print what is in the file", async |show: Show, env: Env| {
            let path = env.args::<Place>()?.dir.join(env.target().as_str());
            let text = fs::read_to_string(path);
            let text =
                text.map_err(|error| Error::new(NO_FILE, "there is no file").with_source(error))?;
            Ok(Shown { text: text.repeat(show.times) })
        })
        .pipeline("production", async |release: Release, env: Env| {
            let file = TextFile::of(&release, &env)?;
            Pipeline::to(env.target().as_str())
                .gate(enforced(Approval::quorum(1)))
                .deploy(file.clone())
                .rollback_with(Former)
                .verify(enforced(still(file)?))
                .build()
        })
        .run()
}

/// A gate that refuses a text with one of those words in it, or waits until somebody has answered for
/// one.
fn words(forbid: Vec<String>, doubt: Vec<String>) -> Result<impl gatekit_core::Gate> {
    let described = json!([forbid, doubt]);
    let gate = gate_fn("words", move |cx| {
        let text = cx.candidate().inputs.get("text").cloned().unwrap_or_default();
        let find = |words: &[String]| {
            let found = words.iter().find(|word| text.contains(word.as_str()));
            found.map(|word| Finding::new(FORBIDDEN, format!("`{word}` is in it")))
        };
        let verdict = match (find(&forbid), find(&doubt)) {
            (Some(found), _) => Verdict::Fail(found),
            (None, Some(found)) => Verdict::Wait(found),
            _ => Verdict::pass([Evidence::read("text", "candidate", json!(text.len()))]),
        };
        async { Ok(verdict) }
    })?;
    Ok(gate.described(described))
}

/// A verification that the file holds what was released.
fn still(file: TextFile) -> Result<impl gatekit_core::Gate> {
    gate_fn("still", move |_| {
        let file = file.clone();
        async move {
            let wanted = Some(file.text.clone());
            Ok(match file.read()? {
                found if found == wanted => {
                    Verdict::pass([Evidence::read("file", "disk", json!(found))])
                }
                _ => Verdict::Fail(Finding::new(CHANGED, "the file holds something else")),
            })
        }
    })
}

const FORBIDDEN: Code = Code::new("files.forbidden");
const CHANGED: Code = Code::new("files.changed");
const IO: Code = Code::new("files.io");

/// The deployer: a file that holds a text.
#[derive(Debug, Clone)]
struct TextFile {
    id: StageId,
    path: PathBuf,
    text: String,
}

/// What was there, and what shall be.
#[derive(Debug, Serialize, Deserialize)]
struct Change {
    path: PathBuf,
    from: Option<String>,
    to: String,
}

impl TextFile {
    fn of(release: &Release, env: &Env) -> Result<Self> {
        let token = env.secret(release.token.as_ref(), "--token")?;
        if token.expose_secret() != "open sesame" {
            return Err(Error::new(Code::new("config.token"), "the store does not know the token"));
        }
        let place: Place = env.args()?;
        let path = place.dir.join(env.target().as_str());
        let mut text = release.text.clone();
        if release.dot {
            text.push('.');
        }
        text.push_str(&"!".repeat(release.loud.into()));
        if release.signed_by != "nobody" {
            text = format!("{text} ({})", release.signed_by);
        }
        Ok(Self { id: StageId::new("file")?, path, text })
    }

    fn read(&self) -> Result<Option<String>> {
        read(&self.path)
    }
}

fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::new(IO, "the file cannot be read").with_source(error)),
    }
}

fn write(change: &Change, text: Option<&str>) -> Result<()> {
    let done = match text {
        Some(text) => fs::write(&change.path, text),
        None => fs::remove_file(&change.path),
    };
    done.map_err(|error| Error::new(IO, "the file cannot be written").with_source(error))
}

#[async_trait]
impl Deployer for TextFile {
    type Change = Change;
    type Receipt = ();

    fn id(&self) -> StageId {
        self.id.clone()
    }

    fn describe(&self) -> Value {
        json!({"kind": "text-file"})
    }

    async fn plan(&self, _: &PlanContext) -> Result<Planned<Change>> {
        let change = Change { path: self.path.clone(), from: self.read()?, to: self.text.clone() };
        let summary = format!("write {} bytes", change.to.len());
        Ok(Planned { scope: Digest::of(&self.text), summary, change })
    }

    async fn apply(&self, cx: &ApplyContext, change: &Change, _: Option<&()>) -> Result<()> {
        let _permit = cx.permit("write the file").await?;
        write(change, Some(&change.to))
    }

    async fn observe(&self, _: &PlanContext, _: &Change, (): &()) -> Result<Rollout> {
        Ok(Rollout::Settled)
    }

    async fn locate(&self, _: &PlanContext, change: &Change, _: Option<&()>) -> Result<Location> {
        Ok(match read(&change.path)? {
            now if now.as_ref() == Some(&change.to) => Location::After,
            now if now == change.from => Location::Before,
            now => Location::Elsewhere(Live::new(now.unwrap_or_default(), None)),
        })
    }

    async fn live(&self, _: &PlanContext) -> Result<Option<Live>> {
        Ok(self.read()?.map(|text| Live::new(Digest::of(&text).as_str(), Some(text))))
    }
}

/// The way back: what was there before.
#[derive(Debug)]
struct Former;

#[async_trait]
impl Rollback<TextFile> for Former {
    fn reversibility(&self, _: &Change) -> Reversibility {
        Reversibility::Free
    }

    async fn roll_back(&self, cx: &ApplyContext, change: &Change, _: Option<&()>) -> Result<()> {
        if read(&change.path)?.as_ref() == Some(&change.to)
            && change.from.as_ref() != Some(&change.to)
        {
            let _permit = cx.permit("write the former text").await?;
            write(change, change.from.as_deref())?;
        }
        Ok(())
    }

    async fn observe_back(&self, _: &PlanContext, _: &Change, _: Option<&()>) -> Result<Rollout> {
        Ok(Rollout::Settled)
    }
}
