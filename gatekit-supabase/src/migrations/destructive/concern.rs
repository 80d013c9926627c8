//! What a review finds.

use std::borrow::Cow;
use std::path::PathBuf;

use serde::Serialize;

use super::rules::{HISTORY, Rule};
use super::scan::{Hit, Place, scan};
use crate::migrations::File;
use crate::migrations::files::split::lines;

/// How sure a review is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Sort {
    /// It destroys something, or shuts something out.
    Destructive,
    /// Nobody can tell beforehand what it does.
    Unanalysable,
}

/// One thing in a migration that needs a second look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Concern {
    /// How sure that is.
    pub sort: Sort,
    /// The name of the rule, like `drop-table`.
    pub rule: Cow<'static, str>,
    /// Where the file is.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The first words of it, without what strings say.
    pub statement: String,
    /// Why it matters.
    pub why: Cow<'static, str>,
    /// How the same is reached without harm.
    pub safe_pattern: Cow<'static, str>,
}

impl Concern {
    fn new(file: &File, line: usize, hit: Hit) -> Self {
        let Rule { name, why, safe } = hit.rule;
        Self {
            sort: hit.sort,
            rule: Cow::Borrowed(name),
            file: file.path.clone(),
            line,
            statement: hit.head,
            why: Cow::Borrowed(why),
            safe_pattern: Cow::Borrowed(safe),
        }
    }
}

/// All that needs a second look in these files, in their order.
///
/// Nothing found is no promise: a function that is called, or a trigger, may still destroy something.
#[must_use]
pub fn review(files: &[&File]) -> Vec<Concern> {
    files.iter().flat_map(|file| review_file(file)).collect()
}

fn review_file(file: &File) -> Vec<Concern> {
    #[cfg_attr(not(feature = "squawk"), expect(unused_mut, reason = "squawk adds to it"))]
    let mut concerns = review_words(file);
    #[cfg(feature = "squawk")]
    {
        super::squawk::add(file, &mut concerns);
        concerns.sort_by_key(|concern| concern.line);
    }
    concerns
}

