//! What is on the terminal, as far as a terminal in memory shows it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use gatekit_core::ledger::{GatePhase, Lineage, StageScope};
use gatekit_core::{
    Candidate, Code, Digest, Enforcement, Error, Evidence, Finding, Outcome, RunId, TargetName,
    Timestamp,
};
use indicatif::{InMemoryTerm, TermLike};
use serde_json::json;

use super::*;

/// A terminal, a reporter that draws on it, and a clock that is wound by hand.
struct World {
    screen: InMemoryTerm,
    terminal: Terminal,
    seconds: Arc<AtomicU64>,
}

fn stage(id: &str) -> StageId {
    StageId::new(id).unwrap()
}

fn target_name() -> TargetName {
    TargetName::new("t").unwrap()
}

fn whole(event: &EventBody) -> Event {
    serde_json::from_value(json!({"v": 1, "event": event})).unwrap()
}

fn step_of(entry: &Entry) -> EventBody {
    let head = json!({"seq": 1, "hash": Digest::of("it")});
    serde_json::from_value(json!({"type": "step", "entry": entry, "head": head})).unwrap()
}

/// Whether it is of a spinner.
fn turns(c: char) -> bool {
    ('\u{2800}'..='\u{28ff}').contains(&c)
}

impl World {
    fn new(rows: u16, columns: u16) -> Self {
        let (screen, seconds) = (InMemoryTerm::new(rows, columns), Arc::default());
        let clock = Arc::clone(&seconds);
        let clock =
            Box::new(move || Duration::from_secs(AtomicU64::load(&clock, Ordering::SeqCst)));
        let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
        Self { screen, terminal: Terminal::new(target, clock), seconds }
    }

    fn event(&mut self, event: &EventBody) {
        self.terminal.event(&whole(event));
    }

    fn step(&mut self, body: Body) {
        let entry = Entry::new(target_name(), RunId::generate(), "ann", None, body);
        self.event(&step_of(&entry));
    }

    fn asked(&mut self, id: &str) {
        let (target, run) = (target_name(), RunId::generate());
        self.event(&EventBody::GateAsked { target, run, stage: stage(id) });
    }

    fn answered(&mut self, id: &str, word: &str) {
        let (target, run, word) = (target_name(), RunId::generate(), word.to_owned());
        self.event(&EventBody::GateAnswered { target, run, stage: stage(id), word });
    }

    fn progress(&mut self, id: Option<&str>, message: &str) {
        let (target, run, message) = (target_name(), RunId::generate(), message.to_owned());
        self.event(&EventBody::Progress { target, run, stage: id.map(stage), message });
    }

    fn opened(&mut self) {
        let process = json!({"boot": "", "namespace": "", "pid": 7, "started": null});
        self.step(
            serde_json::from_value(json!({
                "kind": "opened", "mode": "ship", "candidate": Candidate::new().with_version("v2"),
                "fingerprint": Digest::of("p"), "intent": Digest::of("i"), "arguments": null,
                "process": process,
            }))
            .unwrap(),
        );
    }

    fn verdict(&mut self, id: &str, verdict: Verdict) {
        let (phase, enforcement) = (GatePhase::Admission, Enforcement::Enforced);
        self.step(Body::Verdict { stage: stage(id), phase, enforcement, verdict });
    }

    fn closed(&mut self) {
        self.step(Body::Closed { outcome: Outcome::Released, failure: None, live: None });
    }

    /// So much later, when the lines are drawn anew.
    fn later(&self, seconds: u64) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
        guarded(&self.terminal.0, Lines::draw);
    }

    /// The rows, with a star for what turns.
    #[track_caller]
    fn shows(&self, rows: &[&str]) {
        let turning = |c| if turns(c) { '*' } else { c };
        let shown: String = self.screen.contents().chars().map(turning).collect();
        assert_eq!(shown.lines().collect::<Vec<_>>(), rows, "\n{shown}");
    }
}

fn pass() -> Verdict {
    Verdict::pass([Evidence::read("it", "it", json!(1))])
}

fn waits(message: &str) -> Verdict {
    Verdict::Wait(Finding::new(Code::new("test.wait"), message))
}

