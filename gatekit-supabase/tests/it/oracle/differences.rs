//! Every difference between the command lines and gatekit that is meant to be.

use gatekit_peers::SupabaseVersion::{self, Go, V3};

use super::case::{Gap, Seen};
use super::tool::Said;

/// What differs, for which command line, and why gatekit does not do the same.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) name: &'static str,
    pub(crate) of: &'static [SupabaseVersion],
    pub(crate) cli: &'static str,
    pub(crate) gatekit: &'static str,
    pub(crate) how: How,
}

/// How it is recognised.
#[derive(Debug, Clone, Copy)]
pub(crate) enum How {
    /// It makes what the command line has left into what gatekit has, if that is all; and the two go on.
    Adjusts(fn(&mut Seen, &Seen) -> bool),
    /// From there on the two are not compared.
    Parts(fn(&Gap<'_>) -> bool),
}

use How::{Adjusts, Parts};

const BOTH: &[SupabaseVersion] = &[V3, Go];

/// The one that comes with each failure of a first file.
pub(crate) const HISTORY_FIRST: &str = "history first";

pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        name: HISTORY_FIRST,
        of: BOTH,
        cli: "makes the table of the history before the first file, in a transaction of its own",
        gatekit: "makes it in the transaction that has the first row: where the first file fails, there is none",
        how: Adjusts(|cli, ours| {
            let has_table = |seen: &Seen| seen.dump.history.contains("CREATE TABLE");
            let is = !has_table(ours) && has_table(cli) && cli.history.is_empty();
            if is {
                cli.dump.history.clone_from(&ours.dump.history);
            }
            is
        }),
    },
    Difference {
        name: "no statements",
        of: &[Go],
        cli: "writes NULL for the statements of a file without any",
        gatekit: "writes an empty list, as version 3 does; reads both as the same",
        how: Adjusts(|cli, ours| {
            let mut is = false;
            for row in &mut cli.history {
                let listed = row.strip_suffix("null]").map(|row| format!("{row}[]]"));
                if let Some(listed) = listed.filter(|it| ours.history.contains(it)) {
                    *row = listed;
                    is = true;
                }
            }
            is
        }),
    },
    Difference {
        name: "after the statements",
        of: BOTH,
        cli: "names a statement beyond the last where the row of the history, or the commit, is refused",
        gatekit: "names the file alone",
        how: Adjusts(|cli, ours| match (&mut cli.said, &ours.said) {
            (
                Said::Failed { statement: theirs @ Some(_), sqlstate, .. },
                Said::Failed { statement: None, sqlstate: same, .. },
            ) if sqlstate == same => {
                *theirs = None;
                true
            }
            _ => false,
        }),
    },
    Difference {
        name: "escapes at the end",
        of: &[Go],
        cli: "takes all that follows an `E'…'` with a quote behind a backslash for one statement, which \
              PostgreSQL takes where only comments follow",
        gatekit: "splits as PostgreSQL reads it, and takes both for the same text",
        how: Adjusts(|cli, ours| {
            let mut is = false;
            for row in cli.history.iter_mut().filter(|row| row.contains(r"\\'")) {
                let same = ours.history.iter().find(|it| it != &row && text(it) == text(row));
                if let Some(same) = same {
                    row.clone_from(same);
                    is = true;
                }
            }
            is
        }),
    },
    Difference {
        name: "escapes",
        of: &[Go],
        cli: "ends an `E'…'` at the quote behind a backslash, and sends several statements as one",
        gatekit: "splits as PostgreSQL reads it, and applies the file",
        how: Parts(|gap| gap.cli_stops(&["42601"], |sql| sql.contains("\\'"))),
    },
    Difference {
        name: "end in a body",
        of: &[Go],
        cli: "closes a `BEGIN ATOMIC` body at any `END`, as that of a `CASE`",
        gatekit: "applies the file",
        how: Parts(|gap| {
            gap.cli_stops(&["42601"], |sql| sql.contains("begin atomic") && sql.contains("case "))
        }),
    },
    Difference {
        name: "body behind a comment",
        of: BOTH,
        cli: "sees no body where a comment is between `BEGIN` and `ATOMIC`",
        gatekit: "applies the file",
        how: Parts(|gap| gap.cli_stops(&["42601"], |sql| sql.contains("*/ atomic"))),
    },
    Difference {
        name: "parentheses",
        of: BOTH,
        cli: "takes the first `)` for the end of all that are open: a rule of two actions is torn",
        gatekit: "counts them, and applies the file",
        how: Parts(|gap| gap.cli_stops(&["42601"], |sql| sql.contains("create rule"))),
    },
    Difference {
        name: "three dollars",
        of: BOTH,
        cli: "takes the first three dollars for the beginning of a string",
        gatekit: "applies the file",
        how: Parts(|gap| gap.cli_stops(&["42601"], |sql| sql.contains("$$$"))),
    },
    Difference {
        name: "carriage return",
        of: &[Go],
        cli: "ends a line comment at a line feed alone",
        gatekit: "ends it at a carriage return, too, as PostgreSQL does, and applies the file",
        how: Parts(|gap| gap.cli_stops(&["42601"], |sql| sql.replace("\r\n", "").contains('\r'))),
    },
    Difference {
        name: "byte order mark",
        of: &[Go],
        cli: "sends the mark to the server",
        gatekit: "leaves it away, and applies the file",
        how: Parts(|gap| gap.cli_stops(&["42601"], |sql| sql.starts_with('\u{feff}'))),
    },
    Difference {
        name: "next line",
        of: &[Go],
        cli: "trims U+0085 around statements",
        gatekit: "sends it, as version 3 does, and PostgreSQL takes it for a name",
        how: Parts(|gap| {
            let fails = gap.gatekit_fails("42601", |sql| sql.contains('\u{85}'));
            fails && gap.cli.said == Said::Applied
        }),
    },
    Difference {
        name: "limits",
        of: BOTH,
        cli: "waits for locks and for statements without end",
        gatekit: "waits 10 s for a lock and 10 minutes for a statement, and a file can see that",
        how: Parts(|gap| {
            let mut same = gap.gatekit.clone();
            same.dump.rest = same.dump.rest.replace("10s\t10min", "0\t0");
            same == *gap.cli && same.said == Said::Applied
        }),
    },
    Difference {
        name: "isolation of its own",
        of: BOTH,
        cli: "runs `SET TRANSACTION` outside of a block, where PostgreSQL warns that it does nothing",
        gatekit: "reads the history under its lock before the file, and PostgreSQL refuses the statement",
        how: Parts(|gap| {
            let fails = gap.gatekit_fails("25001", |sql| sql.contains("set transaction"));
            fails && gap.cli.said == Said::Applied
        }),
    },
    Difference {
        name: "role",
        of: BOTH,
        cli: "writes the history as the role that the file has set, which may not",
        gatekit: "takes its own role back first",
        how: Parts(|gap| gap.cli_stops(&["42501"], |sql| sql.contains("set role"))),
    },
    Difference {
        name: "transaction block",
        of: BOTH,
        cli: "sends a file as a pipeline: what wants a block is refused",
        gatekit: "applies the file in a block",
        how: Parts(|gap| {
            let wants = |sql: &str| {
                ["lock table", "savepoint", "declare"].iter().any(|it| sql.contains(it))
            };
            gap.cli_stops(&["25P01"], wants)
        }),
    },
    Difference {
        name: "transaction control",
        of: BOTH,
        cli: "runs each statement alone, or ends its own transaction: a part may be applied and recorded nowhere",
        gatekit: "refuses the file before anything is touched",
        how: Parts(|gap| gap.refuses("migration.transaction_control")),
    },
    Difference {
        name: "pipeline",
        of: &[Go],
        cli: "sends a file as a pipeline, in which PostgreSQL refuses what allows no transaction, unless it comes first",
        gatekit: "applies such a file statement by statement",
        how: Parts(|gap| {
            let wants = |sql: &str| ["concurrently", "vacuum"].iter().any(|it| sql.contains(it));
            gap.cli_stops(&["25001"], wants)
        }),
    },
    Difference {
        name: "directive",
        of: &[Go],
        cli: "does not know `-- pg-delta: transaction=false`, and rolls the file back where it fails",
        gatekit: "honours it, as version 3 does",
        how: Parts(|gap| gap.keeps_a_part(|sql| sql.contains("-- pg-delta: transaction=false"))),
    },
    Difference {
        name: "progress",
        of: BOTH,
        cli: "keeps nowhere how far a file without a transaction was when it failed",
        gatekit: "keeps that in a table beside the history, which is gone when the file is done",
        how: Adjusts(|cli, ours| {
            let has_ended = matches!(ours.said, Said::Applied | Said::UpToDate);
            let is = !(has_ended || ours.dump.progress.is_empty());
            if is {
                cli.dump.progress.clone_from(&ours.dump.progress);
            }
            is
        }),
    },
    Difference {
        name: "gone on with",
        of: &[V3],
        cli: "begins a file anew that failed halfway without a transaction: it fails at what is there, or does it twice",
        gatekit: "goes on after the last statement that is done",
        how: Parts(|gap| gap.goes_on()),
    },
    Difference {
        name: "unfinished",
        of: &[V3],
        cli: "takes a file that was half applied for any other",
        gatekit: "refuses it when what is done of it was edited since",
        how: Parts(|gap| gap.refuses("migration.unfinished")),
    },
    Difference {
        name: "not valid",
        of: BOTH,
        cli: "records a `CREATE INDEX CONCURRENTLY IF NOT EXISTS` that found an index which is not valid",
        gatekit: "fails: such an index is of no use",
        how: Parts(|gap| {
            let fails = gap.gatekit.said == Said::Refused("migration.failed".to_owned());
            fails && gap.gatekit.history.is_empty() && gap.cli.said == Said::Applied
        }),
    },
    Difference {
        name: "discard all",
        of: BOTH,
        cli: "runs it",
        gatekit: "refuses the file before anything is touched: it would let the lock on the migrations go",
        how: Parts(|gap| {
            gap.refuses_and("migration.non_transactional", |cli| *cli == Said::Applied)
                && gap.has("discard all")
        }),
    },
    Difference {
        name: "mixed",
        of: &[V3],
        cli: "runs the file in pieces, of which each is applied for itself",
        gatekit: "refuses the file, with the way to split it",
        how: Parts(|gap| gap.refuses_and("migration.mixed", |cli| *cli == Said::Applied)),
    },
    Difference {
        name: "mixed, as a whole",
        of: &[Go],
        cli: "sends the file as a whole, which PostgreSQL refuses unless what allows no transaction comes first; or for \
              its byte order mark",
        gatekit: "refuses the file before, with the way to split it",
        how: Parts(|gap| {
            let is_refused = |cli: &Said| *cli == Said::Applied || cli.fails(&["25001"]);
            let is_marked = |cli: &Said| cli.fails(&["42601"]);
            gap.refuses_and("migration.mixed", is_refused)
                || gap.has("\u{feff}") && gap.refuses_and("migration.mixed", is_marked)
        }),
    },
    Difference {
        name: "copied data",
        of: BOTH,
        cli: "sends `COPY FROM STDIN` without data, and fails",
        gatekit: "refuses the file before anything is touched",
        how: Parts(|gap| {
            gap.refuses_and("migration.copy_data", |cli| cli.fails(&["08P01"]))
                && gap.has("from stdin")
        }),
    },
    Difference {
        name: "copied to nobody",
        of: BOTH,
        cli: "asks for the data of `COPY TO STDOUT`, and shows it to nobody",
        gatekit: "refuses the file before anything is touched: who writes that expects the data somewhere",
        how: Parts(|gap| {
            gap.refuses_and("migration.copy_data", |cli| *cli == Said::Applied)
                && gap.has("to stdout")
        }),
    },
    Difference {
        name: "command of psql",
        of: BOTH,
        cli: "sends it to the server, and fails",
        gatekit: "refuses the file before anything is touched",
        how: Parts(|gap| gap.refuses_and("migration.meta_command", |cli| cli.fails(&["42601"]))),
    },
    Difference {
        name: "version",
        of: BOTH,
        cli: "takes versions of any length, and orders them in a way that differs between its versions",
        gatekit: "refuses others than of 14 digits",
        how: Parts(|gap| gap.refuses("migration.version")),
    },
    Difference {
        name: "version twice",
        of: BOTH,
        cli: "applies the first, and fails at the second for ever",
        gatekit: "refuses both",
        how: Parts(|gap| {
            gap.refuses_and("migration.duplicate_version", |cli| cli.fails(&["23505"]))
        }),
    },
    Difference {
        name: "way back",
        of: BOTH,
        cli: "applies a down file as one more migration",
        gatekit: "refuses the folder, and says where such files belong",
        how: Parts(|gap| gap.refuses_and("migration.down_file", |cli| *cli == Said::Applied)),
    },
    Difference {
        name: "no folder",
        of: BOTH,
        cli: "takes a folder that is not there for one without migrations",
        gatekit: "refuses: the path may be wrong",
        how: Parts(|gap| gap.refuses_and("migration.no_folder", |cli| *cli == Said::UpToDate)),
    },
    Difference {
        name: "edited",
        of: BOTH,
        cli: "compares versions alone",
        gatekit: "refuses files that were edited after they had been applied",
        how: Parts(|gap| gap.refuses("migration.drifted")),
    },
    Difference {
        name: "replaced bytes",
        of: &[V3],
        cli: "replaces what is not UTF-8 by U+FFFD, and applies that",
        gatekit: "refuses the file",
        how: Parts(|gap| gap.refuses_and("migration.not_utf8", |cli| *cli == Said::Applied)),
    },
    Difference {
        name: "bytes of no text",
        of: &[Go],
        cli: "sends what is not UTF-8, and fails",
        gatekit: "refuses the file before anything is touched",
        how: Parts(|gap| gap.refuses_and("migration.not_utf8", |cli| cli.fails(&["22021"]))),
    },
    Difference {
        name: "nul byte",
        of: BOTH,
        cli: "sends it, and fails",
        gatekit: "refuses the file before anything is touched",
        how: Parts(|gap| gap.refuses_and("migration.nul", |cli| cli.fails(&["08P01"]))),
    },
];

/// What a row of the history says, wherever it was split.
fn text(row: &str) -> (String, String) {
    let (version, name, statements): (String, String, Option<Vec<String>>) =
        serde_json::from_str(row).unwrap();
    let said = |it: &char| !(it.is_whitespace() || *it == ';');
    let all: String = statements.iter().flatten().flat_map(|it| it.chars()).filter(said).collect();
    (version + &name, all)
}
