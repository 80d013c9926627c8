//! The summary of a step: what became of each stage, and of the run.

use std::fmt::Write as _;

use gatekit_core::ledger::{Body, Entry};
use gatekit_core::{Action, NextAction, RunReport, StageId, Verdict};

use crate::command::tame;

/// The rows of the table, in the order in which the stages came.
#[derive(Debug, Default)]
pub(crate) struct Rows(Vec<Row>);

#[derive(Debug)]
struct Row {
    stage: StageId,
    mark: &'static str,
    said: String,
}

impl Rows {
    /// Takes what an entry says about a stage: the last word counts.
    pub(crate) fn learn(&mut self, entry: &Entry) {
        let (stage, mark, said) = match &entry.body {
            Body::Verdict { stage, verdict, .. } => match verdict.finding() {
                None => (stage, "✅", "pass".to_owned()),
                Some(finding) => {
                    let waits = matches!(verdict, Verdict::Wait(_));
                    let mark = if waits { "⏳" } else { "❌" };
                    (stage, mark, format!("{}: {}", verdict.word(), finding.message))
                }
            },
            Body::Waived { stage, waiver, .. } => (stage, "⚠️", format!("waived, entry {waiver}")),
            Body::Applying { stage, .. } => (stage, "⏳", "applying".to_owned()),
            Body::Settled { stage, already: true } => (stage, "✅", "live already".to_owned()),
            Body::Settled { stage, .. } => (stage, "✅", "live".to_owned()),
            Body::StageFailed { stage, failure, .. } => (stage, "❌", failure.to_string()),
            Body::RolledBack { stage, .. } => (stage, "↩️", "undone".to_owned()),
            _ => return,
        };
        let row = Row { stage: stage.clone(), mark, said };
        match self.0.iter_mut().find(|known| known.stage == *stage) {
            Some(known) => *known = row,
            None => self.0.push(row),
        }
    }

    /// The summary as Markdown.
    pub(crate) fn markdown(&self, report: &RunReport) -> String {
        let outcome = report.outcome.as_str().replace('_', " ");
        let mut text = format!("### {}: {outcome}\n\n", cell(report.target.as_str()));
        if let Some(live) = &report.live {
            let _ = writeln!(text, "Live: {}\n", cell(&live.to_string()));
        }
        if let Some(failure) = &report.failure {
            let _ = writeln!(
                text,
                "**{}** {}\n",
                cell(failure.code.as_str()),
                cell(&failure.to_string())
            );
        }
        if !self.0.is_empty() {
            text.push_str("| stage | | |\n|---|---|---|\n");
            for Row { stage, mark, said } in &self.0 {
                let _ = writeln!(text, "| {} | {mark} | {} |", cell(stage.as_str()), cell(said));
            }
            text.push('\n');
        }
        for next in &report.next {
            let _ = writeln!(text, "- next: {}", cell(&typed(next)));
        }
        if !report.next.is_empty() {
            text.push('\n');
        }
        if let Some(run) = report.run {
            let _ = writeln!(text, "<sub>run {run}</sub>\n");
        }
        text
    }
}

/// A next action, by its verb: which binary it is of only that binary knows.
fn typed(next: &NextAction) -> String {
    match &next.action {
        Action::Verb(verb, args) => std::iter::once(verb.as_str())
            .chain(args.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(" "),
        Action::Outside(what) => what.clone(),
        _ => "use a newer build".to_owned(),
    }
}

/// Text as one cell of a table: none of it is markup, and it leaves neither the cell nor the line.
/// GitHub still makes a link of a bare address, and a picture of a name like `:tada:`.
fn cell(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for c in tame(text).chars() {
        match c {
            '&' => cell.push_str("&amp;"),
            '<' => cell.push_str("&lt;"),
            '>' => cell.push_str("&gt;"),
            '\n' | '\r' => cell.push(' '),
            // Two of them would be the ends of a formula, and a backslash does not keep them from it.
            '$' => cell.push_str("<span>$</span>"),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '#' | '!' | '@' => {
                cell.push('\\');
                cell.push(c);
            }
            c => cell.push(c),
        }
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_is_text() {
        assert_eq!(cell("\u{1b}[31mred\u{7}"), "\u{fffd}\\[31mred\u{fffd}");
        assert_eq!(cell("$x$"), "<span>$</span>x<span>$</span>");
        assert_eq!(cell("a|b\n<img src=x> `c` @all"), r"a\|b &lt;img src=x&gt; \`c\` \@all");
    }
}
