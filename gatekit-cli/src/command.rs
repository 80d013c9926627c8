//! The command line, made for the pipelines that there are.

use std::env;
use std::ffi::OsString;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgGroup, Args, Command};
use clap_complete::Shell;
use gatekit_core::ledger::{Decision, Head};
use gatekit_core::{RunId, StageId};

use crate::app::{App, Named};
use crate::common::{Common, EVERY_VERB, beginning_of_a_digest, duration, not_empty};
use crate::help::{EXIT_CODES, Endings};
use crate::recipe::Shared;

/// The verb that prints a shell's completions.
pub(crate) const COMPLETIONS: &str = "completions";

/// The verbs of a ledger as a whole.
pub(crate) const LEDGER: &str = "ledger";

// `ship`, and what ships otherwise.
#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct Ship {
    /// Wait in this process for gates that say wait, like an approval, instead of parking at once; for
    /// 24h unless a time is given
    #[arg(
        long, value_name = "TIME", value_parser = duration,
        num_args = 0..=1, require_equals = true, default_missing_value = "24h"
    )]
    pub(crate) wait: Option<Duration>,
}

// `resume`.
#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct Resume {
    /// The run to go on with [default: the one that holds the target or left it suspect, else the
    /// newest that did not end]
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<RunId>,
    #[command(flatten)]
    pub(crate) ship: Ship,
}

// `plan`.
#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct Plan {
    /// Ask the gates, too
    #[arg(long)]
    pub(crate) gates: bool,
}

// `rollback`.
#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct Rollback {
    /// The release to return to: its id, its version, or its run [default: the one before]
    #[arg(long, value_name = "RELEASE")]
    pub(crate) to: Option<String>,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT", value_parser = not_empty)]
    pub(crate) reason: String,
}

/// Named so that no pipeline's own argument or group is called the same.
const DECISION: &str = "gatekit.decision";

// `reconcile`.
#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct Reconcile {
    /// The new release stays: it must be live and pass verification
    #[arg(long, group = DECISION, requires = "reason")]
    pub(crate) adopt: bool,
    /// The old release is live
    #[arg(long, group = DECISION, requires = "reason")]
    pub(crate) confirm_old: bool,
    /// Undo what the run began
    #[arg(long, group = DECISION, requires = "reason")]
    pub(crate) roll_back: bool,
    /// Free the target whatever is live, and answer for it
    #[arg(long = "override", group = DECISION, requires = "reason")]
    pub(crate) overrule: bool,
    /// Why, for the journal; a decision needs one
    #[arg(long, value_name = "TEXT", value_parser = not_empty)]
    pub(crate) reason: Option<String>,
}

impl Reconcile {
    pub(crate) fn decision(&self) -> Option<Decision> {
        [
            (self.adopt, Decision::Adopt),
            (self.confirm_old, Decision::ConfirmOld),
            (self.roll_back, Decision::RollBack),
            (self.overrule, Decision::Override),
        ]
        .into_iter()
        .find_map(|(given, decision)| given.then_some(decision))
    }
}

// `log`.
#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct Log {
    /// Check the hash chain, and print nothing but the result
    #[arg(long)]
    pub(crate) verify: bool,

    /// Print only the end of the chain, `SEQ:HASH`, to be kept elsewhere
    #[arg(long, conflicts_with = "verify")]
    pub(crate) head: bool,

    /// With --verify: the chain must still contain this exported end
    #[arg(long, value_name = "SEQ:HASH", requires = "verify")]
    pub(crate) against: Option<Head>,
}

// `approve` and `reject`.
#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct Answer {
    /// The run that waits [default: the only one]
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<RunId>,
    /// The stage that waits [default: the only one]
    #[arg(long, value_name = "STAGE")]
    pub(crate) stage: Option<StageId>,
    /// What was looked at, as the suggested command names it: a run that would touch something else by
    /// now is not answered
    #[arg(long, value_name = "DIGEST", value_parser = beginning_of_a_digest)]
    pub(crate) scope: Option<String>,
    /// What the others should know, for the journal
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) comment: String,
}

// `waive`.
#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct Waive {
    /// The gate that blocked it
    #[arg(long, value_name = "STAGE")]
    pub(crate) stage: StageId,
    /// How long you answer for it
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(crate) lasts: Duration,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT", value_parser = not_empty)]
    pub(crate) reason: String,
    /// The run that was blocked [default: the newest that has not ended; one that has is named]
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<RunId>,
}