fn review_words(file: &File) -> Vec<Concern> {
    let mut hits = Vec::new();
    for statement in &file.statements {
        scan(&statement.text, statement.offset, Place::Statement, &mut hits);
        if statement.touches_history() {
            let head = statement.head();
            hits.push(Hit { rule: HISTORY, sort: Sort::Destructive, at: statement.offset, head });
        }
    }
    hits.sort_by_key(|hit| hit.at);
    let (mut line, mut counted) = (1, 0);
    let mut concerns = Vec::with_capacity(hits.len());
    for hit in hits {
        line += lines(&file.sql, counted, hit.at);
        counted = hit.at;
        concerns.push(Concern::new(file, line, hit));
    }
    concerns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sql: &str) -> Vec<(usize, String)> {
        let file = File::from_bytes("m/1_a.sql", "1", "a", sql.as_bytes()).unwrap();
        review_words(&file).into_iter().map(|it| (it.line, it.rule.into_owned())).collect()
    }

    fn rules(sql: &str) -> Vec<String> {
        found(sql).into_iter().map(|(_, rule)| rule).collect()
    }

    #[test]
    fn each_destructive_statement_is_found() {
        let cases = [
            ("truncate t", "truncate"),
            ("TRUNCATE TABLE ONLY a.t, b CASCADE", "truncate"),
            ("delete from t", "delete-without-where"),
            ("delete from only t using u", "delete-without-where"),
            ("delete from t where true", "delete-without-where"),
            ("delete from t where 1 = 1 returning a", "delete-without-where"),
            ("delete from t where (true)", "delete-without-where"),
            ("with d as (delete from t where true) select * from d", "delete-without-where"),
            ("delete from t using (select a from u where a = 1) x", "delete-without-where"),
            (
                "with d as (delete from t returning *) select * from d where a",
                "delete-without-where",
            ),
            ("explain analyze delete from t", "delete-without-where"),
            ("update t set a = 1", "update-without-where"),
            ("update only \"a\".t as x set a = (select 1 where b)", "update-without-where"),
            ("update t * set a = 1", "update-without-where"),
            ("update t set a = 1 where true", "update-without-where"),
            (
                "with u as (update t set a = 1 returning a) insert into v select * from u",
                "update-without-where",
            ),
            (
                "create rule r as on insert to t do (delete from u; notify u)",
                "delete-without-where",
            ),
            ("merge into t using u on t.a = u.a when matched then delete", "merge-delete"),
            ("drop table t", "drop-table"),
            ("drop foreign table t", "drop-table"),
            ("drop schema s cascade", "drop-schema"),
            ("drop type t", "drop-type"),
            ("drop domain t", "drop-type"),
            ("drop view v", "drop-view"),
            ("drop materialized view v", "drop-view"),
            ("drop function f(int)", "drop-function"),
            ("drop policy p on t", "drop-policy"),
            ("drop trigger g on t", "drop-trigger"),
            ("drop index i", "drop-index"),
            ("drop extension e", "drop-extension"),
            ("drop owned by r", "drop-role"),
            ("drop sequence s", "drop"),
            ("drop unheard_of x", "drop"),
            ("alter table t drop column c", "drop-column"),
            ("alter table t drop identity", "drop-column"),
            ("alter table only t drop expression", "drop-column"),
            ("alter table if exists only t add a int, drop if exists c", "drop-column"),
            ("alter table t drop constraint c", "drop-constraint"),
            ("alter type t drop attribute a", "drop-column"),
            ("alter publication p drop table t", "drop"),
            ("alter table t rename to u", "rename"),
            ("alter table t rename column a to b", "rename"),
            ("alter type e rename value 'a' to 'b'", "rename"),
            ("alter table t set schema s", "set-schema"),
            ("alter table t alter column c type text", "alter-column-type"),
            ("alter table t alter c set data type text using c::text", "alter-column-type"),
            ("alter table t alter \"c\" type text", "alter-column-type"),
            ("alter table t disable row level security", "disable-row-security"),
            ("alter table t no force row level security", "disable-row-security"),
            ("alter table t disable trigger all", "disable-trigger"),
            ("set session_replication_role = replica", "disable-trigger"),
            ("alter table t detach partition p", "detach-partition"),
            ("revoke all on t from public", "revoke"),
            ("alter default privileges revoke execute on functions from public", "revoke"),
            ("select * from supabase_migrations.schema_migrations", "migration-history"),
        ];
        for (sql, rule) in cases {
            assert_eq!(rules(sql), [rule], "{sql}");
            let commented = format!("/* x */ {};", sql.replace(' ', " /* where */ -- where\n"));
            assert_eq!(rules(&commented), [rule], "{commented}");
        }
    }

    #[test]
    fn what_only_looks_so_is_let_through() {
        let harmless = [
            "",
            "-- drop table t",
            "delete from t where a = 1",
            "delete from t where current of c",
            "update t set a = 1 where b in (select 1)",
            "update t set a = case when b then 1 else 2 end where c",
            "with d as (delete from t where a = 1 returning *) select * from d",
            "insert into t values (1) on conflict (a) do update set b = 1",
            "select * from t for update of t skip locked",
            "select * from t for no key update",
            "create table t (a int references u on update cascade on delete set null)",
            "create trigger g before insert or update or delete or truncate on t execute function f()",
            "create trigger g after update of a on t for each row execute procedure f()",
            "create policy p on t for update to anon using (true) with check (true)",
            "create policy p on t for delete using (a)",
            "grant select, insert, update, delete, truncate on t to anon",
            "grant update (a), select on t to anon",
            "grant execute on function f() to anon",
            "alter table t alter column c drop not null",
            "alter table t alter c drop default, alter d drop identity if exists",
            "alter table t add column type text",
            "alter table t add type text",
            "alter table t alter column type set not null",
            "alter type e add value 'x'",
            "alter table t enable row level security",
            "alter table t force row level security",
            "alter table t add constraint c foreign key (a) references u on delete cascade",
            "alter role a set search_path = b",
            "create type t as enum ('drop', 'delete', 'update', 'truncate')",
            "insert into t values ('drop off', 'update the set of rows', 'delete it')",
            "comment on table t is 'delete from t; drop table u'",
            "select case when a then b else c end",
            "merge into t using u on t.a = u.a when matched then do nothing",
            "insert into t values ('call me', 'execute this', 'revoke it', 'do it', 'alter it')",
            "create function f() returns int language sql as 'select 1'",
            "create function f() returns trigger language plpgsql as $$ begin new.a := now(); \
             update t set a = 1 where b; return new; end $$",
            "create function f() returns int begin atomic update t set a = 1 where b; select 1; end",
        ];
        for sql in harmless {
            assert_eq!(rules(sql), <[String; 0]>::default(), "{sql}");
        }
    }

    #[test]
    fn bodies_are_looked_into() {
        let sql = "create or replace function f() returns void language plpgsql as $f$\n\
                   declare a int;\n\
                   begin\n\
                   if a then delete from t; end if;\n\
                   for r in delete from u returning * loop\n\
                   update v set a = 1 where b;\n\
                   end loop;\n\
                   <<x>> truncate w;\n\
                   alter table y drop column z;\n\
                   execute format('drop table %I', a);\n\
                   exception when others then drop table q;\n\
                   end $f$;";
        let expected = [
            (4, "delete-without-where"),
            (5, "delete-without-where"),
            (8, "truncate"),
            (9, "drop-column"),
            (10, "dynamic-sql"),
            (10, "sql-in-text"),
            (11, "drop-table"),
        ];
        assert_eq!(found(sql), expected.map(|(line, rule)| (line, rule.to_owned())));
        assert_eq!(
            rules("create function f() returns int begin atomic delete from t; select 1; end"),
            ["delete-without-where"]
        );
        assert_eq!(
            rules(
                "create function f() returns void language sql as 'delete from t where a = ''x''; delete from u'"
            ),
            ["delete-without-where"]
        );
        assert_eq!(
            rules("create procedure f() as E'begin\\ndelete from t;\\nend' language 'plpgsql'"),
            ["delete-without-where"]
        );
    }

    #[test]
    fn what_nobody_can_tell_beforehand_is_no_pass() {
        let cases: &[(&str, &[&str])] = &[
            ("do $$ begin perform 1; end $$", &["do-block"]),
            ("do language plpgsql 'begin null; end'", &["do-block"]),
            ("do $$ begin drop table t; end $$", &["do-block", "drop-table"]),
            ("do $$ begin execute x; end $$", &["do-block", "dynamic-sql"]),
            (
                "do $$ begin do $x$ begin truncate t; end $x$; end $$",
                &["do-block", "do-block", "truncate"],
            ),
            ("do language plv8 $$ plv8.execute('x') $$", &["do-block", "other-language"]),
            (
                "create function f() returns void language plpython3u as $$ drop $$",
                &["other-language"],
            ),
            (
                "create function f() returns void as $$ drop $$ language \"plv8\"",
                &["other-language"],
            ),
            ("create function f() returns void as 'drop' language 'c'", &["other-language"]),
            ("call f()", &["call"]),
            ("execute prepared(1)", &["dynamic-sql"]),
            ("select cron.schedule('a', '* * * * *', $$delete from t$$)", &["sql-in-text"]),
            ("select dblink_exec('x', 'drop table t')", &["sql-in-text"]),
            (
                "select query_to_xml('with a as (delete from t returning 1) select 1')",
                &["sql-in-text"],
            ),
        ];
        for (sql, expected) in cases {
            assert_eq!(rules(sql), *expected, "{sql}");
        }
        let file = File::from_bytes("m/1_a.sql", "1", "a", b"call f()").unwrap();
        assert_eq!(review(&[&file])[0].sort, Sort::Unanalysable);
    }

    #[test]
    fn a_concern_says_where_why_and_what_to_do_instead() {
        let sql = b"select 1;\n\n-- the old one\ndrop table if exists a.t;";
        let file = File::from_bytes("m/1_a.sql", "1", "a", sql).unwrap();
        let [concern] = <[Concern; 1]>::try_from(review_words(&file)).unwrap();
        assert_eq!(concern.sort, Sort::Destructive);
        assert_eq!(concern.file.to_str(), Some("m/1_a.sql"));
        assert_eq!((concern.line, concern.statement.as_str()), (4, "drop table if exists a.t"));
        assert!(!concern.why.is_empty() && !concern.safe_pattern.is_empty());
    }

    #[test]
    fn deep_nesting_and_long_texts_take_linear_time() {
        let deep: String = (0..1000).map(|i| format!("do $a{i}$ ")).collect();
        assert!(rules(&deep).contains(&"nested-too-deep".to_owned()));
        for shape in
            ["delete from t ", "update t set a = 1 ", "alter ", "drop ", "('delete'", "then "]
        {
            let sql = shape.repeat(500_000 / shape.len());
            assert!(
                review_words(&File::from_bytes("a", "1", "a", sql.as_bytes()).unwrap()).len()
                    <= sql.len()
            );
        }
    }
}
