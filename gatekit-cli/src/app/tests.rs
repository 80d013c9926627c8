//! What a program answers that is called in its own process.

use std::sync::Mutex;

use gatekit_core::{Approval, Pipeline, enforced};
use gatekit_local::{PreviousRelease, ReleaseDir};

use super::*;

fn app(with: impl Fn(App) -> App) -> u8 {
    with(App::new("x")).run_from(["x", "--help"].map(OsString::from).to_vec())
}

#[derive(Args, Serialize, serde::Deserialize)]
struct Fine {
    #[arg(long)]
    tag: String,
}

#[derive(Args, Serialize, serde::Deserialize)]
struct Clashes {
    #[arg(long)]
    reason: String,
}

/// A group that is called as an argument of some verb.
#[derive(Args, Serialize, serde::Deserialize)]
#[group(id = "reason")]
struct Group {
    #[arg(long)]
    tag: String,
}

/// Groups and arguments that are no other's.
#[derive(Args, Serialize, serde::Deserialize)]
struct Decides {
    #[arg(long)]
    decision: String,
    #[arg(long, group = "sources")]
    tag: Option<String>,
    #[arg(long, group = "sources")]
    branch: Option<String>,
}

#[derive(Args, Serialize, serde::Deserialize)]
struct Stops {
    #[arg(long, group = "sources")]
    tag: Option<String>,
    #[arg(long, group = "sources")]
    all: bool,
}

fn never() -> Result<Shipment> {
    Err(Error::new(code::CONFIG_ARGUMENTS, "not built here"))
}

#[test]
fn arguments_and_verbs_that_clash_with_others_are_refused_whichever_verb_is_called() {
    assert_eq!(app(|app| app.pipeline("a", async |_: Fine, _| never())), 0);
    assert_eq!(app(|app| app.pipeline("a", async |_: Clashes, _| never())), 2);
    assert_eq!(app(|app| app.pipeline("a", async |_: Group, _| never())), 2);
    assert_eq!(
        app(|app| app
            .pipeline("a", async |_: Fine, _| never())
            .pipeline("a", async |_: Fine, _| never())),
        2
    );
    let variant = |verb| {
        app(move |app| {
            app.pipeline("a", async |_: Fine, _| never()).variant(
                verb,
                "about",
                async |_: Fine, _| never(),
            )
        })
    };
    assert_eq!((variant("stop"), variant("status")), (0, 2));
}

#[test]
fn groups_of_a_pipeline_hold_for_every_verb_that_takes_its_arguments() {
    let place = tempfile::tempdir().unwrap();
    let call = |words: &[&str]| {
        let ledger = place.path().join("ledger.db");
        let app = App::new("x").ledger(move |_| Ok(ledger.clone()));
        let app = app.pipeline("a", async |_: Decides, _| never());
        let app = app.variant("stop", "about", async |_: Stops, _| never());
        app.run_from([&["x"], words].concat().into_iter().map(OsString::from).collect())
    };
    assert_eq!(call(&["resume", "--tag", "v1"]), 0, "there is nothing to resume");
    assert_eq!(call(&["reconcile", "--decision", "none"]), 0);
    for verb in ["resume", "reconcile", "status"] {
        assert_eq!(call(&[verb, "--tag", "v1", "--branch", "main"]), 2, "{verb}");
        assert_eq!(call(&[verb, "--branch", "main", "--all"]), 2, "{verb}, of two variants");
    }
    let both = ["reconcile", "--adopt", "--roll-back", "--reason", "why"];
    assert_eq!(call(&both), 2, "its own");
}

/// Called as `-h` is.
#[derive(Args, Serialize, serde::Deserialize)]
struct Short {
    #[arg(long, short = 'h')]
    host: String,
}

/// Also called as a flag of every verb is.
#[derive(Args, Serialize, serde::Deserialize)]
struct Alias {
    #[arg(long, alias = "target")]
    place: String,
}

/// Called as what clap adds where there is a version.
#[derive(Args)]
struct Verbose {
    #[arg(long, short = 'V', global = true)]
    verbose: bool,
}

#[test]
fn what_clap_adds_and_every_other_name_of_an_argument_clashes_too() {
    assert_eq!(app(|app| app.pipeline("a", async |_: Short, _| never())), 2);
    assert_eq!(app(|app| app.pipeline("a", async |_: Alias, _| never())), 2);
    let own = |app: App| app.args::<Verbose>().pipeline("a", async |_: Fine, _| never());
    assert_eq!(app(own), 0);
    assert_eq!(app(|app| own(app).version("1.0.0")), 2);
}

/// What the hook was told: code, exit code and whether there is a way on.
type Heard = Arc<Mutex<Vec<(String, u8, bool)>>>;