/// The whole command line of a program.
pub(crate) fn of(app: &App) -> Command {
    let examples = match (app.examples, app.pipelines.as_slice()) {
        (Some(examples), _) => format!("{examples}\n\n"),
        (None, []) => String::new(),
        (None, [only]) => format!("{}\n\n", Endings { program: app.name }.root(only)),
        (None, [first, ..]) => {
            let program = format!("{} {}", app.name, first.target);
            format!("{}\n\n", Endings { program: &program }.root(first))
        }
    };
    let mut command = app
        .own
        .clone()
        .mut_args(|arg| arg.help_heading(EVERY_VERB).hide_env_values(true))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .after_help(format!("{examples}{EXIT_CODES}"));
    if let Some(about) = app.about {
        command = command.about(about);
    }
    if let Some(version) = app.version {
        command = command.version(version);
    }
    command = Common::augment_args(command);
    if let Some(deadline) = app.deadline {
        command = command.mut_arg("deadline", |arg| arg.default_value(deadline));
    }
    command = match app.pipelines.as_slice() {
        [only] => command.subcommands(verbs(app.name, only)),
        several => several.iter().fold(command, |command, pipeline| {
            let prefix = format!("{} {}", app.name, pipeline.target);
            command.subcommand(
                Command::new(pipeline.target)
                    .about(format!("Release to {}", pipeline.target))
                    .subcommand_required(true)
                    .arg_required_else_help(true)
                    .disable_help_subcommand(true)
                    .subcommands(verbs(&prefix, pipeline)),
            )
        }),
    };
    #[cfg(feature = "postgres")]
    let command = command.subcommand(crate::ledger::command(app.name));
    let shell = Arg::new("shell").required(true).value_parser(clap::value_parser!(Shell));
    command.subcommand(
        Command::new(COMPLETIONS)
            .about("Print the completions of a shell: source them in its start-up file")
            .arg(shell),
    )
}

/// The program with the commands that a command line names before it goes wrong: whose help helps.
pub(crate) fn meant(app: &App, words: &[OsString]) -> String {
    let mut meant = app.name.to_owned();
    let mut command = &of(app);
    for word in words.iter().skip(1) {
        let Some(named) = command.find_subcommand(word) else { continue };
        meant = format!("{meant} {}", named.get_name());
        command = named;
    }
    meant
}

fn verbs(program: &str, pipeline: &Named) -> Vec<Command> {
    let mut verbs = Vec::new();
    let Some(ship) = pipeline.recipes.first() else { return verbs };
    let endings = Endings { program };
    let verb = |verb: &'static str, about: &'static str| {
        Command::new(verb).about(about).after_help(endings.of(verb))
    };
    let rebuilt =
        |name: &'static str, about: &'static str| with_update(verb(name, about), &pipeline.recipes);
    verbs.push(
        Plan::augment_args(ship.augment(Command::new("plan")))
            .about("Show what a ship would do, without doing it")
            .after_help(endings.plan(ship)),
    );
    for recipe in &pipeline.recipes {
        let verb = Ship::augment_args(recipe.augment(Command::new(recipe.verb())));
        verbs.push(verb.about(recipe.about()).after_help(endings.ship(recipe)));
    }
    verbs.extend(pipeline.looks.iter().map(|look| look.command()));
    // It takes them for the sake of what the environment gives: to look may need a secret.
    let status = rebuilt("status", "Show what is live, who holds the target and who waits");
    verbs.push(status.mut_args(|arg| arg.hide(true)));
    verbs.push(Log::augment_args(verb("log", "Print the journal, one entry a line")));
    verbs.push(Rollback::augment_args(rebuilt("rollback", "Return to an earlier release")));
    verbs.push(Resume::augment_args(rebuilt(
        "resume",
        "Go on with a run that was killed, interrupted or parked",
    )));
    verbs.push(Reconcile::augment_args(rebuilt(
        "reconcile",
        "Settle a suspect target; without a decision, tell what is found",
    )));
    for (name, about) in [
        ("approve", "Approve a run that waits for it: it is bound to what the run would touch"),
        ("reject", "Reject a run that waits for an approval"),
    ] {
        verbs.push(Answer::augment_args(verb(name, about)));
    }
    verbs.push(Waive::augment_args(rebuilt(
        "waive",
        "Answer for a gate that blocks, for a while and for one candidate",
    )));
    verbs.push(rebuilt("verify", "Ask the verify gates about what is live now"));
    verbs
}

