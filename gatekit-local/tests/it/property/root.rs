//! Whatever lies under a root: it is read right or refused with a reason, and nothing that does not
//! run is ever told to be live.

use std::cell::OnceCell;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use gatekit_core::process::ProcessIdentity;
use gatekit_core::{
    ApplyContext, Candidate, Deployer as _, Digest, Error, Hasher, Location, PlanContext,
    Rollback as _, RunId, StageId, TargetName, testing,
};
use gatekit_local::{Answer, PreviousRelease, ReleaseChange, ReleaseDir, ReleaseId};
use gatekit_store::SqliteLedger;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// What all readings of one thread share: it costs more to make than to read.
struct Bench {
    runtime: Runtime,
    /// This process listens here, and is nobody's service.
    listener: TcpListener,
    plan: PlanContext,
    apply: ApplyContext,
    _home: TempDir,
}

thread_local! {
    static BENCH: OnceCell<Bench> = const { OnceCell::new() };
}

impl Bench {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let target = TargetName::new("test/app").unwrap();
        let stage = StageId::new("release-dir").unwrap();
        let long = Duration::from_secs(100_000);
        let plan = testing::plan_context(&target, Candidate::new(), &stage, long);
        let ledger = Arc::new(SqliteLedger::open(home.path().join("ledger.db")).unwrap());
        let apply = runtime.block_on(testing::apply_context(&plan, ledger, long)).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Self { runtime, listener, plan, apply, _home: home }
    }
}

/// The bytes make a root, which is then read, or written under.
pub(crate) fn holds(data: &[u8]) {
    // Bytes that are too few leave more of it out.
    BENCH.with(|bench| {
        let _ = reads_or_writes(bench.get_or_init(Bench::new), &mut Unstructured::new(data));
    });
}

fn reads_or_writes(bench: &Bench, u: &mut Unstructured<'_>) -> Result<()> {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("root");
    if u.ratio(1, 3)? { writes(bench, &root, u) } else { reads(bench, &root, u) }
}

/// A release as it is kept, by its tree and start command.
fn release(tree: &Digest, start: &str) -> ReleaseId {
    let mut hasher = Hasher::new();
    for part in ["gatekit release 1\0", tree.as_str(), "\0", start] {
        hasher.update(part);
    }
    hasher.finish().as_str()[..16].parse().unwrap()
}

fn kept(root: &Path, start: &str) -> (ReleaseId, Value) {
    let tree = Digest::of(start);
    let id = release(&tree, start);
    let run = RunId::generate();
    let sidecar = json!({
        "v": 1, "id": id, "tree": tree, "start": start, "version": "1.0", "run": run,
        "manifest": [],
    });
    fs::create_dir_all(root.join("releases").join(id.as_str())).unwrap();
    put(&root.join("releases").join(format!("{id}.json")), sidecar.to_string());
    (id, sidecar)
}