#[test]
fn gates_that_are_asked_at_once_have_a_line_each_until_they_are_judged() {
    let mut world = World::new(10, 63);
    world.shows(&["* planning                                                0s"]);
    world.opened();
    for gate in ["checks", "review", "window"] {
        world.asked(gate);
    }
    world.later(4);
    world.progress(Some("review"), "asked again in 1s:\nbusy");
    world.answered("window", "pass");
    world.later(65);
    let opened = "  0.0s  opened by ann: candidate v2";
    world.shows(&[
        opened,
        "* planning, and asking the gates                       1m09s",
        "  * checks: asked                                      1m09s",
        "  * review: asked again in 1s: busy                    1m09s",
        "    window: says pass                                     4s",
    ]);
    world.verdict("checks", pass());
    world.shows(&[
        opened,
        " 1m09s  gate checks: pass",
        "* planning, and asking the gates                       1m09s",
        "  * review: asked again in 1s: busy                    1m09s",
        "    window: says pass                                     4s",
    ]);
    world.verdict("review", waits("nobody has looked yet"));
    world.verdict("window", pass());
    world.later(3600);
    let waits_on = " 1m09s  gate review: wait, nobody has looked yet";
    let passes = [" 1m09s  gate checks: pass", waits_on, " 1m09s  gate window: pass"];
    let run = "* planning, and asking the gates                       1h01m";
    world.shows(
        &[
            &[opened][..],
            &passes,
            &[run, "  * review: waiting: nobody has looked yet             1h01m"],
        ]
        .concat(),
    );
    // It has waited since it was asked first.
    world.asked("review");
    world.answered("review", "wait");
    world.later(60);
    let rows = world.screen.contents();
    assert!(rows.ends_with("review: waiting: nobody has looked yet             1h02m"), "{rows}");
    world.closed();
    let closed = " 1h02m  closed: released";
    world.shows(&[&[opened][..], &passes, &[closed]].concat());
}

#[test]
fn a_deploy_tells_what_it_does_and_since_when_beside_the_run() {
    let mut world = World::new(9, 53);
    world.progress(None, "waiting in the queue: 1 ahead");
    world.later(5);
    world.shows(&["* waiting in the queue: 1 ahead                 5s"]);
    world.progress(Some("web"), "hashes files");
    let scopes = vec![StageScope::new(stage("web"), Digest::of("s"), "shows v2")];
    world.step(Body::Granted { ticket: 1, lineage: Lineage::Unknown, scopes, also: [].into() });
    world.step(Body::Applying { stage: stage("web"), change: json!(1) });
    world.later(2);
    world.step(Body::Calling { stage: stage("web"), call: "switch the link".into() });
    world.later(2);
    let steps = [
        "  5.0s  granted under fence 0: shows v2",
        "  5.0s  web: applying",
        "  7.0s  web: switch the link",
    ];
    world.shows(
        &[
            &steps[..],
            &[
                "* deploying                                     4s",
                "  * web: switch the link                        4s",
            ],
        ]
        .concat(),
    );
    world.step(Body::Applied { stage: stage("web"), receipt: json!(1) });
    world.later(1);
    world.shows(
        &[
            &steps[..],
            &[
                "* deploying                                     5s",
                "  * web: waiting until it is live               1s",
            ],
        ]
        .concat(),
    );
    world.step(Body::Settled { stage: stage("web"), already: false });
    world.shows(
        &[&steps[..], &[" 10.0s  web: live", "* going on                                      0s"]]
            .concat(),
    );
}

/// What a set that was cut off still shows is not waited for.
#[test]
fn what_is_undone_has_no_gate_beside_it() {
    let mut world = World::new(9, 43);
    world.asked("smoke");
    world.step(Body::RollingBack {
        stage: stage("web"),
        of: RunId::generate(),
        change: json!(1),
        receipt: None,
    });
    world.shows(&[
        "  0.0s  web: rolling back",
        "* rolling back                        0s",
        "  * web: rolling back                 0s",
    ]);
    world.step(Body::RolledBack { stage: stage("web"), of: RunId::generate() });
    let rows = world.screen.contents();
    assert!(!rows.contains("* web") && rows.contains("0.0s  web: undone"), "{rows}");
}

#[test]
fn a_live_line_is_cut_to_the_width_whatever_is_in_it() {
    let mut world = World::new(6, 23);
    world.asked("a-gate-with-a-long-name");
    world.progress(Some("wide"), "長い長い長い長い長い");
    world.later(7);
    world.shows(&["* planning        7s", "  * a-gate-wi     7s", "  * wide: 長     7s"]);
    world.progress(Some("wide"), "a\tb\u{1b}[2J");
    world.shows(&["* planning        7s", "  * a-gate-wi     7s", "  * wide: a b     7s"]);
    world.closed();
    world.shows(&["  7.0s  closed: release", "d"]);
}

