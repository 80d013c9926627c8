//! A second look by squawk, which parses the statements.
//!
//! A chosen list of its rules, those about what is lost, renamed or opened: what it has beyond these is about
//! style and time. Comments are taken away first, so that none in a file switches a rule off.
//!
//! It parses by recursion. So that no text can exhaust the stack, which would end the process, it runs on a
//! thread with a large one, and gets neither what is long nor what is nested deep.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::thread;

use squawk_linter::{Linter, Rule};
use squawk_syntax::SourceFile;

use super::concern::{Concern, Sort};
use crate::migrations::files::lex::{Kind, lex};
use crate::migrations::files::split::lines;
use crate::migrations::{File, Statement};

/// The longest statement that is parsed, in bytes.
const LONGEST: usize = 64 * 1024;

/// The most words of a statement that is parsed: the time that nested ones take grows with their square.
const MOST_WORDS: usize = 4000;

/// How deep parentheses and brackets may be in what is parsed.
const DEEPEST: usize = 200;

/// How much of a file is parsed, in bytes.
const MOST: usize = 4 * 1024 * 1024;

/// Enough for the deepest recursion that [`MOST_WORDS`] can ask for.
const STACK: usize = 64 * 1024 * 1024;

const RULES: [Rule; 30] = [
    Rule::BanAlterPolicyCondition,
    Rule::BanAlterPolicyRoles,
    Rule::BanAlterSequenceValues,
    Rule::BanAlterSystemOptions,
    Rule::BanDetachInheritance,
    Rule::BanDisableTrigger,
    Rule::BanDropColumn,
    Rule::BanDropConstraint,
    Rule::BanDropDatabase,
    Rule::BanDropDefault,
    Rule::BanDropDomain,
    Rule::BanDropExtension,
    Rule::BanDropFunction,
    Rule::BanDropGeneratedExpression,
    Rule::BanDropIndex,
    Rule::BanDropNotNull,
    Rule::BanDropPolicy,
    Rule::BanDropSchema,
    Rule::BanDropSequence,
    Rule::BanDropTable,
    Rule::BanDropTrigger,
    Rule::BanDropType,
    Rule::BanDropView,
    Rule::BanRevoke,
    Rule::BanSetSchema,
    Rule::BanTruncateCascade,
    Rule::ChangingColumnType,
    Rule::RenamingColumn,
    Rule::RenamingObject,
    Rule::RenamingTable,
];

/// What squawk found: the rule, what it says, and where in the text.
struct Found {
    sort: Sort,
    rule: String,
    says: String,
    at: usize,
}

/// Adds what squawk finds in `file` on lines of which nothing is known yet.
pub(super) fn add(file: &File, concerns: &mut Vec<Concern>) {
    let mut sheet = Sheet::default();
    for statement in &file.statements {
        match refusal(statement, sheet.text.len()) {
            None => sheet.add(statement),
            // Rows to insert are looked through without squawk, too.
            Some(_) if is_insert(statement) => {}
            Some(why) => concerns.push(concern(
                file,
                statement,
                Sort::Unanalysable,
                Cow::Borrowed("squawk-not-parsed"),
                Cow::Borrowed(why),
            )),
        }
    }
    if sheet.text.is_empty() {
        return;
    }
    let text = std::mem::take(&mut sheet.text);
    let run = thread::Builder::new().name("squawk".to_owned()).stack_size(STACK);
    let found = run.spawn(move || lint(&text)).ok().and_then(|it| it.join().ok());
    let Some(found) = found else {
        if let Some(first) = file.statements.first() {
            concerns.push(concern(
                file,
                first,
                Sort::Unanalysable,
                Cow::Borrowed("squawk-failed"),
                Cow::Borrowed("squawk could not be run on this file, or failed on it"),
            ));
        }
        return;
    };
    let mut known: BTreeSet<_> = concerns.iter().map(|it| it.line).collect();
    for Found { sort, rule, says, at } in found {
        let Some(statement) = sheet.statement(file, at) else { continue };
        let lines = statement.line..=last_line(statement);
        if known.range(lines).next().is_none() {
            known.insert(statement.first_line());
            concerns.push(concern(file, statement, sort, Cow::Owned(rule), Cow::Owned(says)));
        }
    }
}

