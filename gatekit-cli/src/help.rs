//! What help ends with: calls that can be typed as they stand, and the exit codes.

use std::fmt::Write as _;

use crate::app::Named;
use crate::command::needed;
use crate::recipe::Shared;

pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0 released or unchanged   1 refused or superseded, nothing touched   2 usage or configuration
  3 rolled back, the old release is confirmed live   4 stuck, a person must act
  5 failed before anything was touched   75 waiting, resume later   130 interrupted";

/// What a verb's help ends with.
pub(crate) struct Endings<'a> {
    /// With the name of the pipeline, where there are several.
    pub(crate) program: &'a str,
}

impl Endings<'_> {
    /// Of a verb that ships.
    pub(crate) fn ship(&self, recipe: &Shared) -> String {
        let call = called(recipe);
        let waits = format!("{call} --wait=2h");
        let lines = [
            (call.as_str(), "through the gates, and live"),
            (&waits, "and wait here for an approval"),
        ];
        format!("{}\n\n{EXIT_CODES}", self.examples(&lines))
    }

    /// Of `plan`.
    pub(crate) fn plan(&self, recipe: &Shared) -> String {
        let args = call_of("plan", &needed(recipe));
        let gates = format!("{args} --gates");
        let lines = [
            (args.as_str(), "what each deploy would touch"),
            (&gates, "and what the gates say now"),
        ];
        let examples = self.examples(&lines);
        format!(
            "{examples}\n\nIt takes no lock and writes nothing, so a later ship may find something \
             else."
        )
    }

    /// Of a verb that needs nothing but its own arguments.
    pub(crate) fn of(&self, verb: &str) -> String {
        let lines: &[(&str, &str)] = match verb {
            "status" => &[
                ("status", "what is live, who holds the target, who waits"),
                ("status --output json", "for a program"),
            ],
            "log" => &[
                ("log", "every step, with who and when"),
                ("log --verify", "check the hash chain"),
                ("log --head", "its end, to be kept elsewhere"),
            ],
            "rollback" => &[
                ("rollback --reason 'checkout is broken'", "to the release before"),
                ("rollback --to 1.4.0 --reason 'checkout is broken'", "to an earlier one"),
            ],
            "resume" => &[
                ("resume", "go on where a killed or interrupted run stopped"),
                ("resume --wait=2h", "and wait here for an approval"),
            ],
            "reconcile" => &[
                ("reconcile", "what is found, and what may be decided"),
                ("reconcile --adopt --reason 'it answers'", "the new release stays"),
            ],
            "approve" => &[
                ("approve", "the only run that waits"),
                ("approve --comment 'seen in staging'", "with a word to the others"),
            ],
            "reject" => &[("reject --comment 'not on a Friday'", "the only run that waits")],
            "waive" => &[(
                "waive --stage checks --for 2h --reason 'the checker is down, tests ran by hand'",
                "for the run that it blocks",
            )],
            "verify" => &[("verify", "what is live now, by the verify gates")],
            "ledger copy" => &[(
                "ledger copy sqlite: postgres://owner@db.example.org/gatekit",
                "the program's own ledger, for all who ship from elsewhere",
            )],
            _ => return String::new(),
        };
        let examples = self.examples(lines);
        match verb {
            "ledger copy" => format!(
                "{examples}\n\nThe file is closed for good: it can be read, and nothing is released from \
                 it any more. A call\nthat was cut off is completed by the same call."
            ),
            "rollback" | "resume" | "reconcile" => format!("{examples}\n\n{EXIT_CODES}"),
            "waive" => format!(
                "{examples}\n\nA gate that fails ends its run: what to type then, with the run, is \
                 what it answers."
            ),
            _ => examples,
        }
    }

    /// Of the whole program, where it brings no examples of its own.
    pub(crate) fn root(&self, pipeline: &Named) -> String {
        let ships = pipeline.recipes.iter().map(called).collect::<Vec<_>>();
        let mut lines = Vec::new();
        for (recipe, call) in pipeline.recipes.iter().zip(&ships) {
            lines.push((call.as_str(), recipe.about()));
        }
        lines.extend([
            ("status", "Show what is live, who holds the target and who waits"),
            ("rollback --reason 'checkout is broken'", "Return to the release before"),
            ("resume", "Go on where a killed or interrupted run stopped"),
            ("log --verify", "Check the hash chain of the journal"),
        ]);
        self.examples(&lines)
    }

    /// A call a line, and below it what it is for: side by side they would not fit.
    fn examples(&self, lines: &[(&str, &str)]) -> String {
        let mut text = String::from(if lines.len() == 1 { "Example:" } else { "Examples:" });
        for (call, what) in lines {
            let _ = write!(text, "\n  {} {call}\n      {what}", self.program);
        }
        text
    }
}

fn called(recipe: &Shared) -> String {
    call_of(recipe.verb(), &needed(recipe))
}

fn call_of(verb: &str, args: &[String]) -> String {
    [&[verb.to_owned()], args].concat().join(" ")
}
