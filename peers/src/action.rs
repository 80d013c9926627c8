//! The official action for deployments to ECS from GitHub's workflows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::install::locked;
use crate::program::run;
use crate::{Result, failed};

const SOURCE: &str = "https://github.com/aws-actions/amazon-ecs-deploy-task-definition";
/// Pinned: it is told what exactly this one does.
const VERSION: &str = "v2.6.3";

/// `aws-actions/amazon-ecs-deploy-task-definition`, which Node runs.
#[derive(Debug, Clone)]
pub struct Action {
    root: PathBuf,
}

impl Action {
    /// Clones it into `folder`, where it is found the next time: it is in no package registry.
    ///
    /// # Errors
    /// It cannot be cloned, or there is no Node to run it.
    pub fn find(folder: &Path) -> Result<Self> {
        run(Command::new("node").arg("--version"))?;
        let folder = folder.join("action");
        let _lock = locked(&folder)?;
        let (root, draft) = (folder.join("root"), folder.join("draft"));
        if !root.is_dir() {
            eprintln!("cloning {SOURCE} {VERSION} in {}", folder.display());
            let _ = fs::remove_dir_all(&draft);
            let mut git = Command::new("git");
            let git = git.args(["clone", "--quiet", "--depth", "1", "--branch", VERSION, SOURCE]);
            run(git.arg(&draft).env("GIT_TERMINAL_PROMPT", "0"))?;
            fs::rename(&draft, &root)?;
        }
        let package = fs::read_to_string(root.join("package.json"))?;
        let version = format!("\"version\": \"{}\"", VERSION.trim_start_matches('v'));
        if !package.contains(&version) {
            return Err(failed(format!("{} is not {VERSION}", root.display())));
        }
        Ok(Self { root })
    }

    /// Its folder; `dist/index.js` is what Node runs.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}
