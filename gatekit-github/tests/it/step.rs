//! What a step's log, outputs and summary say of a run.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gatekit_core::ledger::MemoryLedger;
use gatekit_core::{
    ApplyContext, Candidate, Code, Deployer, Digest, Engine, Error, Evidence, Finding,
    GateExt as _, GateSlot, Live, Location, Outcome, Pipeline, PlanContext, Planned, Result,
    Reversibility, Rollback, Rollout, RunReport, StageId, Verdict, enforced, gate_fn,
};
use gatekit_github::{Actions, code};
use serde_json::{Value, json};

/// A log that can be read while it is written.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn lines(&self) -> Vec<String> {
        String::from_utf8(self.0.lock().unwrap().clone())
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

/// What is live, in memory.
#[derive(Debug, Clone)]
struct Shelf(Arc<Mutex<String>>);

#[async_trait]
impl Deployer for Shelf {
    type Change = (String, String);
    type Receipt = ();

    fn id(&self) -> StageId {
        StageId::new("shelf").unwrap()
    }

    fn describe(&self) -> Value {
        Value::Null
    }

    async fn plan(&self, cx: &PlanContext) -> Result<Planned<Self::Change>> {
        let wish = cx.candidate().version.clone().unwrap_or_default();
        let before = self.0.lock().unwrap().clone();
        let summary = format!("{before} becomes {wish}");
        Ok(Planned { scope: Digest::of(&wish), summary, change: (before, wish) })
    }

    async fn apply(&self, cx: &ApplyContext, change: &Self::Change, _: Option<&()>) -> Result<()> {
        drop(cx.permit("write").await?);
        change.1.clone_into(&mut self.0.lock().unwrap());
        Ok(())
    }

    async fn observe(&self, _: &PlanContext, _: &Self::Change, (): &()) -> Result<Rollout> {
        Ok(Rollout::Settled)
    }

    async fn locate(
        &self,
        _: &PlanContext,
        change: &Self::Change,
        _: Option<&()>,
    ) -> Result<Location> {
        let live = self.0.lock().unwrap().clone();
        Ok(if live == change.1 {
            Location::After
        } else if live == change.0 {
            Location::Before
        } else {
            Location::Elsewhere(Live::new(live, None))
        })
    }

    async fn live(&self, _: &PlanContext) -> Result<Option<Live>> {
        Ok(Some(Live::new(self.0.lock().unwrap().clone(), None)))
    }
}

#[async_trait]
impl Rollback<Self> for Shelf {
    fn reversibility(&self, _: &(String, String)) -> Reversibility {
        Reversibility::Free
    }

    async fn roll_back(
        &self,
        cx: &ApplyContext,
        change: &(String, String),
        _: Option<&()>,
    ) -> Result<()> {
        drop(cx.permit("write back").await?);
        change.0.clone_into(&mut self.0.lock().unwrap());
        Ok(())
    }

    async fn observe_back(
        &self,
        _: &PlanContext,
        _: &(String, String),
        _: Option<&()>,
    ) -> Result<Rollout> {
        Ok(Rollout::Settled)
    }
}

fn gate(id: &str, says: Option<&'static str>) -> GateSlot {
    enforced(
        gate_fn(id, move |_| async move {
            Ok(match says {
                None => Verdict::pass([Evidence::read("test", "x", json!(1))]),
                Some(why) => Verdict::Fail(Finding::new(Code::new("test.no"), why)),
            })
        })
        .unwrap(),
    )
}

fn waits(id: &str) -> GateSlot {
    enforced(
        gate_fn(id, |_| async move {
            Ok(Verdict::Wait(Finding::new(Code::new("test.wait"), "nobody has said a word")))
        })
        .unwrap(),
    )
}

struct Shown {
    report: RunReport,
    log: Vec<String>,
    outputs: BTreeMap<String, String>,
    summary: String,
}