fn put(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// The value with one field changed, left out or doubled, or its text with a byte changed.
fn spoilt(u: &mut Unstructured<'_>, mut value: Value) -> Result<Vec<u8>> {
    let keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
    let key = u.choose(&keys)?;
    match u.int_in_range(0..=5)? {
        0 => value[key] = Value::Null,
        1 => value[key] = json!(u.arbitrary::<u64>()?),
        2 => value[key] = json!(u.arbitrary::<String>()?),
        3 => drop(value.as_object_mut().unwrap().remove(key)),
        4 => value["v"] = json!(u.arbitrary::<u8>()?),
        _ => {
            let mut text = value.to_string().into_bytes();
            let at = u.choose_index(text.len())?;
            text[at] = u.arbitrary()?;
            return Ok(text);
        }
    }
    Ok(value.to_string().into_bytes())
}

/// One of the two links, or what somebody put in its place.
fn link(u: &mut Unstructured<'_>, path: &Path, ids: &[ReleaseId]) -> Result<()> {
    // Mostly right: an odd link hides everything else.
    match u.int_in_range(0..=15)? {
        0 => {}
        1 => put(path, u.arbitrary::<Vec<u8>>()?),
        2 => fs::create_dir_all(path).unwrap(),
        3 => {
            let text: String = u.arbitrary()?;
            let to = text.replace('\0', "");
            if !to.is_empty() {
                symlink(to, path).unwrap();
            }
        }
        4 => {
            let odd = ["releases", "releases/", "releases/../x", "/releases/0123456789abcdef", "."];
            symlink(u.choose(&odd)?, path).unwrap();
        }
        _ => symlink(PathBuf::from("releases").join(u.choose(ids)?.as_str()), path).unwrap(),
    }
    Ok(())
}

/// Who a record says leads the service. Only this very process lives.
fn leader(u: &mut Unstructured<'_>) -> Result<(Value, bool)> {
    let own = json!(ProcessIdentity::current());
    let mut other = own.clone();
    Ok(match u.int_in_range(0..=5)? {
        0 => (Value::Null, false),
        1 => (own, true),
        2 => {
            other["started"] = json!(other["started"].as_u64().unwrap() ^ 1);
            (other, false)
        }
        3 => {
            other["boot"] = json!(u.arbitrary::<String>()?);
            (other, false)
        }
        4 => {
            other["pid"] = json!(0);
            (other, false)
        }
        _ => {
            other["namespace"] = json!("pid:[1]");
            (other, false)
        }
    })
}

/// The record of the service; tells which release really runs.
fn service(u: &mut Unstructured<'_>, path: &Path, ids: &[ReleaseId]) -> Result<Option<ReleaseId>> {
    let id = u.choose(ids)?.clone();
    let (leader, lives) = leader(u)?;
    let record = json!({
        "v": 1, "token": "no process has it", "release": id, "start": "x", "leader": leader,
        "run": RunId::generate(), "fence": 1,
    });
    match u.int_in_range(0..=7)? {
        0 => Ok(None),
        1 => {
            put(path, u.arbitrary::<Vec<u8>>()?);
            Ok(None)
        }
        // Spoilt where it does not matter it still tells the truth.
        2 | 3 => {
            let text = spoilt(u, record.clone())?;
            put(path, &text);
            let told = serde_json::from_slice::<Value>(&text).unwrap_or_default();
            let same = told["leader"] == record["leader"] && lives;
            Ok(same.then(|| told["release"].as_str()?.parse().ok()).flatten())
        }
        _ => {
            put(path, record.to_string());
            Ok(lives.then_some(id))
        }
    }
}

/// Reading MUST NOT panic, write, or tell of a release that does not run.
fn reads(bench: &Bench, root: &Path, u: &mut Unstructured<'_>) -> Result<()> {
    let (what, spoils): (u8, bool) = u.arbitrary()?;
    let (one, sidecar) = kept(root, "one");
    let (two, _) = kept(root, "two");
    let ids = [one, two, "0123456789abcdef".parse().unwrap()];
    let runs = service(u, &root.join("service.json"), &ids)?;
    link(u, &root.join("current"), &ids)?;
    link(u, &root.join("previous"), &ids)?;
    if spoils {
        let file = root.join("releases").join(format!("{}.json", ids[0]));
        put(&file, spoilt(u, sidecar)?);
        put(&root.join("fence.json"), u.arbitrary::<Vec<u8>>()?);
    }
    let deployer = ReleaseDir::stopped(root).unwrap();
    let before = snapshot(root);
    match what % 5 {
        0 => match bench.runtime.block_on(deployer.live(&bench.plan)) {
            Ok(live) => {
                if let Some(live) = &live {
                    assert_eq!(
                        Some(&live.release),
                        runs.as_ref().map(ToString::to_string).as_ref()
                    );
                }
            }
            Err(error) => is_clear(&error),
        },
        1 => {
            let addr = bench.listener.local_addr().unwrap();
            let answer = deployer.service().answers(addr);
            assert!(runs.is_some() || !matches!(answer, Answer::Ours { .. }), "{answer:?}");
        }
        2 => match deployer.releases() {
            Ok(releases) => assert!(releases.iter().all(|kept| ids.contains(&kept.id))),
            Err(error) => is_clear(&error),
        },
        3 => match bench.runtime.block_on(deployer.plan(&bench.plan)) {
            // A stop's wish never has anything run, whatever it found.
            Ok(plan) => assert!(plan.change.before.runs.is_none_or(|id| Some(id) == runs)),
            Err(error) => is_clear(&error),
        },
        _ => {
            let (before, wish) = (u.choose(&ids)?, u.choose(&ids)?);
            let change = change(Some(before), Some(before), Some(wish), Some(wish));
            let located = bench.runtime.block_on(deployer.locate(&bench.plan, &change, None));
            match located.unwrap() {
                Location::After => assert_eq!(runs.as_ref(), Some(wish)),
                Location::Before => assert_eq!(runs.as_ref(), Some(before)),
                Location::Unknown(why) | Location::Between(why) => assert!(!why.is_empty()),
                // A link to a third release is told as that release, whether it runs or not.
                _ => {}
            }
            let _ = PreviousRelease::of(&deployer).reversibility(&change);
        }
    }
    assert_eq!(snapshot(root), before, "reading wrote");
    Ok(())
}

fn is_clear(error: &Error) {
    assert!(matches!(error.code().area(), "release_dir" | "service"), "{error}");
    assert!(!error.to_string().is_empty());
}

fn change(
    before: Option<&ReleaseId>,
    ran: Option<&ReleaseId>,
    wish: Option<&ReleaseId>,
    runs: Option<&ReleaseId>,
) -> ReleaseChange {
    let change = json!({
        "before": {"release": before, "runs": ran}, "previous": null,
        "wish": {"release": wish, "runs": runs}, "tree": null,
    });
    serde_json::from_value(change).unwrap()
}

/// A write MUST be made under a fence that nobody has overtaken, and MUST NOT be made under a record
/// that cannot be read.
fn writes(bench: &Bench, root: &Path, u: &mut Unstructured<'_>) -> Result<()> {
    let (old, _) = kept(root, "old");
    let path = root.join("fence.json");
    let own = bench.apply.fence().unwrap().0;
    let mine = u.arbitrary()?;
    let run = if mine { bench.apply.run() } else { RunId::generate() };
    let fence = *u.choose(&[0, own.saturating_sub(1), own, own + 1, u64::MAX])?;
    let chain = if u.ratio(1, 4)? { json!(Digest::of("another")) } else { Value::Null };
    let newest = json!({"v": 1, "fence": fence, "run": run, "chain": chain});
    match u.int_in_range(0..=3)? {
        0 => {}
        1 => put(&path, u.arbitrary::<Vec<u8>>()?),
        2 => put(&path, spoilt(u, newest)?),
        _ => put(&path, newest.to_string()),
    }
    let may_write = may_write(fs::read(&path).ok().as_deref(), own, bench.apply.run());
    let deployer = ReleaseDir::existing(root).unwrap();
    let wish = "0123456789abcdef".parse().unwrap();
    // The link is gone and nothing ran: it is to be there again, and nothing to be started.
    let change = change(Some(&old), None, Some(&wish), None);
    let back = PreviousRelease::of(&deployer);
    let written = bench.runtime.block_on(back.roll_back(&bench.apply, &change, None));
    let link = fs::read_link(root.join("current")).ok();
    match written {
        Ok(()) => {
            assert!(may_write, "written under an overtaken fence, or one that cannot be read");
            assert_eq!(link, Some(PathBuf::from("releases").join(old.as_str())));
            let newest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            assert_eq!(newest["fence"], own);
            assert_eq!(newest["run"], json!(bench.apply.run()));
        }
        Err(error) => {
            assert!(!may_write, "refused for no reason: {error}");
            assert_eq!(error.effect(), gatekit_core::Effect::None, "{error}");
            assert_eq!(link, None, "refused, and written: {error}");
        }
    }
    Ok(())
}

/// What the record allows, read without gatekit's own types.
fn may_write(record: Option<&[u8]>, own: u64, run: RunId) -> bool {
    let Some(record) = record else { return true };
    let Ok(record) = serde_json::from_slice::<Value>(record) else { return false };
    let known = || {
        (record["v"].as_u64()? <= 1).then_some(())?;
        let writer: RunId = record["run"].as_str()?.parse().ok()?;
        match &record["chain"] {
            Value::Null => {}
            chain => drop(chain.as_str()?.parse::<Digest>().ok()?),
        }
        Some((record["fence"].as_u64()?, writer))
    };
    known().is_some_and(|(fence, writer)| fence < own || (fence == own && writer == run))
}

/// Every file, link and directory under the root.
fn snapshot(root: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            if meta.is_dir() {
                todo.push(path.clone());
            }
            let content = meta.is_file().then(|| fs::read(&path).unwrap());
            found.push((path, content));
        }
    }
    found.sort();
    found
}
