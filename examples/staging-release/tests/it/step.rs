//! A step of a workflow, run as GitHub's runner does: the shell, the environment, and the file of its
//! outputs. GitHub itself is not here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use yaml_rust2::{Yaml, YamlLoader};

use crate::site::Site;

/// What a step left behind.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) exit: Option<i32>,
    pub(crate) log: String,
    outputs: String,
}

impl Step {
    pub(crate) fn output(&self, name: &str) -> Option<&str> {
        told(&self.outputs, name)
    }
}

/// The last value of an output, as `NAME<<END`, the value, and `END` in lines of their own.
pub(crate) fn told<'a>(outputs: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = outputs.lines();
    let mut told = None;
    while let Some(line) = lines.next() {
        if line.strip_prefix(name).is_some_and(|rest| rest.starts_with("<<")) {
            told = lines.next();
        }
    }
    told
}

pub(crate) fn workflow(path: &str) -> Yaml {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    YamlLoader::load_from_str(&text).unwrap().remove(0)
}

/// The steps of a job that run a script.
pub(crate) fn scripts<'a>(workflow: &'a Yaml, job: &str) -> Vec<&'a Yaml> {
    let steps = workflow["jobs"][job]["steps"].as_vec().unwrap();
    steps.iter().filter(|step| !step["run"].is_badvalue()).collect()
}

/// The script of a step by somebody, with what its variables are.
pub(crate) fn command(site: &Site, step: &Yaml, actor: &str, values: &[(&str, &str)]) -> Command {
    let in_place = site.command(["ship"]);
    let mut bash = Command::new("bash");
    bash.args(["-e", "-c", step["run"].as_str().unwrap()]);
    for (name, value) in in_place.get_envs() {
        match value {
            Some(value) => bash.env(name, value),
            None => bash.env_remove(name),
        };
    }
    let programs = PathBuf::from(in_place.get_program());
    let path = std::env::var("PATH").unwrap();
    bash.env("PATH", format!("{}:{path}", programs.parent().unwrap().display()))
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_OUTPUT", site.path("outputs"))
        .env("GITHUB_STEP_SUMMARY", site.path("summary"))
        .env("GATEKIT_LEDGER", site.ledger())
        .env("GATEKIT_ACTOR", actor)
        .envs(values.iter().copied());
    bash
}

/// Runs it, and takes what it left behind.
pub(crate) fn run(site: &Site, step: &Yaml, actor: &str, values: &[(&str, &str)]) -> Step {
    let done = command(site, step, actor, values).output().unwrap();
    let log = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
    Step { exit: done.status.code(), log, outputs: outputs(site) }
}

/// What was told to the runner, which is then forgotten.
pub(crate) fn outputs(site: &Site) -> String {
    let path = site.path("outputs");
    let told = fs::read_to_string(&path).unwrap_or_default();
    let _ = fs::remove_file(path);
    told
}

/// What every workflow that releases to AWS has, and why each of its lines can be relied on.
#[track_caller]
pub(crate) fn is_sound(workflow: &Yaml, job: &str, environment: &str) {
    assert_eq!(workflow["permissions"]["contents"].as_str(), Some("read"));
    assert_eq!(workflow["permissions"]["id-token"].as_str(), Some("write"), "no key is kept");
    assert_eq!(workflow["permissions"].as_hash().unwrap().len(), 2, "and no other right");
    assert!(!workflow["concurrency"]["group"].is_badvalue());
    assert_eq!(workflow["concurrency"]["cancel-in-progress"].as_bool(), Some(false));
    assert_eq!(workflow["jobs"][job]["environment"].as_str(), Some(environment));
    for step in scripts(workflow, job) {
        let script = step["run"].as_str().unwrap();
        assert!(!script.contains("${{"), "a value in a script's text would be code: {script}");
        if script.contains("-release ") {
            assert!(script.starts_with("exec "), "a signal must reach the program: {script}");
        }
    }
    let resumes = |step: &&Yaml| {
        !step["if"].is_badvalue() && step["run"].as_str().unwrap().contains(" resume ")
    };
    let steps = scripts(workflow, job);
    let resume = steps.into_iter().find(resumes).unwrap();
    // The condition is tried out there, for each end of a ship.
    let tried = workflow_of_the_action();
    let tried = tried["jobs"]["release"]["steps"].as_vec().unwrap();
    let tried = tried.iter().find(|step| step["with"]["verb"].as_str() == Some("resume")).unwrap();
    let of = |step: &Yaml| step["if"].as_str().unwrap().replace("steps.resume.", "steps.ship.");
    assert_eq!(of(resume), of(tried));
}

fn workflow_of_the_action() -> Yaml {
    workflow("../github-action/workflows/release.yml")
}