async fn shown(gates: Vec<GateSlot>, verify: Vec<GateSlot>) -> Shown {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| -> PathBuf { dir.path().join(name) };
    let log = Log::default();
    let actions = Actions::new(log.clone(), Some(path("output")), Some(path("summary")));
    let report = shipped(&actions, gates, verify).await;
    actions.finish(&report).unwrap();
    let outputs = read_outputs(&fs::read_to_string(path("output")).unwrap());
    let summary = fs::read_to_string(path("summary")).unwrap();
    Shown { report, log: log.lines(), outputs, summary }
}

/// A run that such a step was told of.
async fn shipped(actions: &Actions, gates: Vec<GateSlot>, verify: Vec<GateSlot>) -> RunReport {
    let shelf = Shelf(Arc::new(Mutex::new("v1".to_owned())));
    let mut pipeline = Pipeline::to("production/shelf");
    if !gates.is_empty() {
        pipeline = pipeline.gates(gates);
    }
    let pipeline =
        pipeline.deploy(shelf.clone()).rollback_with(shelf).verify_all(verify).build().unwrap();
    let engine = Engine::new(Arc::new(MemoryLedger::new())).with_actor("ann");
    let engine = engine.reporter(actions.reporter());
    engine.ship(&pipeline, Candidate::new().with_version("v2")).await
}

/// As the runner reads them: `name<<END`, the value, `END`.
fn read_outputs(text: &str) -> BTreeMap<String, String> {
    let mut outputs = BTreeMap::new();
    let mut lines = text.lines();
    while let Some((name, end)) = lines.next().and_then(|line| line.split_once("<<")) {
        let value: Vec<_> = lines.by_ref().take_while(|line| *line != end).collect();
        outputs.insert(name.to_owned(), value.join("\n"));
    }
    outputs
}

fn commands<'l>(log: &'l [String], command: &str) -> Vec<&'l str> {
    log.iter().map(String::as_str).filter(|line| line.starts_with(command)).collect()
}

#[tokio::test]
async fn a_release_is_told_by_groups_outputs_and_a_table() {
    let shown = shown(vec![gate("tests", None)], vec![gate("smoke", None)]).await;
    assert_eq!(shown.report.outcome, Outcome::Released, "{:?}", shown.report);
    assert_eq!(
        shown.log,
        [
            "opened by ann: candidate v2",
            "::group::tests",
            "gate tests: pass",
            "::endgroup::",
            "granted under fence 1: v1 becomes v2",
            "::group::shelf",
            "shelf: applying",
            "shelf: write",
            "shelf: live",
            "::endgroup::",
            "::group::smoke",
            "gate smoke: pass",
            "::endgroup::",
            "closed: released",
        ]
    );
    let run = shown.report.run.unwrap().to_string();
    let expected = [
        ("exit", "0"),
        ("live", "v2"),
        ("outcome", "released"),
        ("run", &run),
        ("target", "production/shelf"),
    ];
    assert_eq!(shown.outputs.len(), expected.len(), "{:?}", shown.outputs);
    for (name, value) in expected {
        assert_eq!(shown.outputs[name], value);
    }
    assert_eq!(
        shown.summary,
        format!(
            "### production/shelf: released\n\nLive: v2\n\n| stage | | |\n|---|---|---|\n\
             | tests | ✅ | pass |\n| shelf | ✅ | live |\n| smoke | ✅ | pass |\n\n\
             <sub>run {run}</sub>\n\n"
        )
    );
}

#[tokio::test]
async fn what_went_wrong_is_annotated_and_undone_stages_are_told_so() {
    let shown = shown(vec![], vec![gate("smoke", Some("it answers 500"))]).await;
    assert_eq!(shown.report.outcome, Outcome::RolledBack, "{:?}", shown.report);
    let errors = commands(&shown.log, "::error");
    assert_eq!(errors[0], "::error title=smoke says fail::it answers 500 [test.no]");
    assert!(errors[1].starts_with("::error title=production/shelf rolled back::"), "{errors:?}");
    assert_eq!(
        (shown.outputs["code"].as_str(), shown.outputs["exit"].as_str()),
        ("verify.failed", "3")
    );
    assert!(shown.summary.contains("| shelf | ↩️ | undone |"), "{}", shown.summary);
}