/// Calls a program with a hook for errors, in an empty directory.
fn call(words: &[&str], with: impl Fn(App) -> App) -> (u8, Vec<(String, u8, bool)>) {
    let place = tempfile::tempdir().unwrap();
    let ledger = place.path().join("ledger.db");
    let heard = Heard::default();
    let hears = Arc::clone(&heard);
    let app = App::new("x").ledger(move |_| Ok(ledger.clone())).on_error(move |why, exit| {
        let heard = (why.code.to_string(), exit, !why.next.is_empty());
        hears.lock().unwrap().push(heard);
        Ok(())
    });
    let words = [&["x"], words].concat().into_iter().map(OsString::from).collect();
    let exit = with(app).run_from(words);
    let heard = heard.lock().unwrap().clone();
    (exit, heard)
}

fn fine(app: App) -> App {
    app.pipeline("a", async |_: Fine, _| never())
}

fn heard(code: &str, exit: u8) -> (u8, Vec<(String, u8, bool)>) {
    (exit, vec![(code.to_owned(), exit, true)])
}

#[test]
fn the_hook_hears_of_every_end_of_a_release_that_comes_to_no_run() {
    for words in [&["shp"][..], &["ship"], &[], &["status", "--nonsense"], &["ship", "--tag"]] {
        assert_eq!(call(words, fine), heard("usage.command_line", 2), "{words:?}");
    }
    assert_eq!(call(&["ship", "--tag", "v1"], fine), heard("config.arguments", 2));
    for verb in [&["resume"][..], &["reconcile"], &["rollback", "--reason", "why"]] {
        let words = [verb, &["--ledger", "redis://x"]].concat();
        assert_eq!(call(&words, fine), heard("usage.ledger", 2), "{words:?}");
    }
    // These release nothing.
    for verb in ["status", "log", "verify"] {
        assert_eq!(call(&[verb, "--ledger", "redis://x"], fine), (2, Vec::new()), "{verb}");
    }
    for fine_words in [&["--help"][..], &["ship", "--help"], &["completions", "bash"]] {
        assert_eq!(call(fine_words, fine), (0, Vec::new()), "{fine_words:?}");
    }
    // What comes to a report is told to `finish`.
    assert_eq!(call(&["resume"], fine), (0, Vec::new()));
    let fails = |app: App| fine(app).on_error(|_, _| never().map(|_| ()));
    assert_eq!(call(&["ship", "--tag", "v1"], fails).0, 2, "its own error changes nothing");
    let panics = |app: App| fine(app).on_error(|_, _| panic!("on purpose"));
    assert_eq!(call(&["ship", "--tag", "v1"], panics).0, 2);
    assert_eq!(call(&["shp"], panics).0, 2);
}

#[test]
fn closures_that_panic_are_told_like_errors() {
    let builder = |app: App| {
        app.pipeline("a", async |_: Fine, _| -> Result<Shipment> { panic!("on purpose") })
    };
    assert_eq!(call(&["ship", "--tag", "v1"], builder), heard("engine.panic", 5));
    let home = |app: App| fine(app).ledger(|_| panic!("on purpose"));
    assert_eq!(call(&["resume"], home), heard("engine.panic", 5));
    let finish = |app: App| fine(app).finish(|_| panic!("on purpose"));
    assert_eq!(call(&["resume"], finish), (0, Vec::new()), "the report and its exit stay");
}

#[test]
fn a_target_that_is_none_is_the_programs_mistake() {
    let app = |app: App| app.pipeline("a//b", async |_: Fine, _| never());
    assert_eq!(call(&["status"], app), heard("usage.command_line", 2));
}

#[derive(Args, Serialize, serde::Deserialize)]
struct All {
    #[arg(long)]
    all: bool,
}

#[test]
fn a_run_is_not_resumed_with_a_flag_of_another_way_to_ship() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().to_owned();
    let shipment = move || -> Result<Shipment> {
        let dir = ReleaseDir::stopped(&root)?;
        let back = PreviousRelease::of(&dir);
        let gate = enforced(Approval::quorum(1));
        Ok(Pipeline::to("a").gate(gate).deploy(dir).rollback_with(back).build()?.into())
    };
    let called = |words: &[&str]| {
        let (ship, stop) = (shipment.clone(), shipment.clone());
        let (ledger, heard) = (place.path().join("ledger.db"), Arc::new(Mutex::new(None)));
        let hears = Arc::clone(&heard);
        let app = App::new("x")
            .ledger(move |_| Ok(ledger.clone()))
            .pipeline("a", async move |_: Fine, _| ship())
            .variant("stop", "Stop it", async move |_: All, _| stop())
            .on_error(move |why, _| {
                *hears.lock().unwrap() = Some(why.to_string());
                Ok(())
            });
        let words = [&["x"], words].concat().into_iter().map(OsString::from).collect();
        let exit = app.run_from(words);
        let heard = heard.lock().unwrap().clone();
        (exit, heard)
    };
    assert_eq!(called(&["ship", "--tag", "v1"]), (75, None));
    let refused = "`--all` is of `stop`, and the run was opened by `ship`";
    assert_eq!(called(&["resume", "--all"]), (2, Some(refused.to_owned())));
    assert_eq!(called(&["resume", "--tag", "v1"]), (75, None));
}