/// Why a statement is not parsed.
fn refusal(statement: &Statement, so_far: usize) -> Option<&'static str> {
    let (mut depth, mut deepest) = (0_usize, 0);
    if statement.text.len() > LONGEST {
        return Some("it is too long to be parsed");
    }
    if so_far + statement.text.len() > MOST {
        return Some("the file is too long to be parsed to its end");
    }
    let mut words = 0;
    for token in lex(&statement.text).filter(|it| !it.is_blank()) {
        words += 1;
        match token.text {
            "(" | "[" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    match () {
        () if deepest > DEEPEST => Some("it is nested too deep to be parsed"),
        () if words > MOST_WORDS => Some("it has too many words to be parsed"),
        () => None,
    }
}

fn is_insert(statement: &Statement) -> bool {
    lex(&statement.text).find(|it| !it.is_blank()).is_some_and(|it| it.is("INSERT"))
}

fn last_line(statement: &Statement) -> usize {
    statement.line + lines(&statement.text, 0, statement.text.len())
}

fn lint(text: &str) -> Vec<Found> {
    let parsed = SourceFile::parse(text);
    let errors = parsed.errors().into_iter().map(|error| Found {
        sort: Sort::Unanalysable,
        rule: "squawk-not-parsed".to_owned(),
        says: "squawk cannot parse it: it is not looked at as a whole".to_owned(),
        at: u32::from(error.range().start()) as usize,
    });
    let violations = Linter::from(RULES).lint(&parsed, text).into_iter().map(|it| Found {
        sort: Sort::Destructive,
        rule: it.code.to_string(),
        says: it.message,
        at: u32::from(it.text_range.start()) as usize,
    });
    errors.chain(violations).collect()
}

fn concern(
    file: &File,
    statement: &Statement,
    sort: Sort,
    rule: Cow<'static, str>,
    why: Cow<'static, str>,
) -> Concern {
    Concern {
        sort,
        rule,
        file: file.path.clone(),
        line: statement.first_line(),
        statement: statement.head(),
        why,
        safe_pattern: Cow::Borrowed("see the rule in squawk's documentation"),
    }
}

/// The statements without comments, one after the other.
#[derive(Default)]
struct Sheet {
    text: String,
    /// Where each begins in the text, and where it is in the file.
    begins: Vec<(usize, usize)>,
}

impl Sheet {
    fn add(&mut self, statement: &Statement) {
        self.begins.push((self.text.len(), statement.offset));
        for token in lex(&statement.text) {
            // A space for a comment: what is on its two sides stays apart.
            self.text.push_str(if token.kind == Kind::Comment { " " } else { token.text });
        }
        self.text.push_str(";\n");
    }

    /// The statement that has that place in the text.
    fn statement<'a>(&self, file: &'a File, at: usize) -> Option<&'a Statement> {
        let after = self.begins.partition_point(|(begin, _)| *begin <= at);
        let (_, offset) = self.begins.get(after.checked_sub(1)?)?;
        let index = file.statements.binary_search_by_key(offset, |it| it.offset).ok()?;
        file.statements.get(index)
    }
}

#[cfg(test)]
mod tests {
    use super::super::review;
    use super::*;

    fn rules(sql: &str) -> Vec<(usize, String)> {
        let file = File::from_bytes("m/1_a.sql", "1", "a", sql.as_bytes()).unwrap();
        review(&[&file]).into_iter().map(|it| (it.line, it.rule.into_owned())).collect()
    }

    #[test]
    fn squawk_sees_what_words_do_not() {
        let sql = "-- squawk-ignore-file\nselect 1;\n\n-- squawk-ignore ban-drop-not-null\n\
                   alter table t\n  alter column c drop not null;";
        assert_eq!(rules(sql), [(5, "ban-drop-not-null".to_owned())]);
    }

    #[test]
    fn what_is_known_already_is_said_once() {
        assert_eq!(rules("drop table a.t;"), [(1, "drop-table".to_owned())]);
        assert_eq!(rules("alter table t\ndrop column c;"), [(2, "drop-column".to_owned())]);
    }

    #[test]
    fn what_squawk_cannot_parse_is_no_pass() {
        assert_eq!(
            rules("select 1;\nfrobnicate the table;")[0],
            (2, "squawk-not-parsed".to_owned())
        );
        let deep = format!("select {}1{};", "(".repeat(100_000), ")".repeat(100_000));
        assert_eq!(rules(&deep), [(1, "squawk-not-parsed".to_owned())]);
        for shape in ["not ", "- ", "case when ", "(select ", "array[", "$", "'", "/* "] {
            let sql = format!("select {}", shape.repeat(1900));
            assert!(rules(&sql).len() <= 2, "{shape}");
        }
        let many = "create table t (a int); ".repeat(2000);
        assert!(rules(&many).is_empty());
        let rows = format!("insert into t values {};", "(1), ".repeat(20_000));
        assert!(rules(&rows).is_empty());
    }

    #[test]
    fn what_supabase_projects_commonly_have_is_let_through() {
        let sql = "create extension if not exists pgcrypto with schema extensions;\n\
            create table public.t (id uuid primary key default gen_random_uuid(), a jsonb);\n\
            alter table public.t enable row level security;\n\
            create policy \"own rows\" on public.t for select to authenticated using (auth.uid() = id);\n\
            create function public.f() returns trigger language plpgsql security definer set search_path = ''\n\
            as $$ begin new.a := '{}'; return new; end $$;\n\
            create trigger g before insert on public.t for each row execute function public.f();\n\
            alter publication supabase_realtime add table public.t;\n\
            grant select on public.t to anon;\n\
            create index concurrently if not exists i on public.t (a);\n\
            comment on table public.t is 'x';\n";
        assert_eq!(rules(sql), []);
    }
}