#[tokio::test]
async fn no_step_has_more_annotations_than_are_shown_and_groups_are_closed() {
    let gates = (0..30).map(|at| gate(&format!("gate-{at}"), Some("no"))).collect();
    let shown = shown(gates, vec![gate("smoke", None)]).await;
    assert_eq!(shown.report.outcome, Outcome::Refused);
    let errors = commands(&shown.log, "::error");
    assert_eq!(errors.len(), 10);
    assert!(errors[9].contains("production/shelf refused"), "the end of the run is among them");
    let (open, closed) = (commands(&shown.log, "::group"), commands(&shown.log, "::endgroup"));
    assert_eq!((open.len(), closed.len()), (30, 30));
}

#[tokio::test]
async fn nothing_that_a_stage_says_is_a_command_or_an_output() {
    let evil = "fine\n::set-env name=PATH::/tmp\n::add-path::/x | <b>\noutcome<<E\nreleased\nE";
    let shown = shown(vec![gate("evil", Some(evil))], vec![gate("smoke", None)]).await;
    for line in &shown.log {
        let known =
            ["::group::", "::endgroup::", "::error title="].iter().any(|own| line.starts_with(own));
        assert!(known || !line.trim_start().starts_with("::"), "{line}");
    }
    assert_eq!(shown.outputs["outcome"], "refused");
    assert!(!shown.summary.contains("<b>") && shown.summary.contains("&lt;b&gt;"));
    let rows = shown.summary.lines().filter(|line| line.starts_with('|')).count();
    assert_eq!(rows, 3, "{}", shown.summary);
}

#[test]
fn every_line_of_a_secret_is_masked_before_anything_else() {
    let log = Log::default();
    Actions::new(log.clone(), None, None).mask(&"first line\nsecond\n".into());
    assert_eq!(log.lines(), ["::add-mask::first line", "::add-mask::second"]);
}

#[tokio::test]
async fn a_run_that_waits_is_no_failure() {
    let shown = shown(vec![waits("word")], vec![gate("smoke", None)]).await;
    assert_eq!(shown.report.outcome, Outcome::Waiting, "{:?}", shown.report);
    assert_eq!(commands(&shown.log, "::error"), [""; 0]);
    assert_eq!(commands(&shown.log, "::warning"), [""; 0]);
    let told = commands(&shown.log, "::notice title=production/shelf waiting::");
    assert_eq!(told.len(), 1, "{:?}", shown.log);
    assert!(shown.summary.contains("| word | ⏳ | wait: nobody has said"), "{}", shown.summary);
    assert!(!shown.summary.contains('❌'), "{}", shown.summary);
}

/// Whoever reads the outputs must not take an error for a step that was killed.
#[test]
fn an_error_that_no_run_came_to_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("output");
    for (exit, outcome) in [(1, "refused"), (2, "usage"), (4, "stuck"), (5, "failed")] {
        let log = Log::default();
        fs::write(&path, "").unwrap();
        let step = Actions::new(log.clone(), Some(path.clone()), None);
        let error = Error::new(Code::new("ledger.busy"), "no\n::set-output::x");
        step.fail(&error.to_failure(), exit).unwrap();
        let outputs = read_outputs(&fs::read_to_string(&path).unwrap());
        assert_eq!((&*outputs["outcome"], &*outputs["code"]), (outcome, "ledger.busy"));
        assert_eq!(outputs["exit"], exit.to_string());
        let lines = log.lines();
        assert!(lines.len() == 1 && lines[0].starts_with("::error "), "{lines:?}");
    }
}

#[tokio::test]
async fn what_stages_say_moves_no_cursor() {
    let shown =
        shown(vec![gate("wild", Some("\u{1b}[2J\u{9b}1A\u{8}gone"))], vec![gate("smoke", None)])
            .await;
    let wild = |text: &str| text.contains(|c: char| c.is_control() && c != '\n');
    assert!(!shown.log.iter().any(|line| wild(line)), "{:?}", shown.log);
    assert!(!wild(&shown.summary), "{:?}", shown.summary);
}

