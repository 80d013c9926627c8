//! What scripts answer, and what may be believed of it; and that no secret gets out with it.

use std::time::Duration;

use gatekit_core::testing::apply_context;
use gatekit_core::{
    Candidate, Deployer as _, Effect, Engine, Error, Live, Location, Outcome, Pipeline, Replan,
    Rollback as _, enforced, on,
};
use gatekit_local::{Command, CommandChange, Program};
use gatekit_testkit::conformance::deployer::DeployerWorld as _;
use serde_json::{Value, json};

use crate::command::{LONG, Sign, context, target};

fn change() -> CommandChange {
    serde_json::from_value(json!({"change": {}, "one_way": null})).unwrap()
}

/// What a script that does so makes of a call.
async fn called(call: &str, script: &str) -> Result<Value, Error> {
    let sign = Sign::new();
    sign.script(&format!("#!/bin/sh\n{script}\n"));
    let cx = apply_context(&context(LONG), sign.ledger(), LONG).await.unwrap();
    // The question is longer than a pipe holds, for those who never read it.
    let change = json!({"change": "x".repeat(200_000), "one_way": null});
    let (deploy, change) = (sign.deploy(), serde_json::from_value(change).unwrap());
    Ok(match call {
        "plan" => json!(deploy.plan(&cx).await?.change),
        "apply" => deploy.apply(&cx, &change, None).await?,
        "locate" => json!(deploy.locate(&cx, &change, None).await?),
        "live" => json!(deploy.live(&cx).await?),
        "undo" => json!(deploy.undo().roll_back(&cx, &change, None).await?),
        _ => unreachable!(),
    })
}