/// Adds the arguments of all recipes, none of which is needed, with their groups.
fn with_update(command: Command, recipes: &[Shared]) -> Command {
    let mut seen = Vec::new();
    let mut groups: Vec<ArgGroup> = Vec::new();
    let mut command = command;
    for recipe in recipes {
        let own = recipe.augment_for_update(Command::new("own"));
        for group in own.get_groups() {
            let Some(at) = groups.iter().position(|it| it.get_id() == group.get_id()) else {
                groups.push(group.clone());
                continue;
            };
            let known: Vec<_> = groups[at].get_args().cloned().collect();
            let more = group.get_args().filter(|id| !known.contains(id)).cloned();
            groups[at] = groups[at].clone().args(more);
        }
        for arg in own.get_arguments() {
            if !seen.contains(arg.get_id()) {
                seen.push(arg.get_id().clone());
                command = command.arg(arg.clone());
            }
        }
    }
    command.groups(groups)
}

/// What two arguments of a verb, or two verbs, have in common that they must not: clap looks for it
/// only in debug builds, and only at the verb that is called.
pub(crate) fn clash(command: &Command, above: &[&Arg]) -> Option<String> {
    let built_in = built_in(command);
    let mut known: Vec<&Arg> = above.iter().copied().chain(&built_in).collect();
    for arg in command.get_arguments() {
        if known.iter().any(|other| same(other, arg)) {
            let (name, verb) = (arg.get_id(), command.get_name());
            return Some(format!("the program has two arguments `{name}` of the verb `{verb}`"));
        }
        known.push(arg);
    }
    for group in command.get_groups() {
        if known.iter().any(|arg| arg.get_id() == group.get_id()) {
            let (name, verb) = (group.get_id(), command.get_name());
            return Some(format!("the program has an argument and a group `{name}` of `{verb}`"));
        }
    }
    let global: Vec<&Arg> = known.into_iter().filter(|arg| arg.is_global_set()).collect();
    let mut verbs = Vec::new();
    for verb in command.get_subcommands() {
        if verbs.contains(&verb.get_name()) {
            return Some(format!("the program has two verbs `{}`", verb.get_name()));
        }
        verbs.push(verb.get_name());
        if let Some(clash) = clash(verb, &global) {
            return Some(clash);
        }
    }
    None
}

/// What clap adds when the command is called.
fn built_in(command: &Command) -> Vec<Arg> {
    let flag = |name, short| Arg::new(name).long(name).short(short).action(ArgAction::SetTrue);
    let help = (!command.is_disable_help_flag_set()).then(|| flag("help", 'h'));
    let version = (!command.is_disable_version_flag_set()).then(|| flag("version", 'V'));
    help.into_iter().chain(version).collect()
}

/// Whether both are called by one name.
fn same(one: &Arg, other: &Arg) -> bool {
    let longs = |arg: &Arg| -> Vec<String> {
        let aliases = arg.get_all_aliases().unwrap_or_default();
        arg.get_long().into_iter().chain(aliases).map(str::to_owned).collect()
    };
    let shorts = |arg: &Arg| -> Vec<char> {
        let aliases = arg.get_all_short_aliases().unwrap_or_default();
        arg.get_short().into_iter().chain(aliases).collect()
    };
    one.get_id() == other.get_id()
        || longs(one).iter().any(|long| longs(other).contains(long))
        || shorts(one).iter().any(|short| shorts(other).contains(short))
}

/// The arguments that a ship cannot do without, as they are typed: without those that the environment
/// gives.
pub(crate) fn needed(recipe: &Shared) -> Vec<String> {
    let own = recipe.augment(Command::new("own"));
    let given = |arg: &Arg| arg.get_env().is_some_and(|name| env::var_os(name).is_some());
    let mut needed = Vec::new();
    for arg in own.get_arguments().filter(|arg| arg.is_required_set() && !given(arg)) {
        if let Some(long) = arg.get_long() {
            needed.push(format!("--{long}"));
        } else if let Some(short) = arg.get_short() {
            needed.push(format!("-{short}"));
        }
        if matches!(arg.get_action(), ArgAction::Set | ArgAction::Append) {
            let name = arg.get_value_names().and_then(|names| names.first());
            needed.push(name.map_or_else(|| "VALUE".to_owned(), ToString::to_string));
        }
    }
    needed
}