/// A step that is killed has only what was written by then.
#[tokio::test]
async fn the_outputs_name_the_run_while_it_goes() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("output");
    let actions = Actions::new(Log::default(), Some(output.clone()), None);
    let (sees, path) = (Arc::new(Mutex::new(None)), output.clone());
    let seen = Arc::clone(&sees);
    let looks = gate_fn("looks", move |cx| {
        let (path, run, seen) = (path.clone(), cx.run().to_string(), Arc::clone(&seen));
        async move {
            // Reporters have a thread of their own: it is waited for.
            let told = || fs::read_to_string(&path).unwrap_or_default();
            while !told().contains(&run) {
                tokio::task::yield_now().await;
            }
            *seen.lock().unwrap() = Some(read_outputs(&told()));
            Ok(Verdict::pass([Evidence::read("test", "x", json!(1))]))
        }
    });
    let gates = vec![enforced(looks.unwrap().timeout(Duration::from_secs(20)))];
    let report = shipped(&actions, gates, vec![gate("smoke", None)]).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    let run = report.run.unwrap().to_string();
    let early = sees.lock().unwrap().clone().unwrap();
    assert_eq!(early, BTreeMap::from([("run".to_owned(), run.clone())]));
    actions.finish(&report).unwrap();
    assert_eq!(read_outputs(&fs::read_to_string(output).unwrap())["run"], run);
}

#[tokio::test]
async fn outputs_that_a_script_left_open_are_no_part_of_ours() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("output");
    fs::write(&output, "foo=bar").unwrap();
    let actions = Actions::new(Log::default(), Some(output.clone()), None);
    let report = shipped(&actions, vec![], vec![gate("smoke", None)]).await;
    actions.finish(&report).unwrap();
    let text = fs::read_to_string(output).unwrap();
    let own = text.strip_prefix("foo=bar\n").unwrap();
    assert_eq!(read_outputs(own)["outcome"], "released");
}

#[tokio::test]
async fn a_summary_that_is_full_is_told_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let summary = dir.path().join("summary");
    fs::write(&summary, "x".repeat(1 << 20)).unwrap();
    let log = Log::default();
    let actions = Actions::new(log.clone(), None, Some(summary.clone()));
    let report = shipped(&actions, vec![], vec![gate("smoke", None)]).await;
    actions.finish(&report).unwrap();
    assert_eq!(fs::metadata(summary).unwrap().len(), 1 << 20);
    let lines = log.lines();
    assert_eq!(commands(&lines, "::warning title=the step's summary is full::").len(), 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_told_and_the_other_one_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (output, summary) = (dir.path().join("output"), dir.path().join("summary"));
    let nowhere = PathBuf::from("/no/such/dir/f");
    let finished = async |output: &Path, summary: &Path| {
        let actions = Actions::new(Log::default(), Some(output.into()), Some(summary.into()));
        let report = shipped(&actions, vec![], vec![gate("smoke", None)]).await;
        let error = actions.finish(&report).unwrap_err();
        assert_eq!(error.code(), &code::FILE);
        error.to_failure()
    };
    let failure = finished(&output, &nowhere).await;
    assert!(failure.to_string().contains("GITHUB_STEP_SUMMARY"), "{failure}");
    assert!(fs::read_to_string(output).unwrap().contains("released"));
    let failure = finished(&nowhere, &summary).await;
    assert!(failure.to_string().contains("GITHUB_OUTPUT"), "{failure}");
    assert!(fs::read_to_string(summary).unwrap().contains("released"));
    let failure = finished(&nowhere, dir.path()).await;
    let told = failure.to_string();
    assert!(told.contains("GITHUB_OUTPUT") && told.contains("GITHUB_STEP_SUMMARY"), "{told}");
    assert_eq!(failure.causes.len(), 2, "{:?}", failure.causes);
    assert!(failure.causes[1].starts_with("`GITHUB_STEP_SUMMARY`: "), "{:?}", failure.causes);
}