/// What the terminal echoes of an interrupt is overwritten.
#[test]
fn an_echoed_interrupt_makes_no_line_stay() {
    let mut world = World::new(8, 43);
    let interrupt = |world: &World| {
        world.screen.write_str("^C").unwrap();
        world.later(1);
    };
    interrupt(&world);
    world.shows(&["* planning                            1s"]);
    for gate in ["checks", "review"] {
        world.asked(gate);
        interrupt(&world);
    }
    let (run, checks) =
        ("* planning                            3s", "  * checks: asked                     2s");
    world.shows(&[run, checks, "  * review: asked                     1s"]);
    world.verdict("review", pass());
    interrupt(&world);
    let steps = ["  3.0s  gate review: pass", "  4.0s  closed: released"];
    let (run, checks) =
        ("* planning                            4s", "  * checks: asked                     3s");
    world.shows(&[steps[0], run, checks]);
    world.closed();
    world.shows(&steps);
}

#[test]
fn nothing_stays_on_any_size_of_terminal() {
    for (rows, columns) in (2..8).flat_map(|rows| (2..32).map(move |columns| (rows, columns))) {
        let mut world = World::new(rows, columns);
        world.opened();
        for gate in 0..9 {
            world.asked(&format!("gate-{gate}"));
            world.progress(Some(&format!("gate-{gate}")), "長い message");
        }
        world.later(100_000);
        for gate in (0..9).rev() {
            world.answered(&format!("gate-{gate}"), "pass");
        }
        (0..9).for_each(|gate| world.verdict(&format!("gate-{gate}"), pass()));
        world.step(Body::Applying { stage: stage("web"), change: json!(1) });
        world.later(1);
        let failure = Error::new(Code::new("a.b"), "長い").to_failure();
        world.step(Body::Stuck { failure });
        world.progress(Some("web"), "late");
        world.later(1);
        let shown = world.screen.contents();
        assert!(!shown.contains(turns), "{rows} {columns}:\n{shown}");
        let mut broken = true;
        guarded(&world.terminal.0, |lines| broken = lines.broken);
        assert!(!broken, "{rows} {columns}");
    }
}

/// Its width is none that anything fits in, and nothing can be written to it.
#[derive(Debug)]
struct Gone;

impl TermLike for Gone {
    fn width(&self) -> u16 {
        1
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        if text.contains("broken") { panic!("on purpose") } else { Ok(()) }
    }

    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

/// A panic while another unwinds would abort the run.
#[test]
fn a_terminal_that_is_gone_or_makes_its_lines_panic_is_left_alone() {
    for message in ["fine", "broken", "長"] {
        let target = ProgressDrawTarget::term_like(Box::new(Gone));
        let mut terminal = Terminal::new(target, Box::new(|| Duration::ZERO));
        let screen = terminal.screen();
        let event = EventBody::GateAsked {
            target: target_name(),
            run: RunId::generate(),
            stage: stage("gate"),
        };
        terminal.event(&whole(&event));
        let (run, reason) = (RunId::generate(), message.to_owned());
        let waiver = Body::Waiver {
            stage: stage("gate"),
            intent: Digest::of("i"),
            until: Timestamp::now(),
            reason,
        };
        let entry = Entry::new(target_name(), run, "ann", None, waiver);
        terminal.event(&whole(&step_of(&entry)));
        drop(terminal);
        screen.take_down();
    }
}

#[test]
fn nothing_is_drawn_over_what_is_printed_after_a_run() {
    let mut world = World::new(6, 40);
    world.asked("gate");
    world.terminal.screen().take_down();
    world.shows(&[]);
    world.screen.write_line("interrupted: target t").unwrap();
    world.progress(Some("gate"), "late");
    world.closed();
    world.later(1);
    drop(world.terminal);
    assert_eq!(world.screen.contents(), "interrupted: target t");
}

#[test]
fn a_time_is_as_exact_as_it_is_short() {
    for (millis, over, going_on) in [
        (440, "0.4s", "0s"),
        (59_900, "59.9s", "59s"),
        (185_000, "3m05s", "3m05s"),
        (7_620_000, "2h07m", "2h07m"),
    ] {
        let time = Duration::from_millis(millis);
        assert_eq!((elapsed(time).as_str(), seconds(time).as_str()), (over, going_on));
    }
}