/// The same, of one that prints `answer` and ends with 0.
async fn answered(call: &str, answer: &str) -> Result<Value, Error> {
    // To undo, it first locates.
    let located = "[ $1 = locate ] && [ \"$LOCATE\" ] && { echo \"$LOCATE\"; exit 0; }";
    let locate = if call == "undo" { r#"LOCATE='{"at": "after"}'"# } else { "LOCATE=" };
    called(call, &format!("{locate}\n{located}\nprintf '%s' '{answer}'")).await
}

#[tokio::test]
async fn no_answer_but_the_one_that_is_asked_for_is_believed() {
    for (call, answer) in [
        ("live", "{}"),
        ("live", "[null]"),
        ("live", "null"),
        ("live", r#"{"live": ["v1", null]}"#),
        ("live", r#"{"live": {"version": "v1"}}"#),
        ("live", r#"{"error": "boom"}"#),
        ("live", r#"{"error": null, "live": null}"#),
        ("undo", "[]"),
        ("undo", "null"),
        ("undo", r#"{"error": "could not undo"}"#),
        ("undo", r#"{"error": {"message": "m", "effect": "nothing"}}"#),
        ("undo", r#"{"error": {"effect": "none"}}"#),
        ("undo", r#"{"error": {"message": "m", "code": "lock.lost"}}"#),
        ("undo", r#"{"error": {"message": "m", "code": "boom"}}"#),
        ("locate", r#"{"at": "after", "error": "boom"}"#),
        ("locate", r#"["after"]"#),
        ("locate", r#""after""#),
        ("locate", r#"{"at": "after"}{"at": "before"}"#),
        ("locate", r#"{"at": "after"} and so on"#),
        ("locate", r#"{"at": "between"}"#),
        ("locate", r#"{"at": "elsewhere", "live": ["theirs"]}"#),
        ("apply", "{}"),
        ("apply", r#"{"receipt": null}"#),
        ("apply", r#"[{"receipt": 1}]"#),
        ("plan", r#"{"change": 1, "summary": "s"}"#),
        ("plan", r#"{"change": 1, "scope": null, "summary": "s"}"#),
        ("plan", r#"[1, 1, "s"]"#),
    ] {
        let error = answered(call, answer).await.map(|read| panic!("{call} {answer}: {read}"));
        let error = error.unwrap_err();
        assert_eq!(error.code().as_str(), "command.protocol", "{call} {answer}: {error}");
        let unknown = matches!(call, "apply" | "undo");
        let effect = if unknown { Effect::Unknown } else { Effect::None };
        assert_eq!(error.effect(), effect, "{call} {answer}");
    }
}

#[tokio::test]
async fn the_answer_that_is_asked_for_is_read() {
    let of = |location: Location| json!(location);
    let theirs = Live::new("theirs", Some("v2".to_owned()));
    for (call, answer, read) in [
        ("live", r#"{"live": null}"#, Value::Null),
        ("live", r#"{"live": {"release": "r"}, "more": 1}"#, json!(Live::new("r", None))),
        ("locate", r#"{"at": "after"}"#, of(Location::After)),
        ("locate", r#"{"at": "between", "why": "half"}"#, of(Location::Between("half".into()))),
        (
            "locate",
            r#"{"at": "elsewhere", "live": {"release": "theirs", "version": "v2"}}"#,
            of(Location::Elsewhere(theirs)),
        ),
        ("apply", r#"{"receipt": false}"#, json!(false)),
        ("undo", "{}", Value::Null),
    ] {
        assert_eq!(answered(call, answer).await.unwrap(), read, "{call} {answer}");
    }
}

#[tokio::test]
async fn a_script_that_breaks_the_protocol_is_told_so() {
    for (script, code) in [
        ("echo fine", "command.protocol"),
        ("printf '\\377\\376'", "command.protocol"),
        ("true", "command.protocol"),
        ("echo '{}'", "command.protocol"),
        ("echo '{\"at\": \"somewhere\"}'", "command.protocol"),
        ("echo '{\"at\": \"after\"}'; exit 1", "command.exit"),
        ("echo '{\"error\": \"no\"}'; exit 1", "command.exit"),
        ("echo '{\"error\": {\"message\": \"no\"}}'", "command.failed"),
        ("yes '{' | head -c 3000000", "command.protocol"),
        ("exec sleep 300", "command.timeout"),
    ] {
        let sign = Sign::new();
        sign.script(&format!("#!/bin/sh\n{script}\n"));
        let cx = context(Duration::from_secs(3));
        let error = sign.deploy().locate(&cx, &change(), None).await.unwrap_err();
        assert_eq!(
            (error.code().as_str(), error.effect()),
            (code, Effect::None),
            "{script}: {error}"
        );
        if code == "command.timeout" {
            assert!(error.to_string().contains("the run's deadline"), "{error}");
        }
    }
}

#[tokio::test]
async fn what_a_failed_write_has_done_is_unknown_unless_the_script_tells() {
    for (script, code, effect) in [
        ("exit 1", "command.exit", Effect::Unknown),
        ("echo nonsense", "command.protocol", Effect::Unknown),
        ("echo '{\"error\": {\"message\": \"no\"}}'; exit 1", "command.failed", Effect::Unknown),
        (
            "echo '{\"error\": {\"message\": \"no\", \"effect\": \"none\"}}'; exit 1",
            "command.failed",
            Effect::None,
        ),
        (
            "echo '{\"error\": {\"message\": \"no\", \"code\": \"sign.full\"}}'; exit 1",
            "sign.full",
            Effect::Unknown,
        ),
    ] {
        let error = called("apply", script).await.unwrap_err();
        assert_eq!((error.code().as_str(), error.effect()), (code, effect), "{script}: {error}");
    }
    let quotes = called("apply", "echo it is $TOKEN >&2; exit 1").await.unwrap_err().to_string();
    assert!(quotes.contains("it is ***"), "{quotes}");
}

#[tokio::test]
async fn a_script_tells_its_failures_apart_and_is_recovered_from() {
    let sign = Sign::new();
    let script = |answer: &str| {
        format!(
            "#!/bin/sh\ncd {home}\ncase $1 in\n\
             plan) echo '{{\"change\": 1, \"scope\": 1, \"summary\": \"s\"}}';;\n\
             live) echo '{{\"live\": null}}';;\n\
             locate) [ -e $0.done ] && at=after || at=before; echo \"{{\\\"at\\\": \\\"$at\\\"}}\";;\n\
             apply) {answer};;\nundo) rm -f $0.done; echo '{{}}';; esac\n",
            home = sign.path("").display()
        )
    };
    let full =
        r#"echo '{"error": {"code": "sign.full", "message": "m", "effect": "none"}}'; exit 1"#;
    let applies = "touch $0.done; echo '{\"receipt\": 1}'";
    sign.script(&script(&format!("[ -e room.done ] || {{ {full}; }}; {applies}")));
    let main = sign.deploy();
    let room = Sign::new();
    room.script(&script(&format!("touch room.done; {applies}")));
    let repair = gatekit_local::CommandDeploy::new("room", Program::new(room.path("sign.sh")));
    let repair = repair.unwrap();
    let (undo, undo_repair) = (main.undo(), repair.undo());
    let recovery = on(gatekit_core::Code::new("sign.full"))
        .deploy(repair)
        .rollback_with(undo_repair)
        .then(Replan);
    let pipeline = Pipeline::to("test/sign")
        .deploy(main)
        .rollback_with(undo)
        .recover(recovery)
        .build()
        .unwrap();
    let report = Engine::new(sign.ledger()).ship(&pipeline, Candidate::new()).await;
    assert_eq!(report.outcome, Outcome::Released, "{report:?}");
    assert!(sign.path("room.done").exists());
}

/// A secret with all that is awkward: several words, a tab, a second line.
const SECRET: &str = "CANARY-1\tCANARY-2\nCANARY-3";

/// Whatever a script does with its secret but answering it as a fact, it is not recorded.
#[tokio::test]
async fn no_secret_gets_out_of_a_script() {
    let tells = r#"printf '%s' "$KEY" | head -n 1 | sed 's/$/!/' >&2; printf '%s\n' "$KEY" | tr '\t' ' ' >&2"#;
    // As a string of JSON.
    let quoted = r#"Q=$(printf '%s' "$KEY" | head -n 1 | sed 's/\t/\\t/')"#;
    for says in [
        "exit 1",
        r#"echo "{\"at\": \"$Q\"}""#,
        r#"echo "{\"at\": {\"$Q\": 1}}""#,
        r#"echo "{\"error\": {\"message\": \"it is $Q\"}}""#,
        r#"echo "{\"error\": {\"message\": \"m\", \"effect\": \"$Q\"}}""#,
        r#"echo "{\"error\": {\"message\": \"m\", \"code\": \"$Q\"}}""#,
        r#"echo "{\"receipt\": null, \"at\": \"between\", \"why\": \"$Q\", \"live\": \"$Q\"}""#,
        r#"echo "$KEY""#,
        "kill -9 $$",
    ] {
        let sign = Sign::new();
        let broken = format!("#!/bin/sh\n{quoted}\n{tells}\n{says}\n");
        sign.script(&format!(
            "#!/bin/sh\nif [ -e {began} ]; then exec {broken}; fi\ncase $1 in\n\
             plan) echo '{{\"change\": 1, \"scope\": 1, \"summary\": \"s\"}}';;\n\
             live) echo '{{\"live\": null}}';;\n\
             locate) echo '{{\"at\": \"before\"}}';;\n\
             *) touch {began}; exec {broken};; esac\n",
            began = sign.path("began").display(),
            broken = sign.path("broken").display(),
        ));
        std::fs::rename(sign.path("sign.sh"), sign.path("whole")).unwrap();
        sign.script(&broken);
        std::fs::rename(sign.path("sign.sh"), sign.path("broken")).unwrap();
        let program = |line: &str| Program::shell(line).secret("KEY", SECRET.into());
        let deploy = Program::new(sign.path("whole")).secret("KEY", SECRET.into());
        let deploy = gatekit_local::CommandDeploy::new("sign", deploy).unwrap();
        let undo = deploy.undo();
        let gate = |id: &str, line: &str| enforced(Command::new(id, program(line)).unwrap());
        let pipeline = Pipeline::to("test/sign")
            .gate(gate("passes", &format!("{tells}; echo \"$KEY\"")))
            .deploy(deploy)
            .rollback_with(undo)
            .verify(gate("fails", &format!("{tells}; echo \"$KEY\"; exit 1")))
            .build()
            .unwrap();
        let report = Engine::new(sign.ledger()).ship(&pipeline, Candidate::new()).await;
        assert_ne!(report.outcome, Outcome::Released, "{report:?}");
        let journal = sign.ledger().read(&target(), 0, 1000).await.unwrap();
        assert!(journal.len() > 5, "{says}: {report:?}");
        let mut told = format!("{report:?}");
        for record in journal {
            told.push_str(&record.entry);
        }
        assert!(!told.contains("CANARY"), "{says}: {told}");
        assert!(told.contains("***"), "{says}: {told}");
        // Nor what can be guessed from.
        let digests = [format!("{SECRET}\n"), SECRET.to_owned(), "CANARY-1\tCANARY-2\n".to_owned()];
        for digest in digests.map(gatekit_core::Digest::of) {
            assert!(!told.contains(digest.as_str()), "{says}: {told}");
        }
        assert!(told.contains("withheld"), "{says}");
    }
}

/// What a script says of itself is one line of bounded length, and nothing for a terminal.
#[tokio::test]
async fn a_script_s_own_words_are_bounded() {
    let long = r#"printf '{"error": {"message": "a\\nb\\u001b[31mred %02000d"}}' 0; exit 1"#;
    let text = called("apply", long).await.unwrap_err().to_string();
    assert!(text.contains("says: a b [31mred 000"), "{text}");
    assert!(text.len() < 1500 && !text.contains('\n') && !text.contains('\u{1b}'), "{text}");
}
