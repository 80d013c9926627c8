//! Folders at random: each is given by its seed.

use fastrand::Rng;

use super::case::{Case, Step};

/// What was made so far, if nothing has failed.
#[derive(Debug)]
struct World {
    random: Rng,
    tables: Vec<u32>,
    types: Vec<u32>,
    count: u32,
}

/// The folder of that seed.
pub(crate) fn case(seed: u64) -> Case {
    let random = Rng::with_seed(seed);
    let mut world = World { random, tables: Vec::new(), types: Vec::new(), count: 0 };
    let mut steps = Vec::new();
    // Room between the versions, for files that come late.
    let mut newest = 0;
    for _ in 0..world.random.u32(1..=3) {
        let mut step = Step { all: world.random.bool(), ..Step::default() };
        for _ in 0..world.random.u32(0..=3) {
            newest += 10;
            step.files.push((name(newest), Some(world.text())));
        }
        if !steps.is_empty() && newest > 0 {
            let old = world.random.u32(1..=newest / 10) * 10;
            match world.random.u32(..20) {
                0 => step.files.push((name(old), Some(world.text()))),
                1..=3 => step.files.push((name(old - 5), Some(world.text()))),
                _ => {}
            }
        }
        steps.push(step);
    }
    Case { name: format!("seed {seed}"), steps, expected: None }
}

fn name(number: u32) -> String {
    format!("{}_n{number}.sql", 20_260_101_000_000_u64 + u64::from(number))
}

impl World {
    /// The text of a file.
    fn text(&mut self) -> Vec<u8> {
        let (mut text, kind) = (String::new(), self.random.u32(..20));
        if kind == 0 {
            text += "-- pg-delta: transaction=false\n";
        }
        for _ in 0..self.random.u32(0..=5) {
            text +=
                self.one_of(&["", "", "-- a; b\n", "/* a; /* b; */ ' */ ", "\n\n", "-- it's\n"]);
            text += &if kind == 1 { self.alone() } else { self.statement() };
            text += self.one_of(&[
                ";\n",
                ";\n",
                "; ",
                " ;\t",
                ";;\n",
                ";\n\n\n",
                "; -- c;\n",
                ";/* d; */\n",
            ]);
        }
        match self.random.u32(..30) {
            0 => text.insert(0, '\u{feff}'),
            1..=4 => text = text.replace('\n', "\r\n"),
            5 => text += "-- the end",
            6..=8 => text.truncate(text.trim_end_matches([';', '\n', ' ', '\t']).len()),
            _ => {}
        }
        text.into_bytes()
    }

    fn one_of<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts.get(self.random.usize(..texts.len())).copied().unwrap_or_default()
    }

    fn new_name(&mut self) -> u32 {
        self.count += 1;
        self.count
    }

    fn any(&mut self, of: fn(&Self) -> &Vec<u32>) -> Option<u32> {
        let all = of(self).clone();
        self.random.choice(all)
    }

    /// A string, in one of the ways to write it.
    fn string(&mut self) -> String {
        let text = self.one_of(&[
            "a",
            "",
            "a;b",
            "it''s",
            "--",
            "/* ;",
            "$$;$$",
            "a\\",
            "é ü 日本",
            "begin atomic",
            "end;",
            "\n;\n",
            "( ;",
        ]);
        match self.random.u32(..20) {
            0..=2 => format!("$x${text}$x$"),
            3..=4 if !text.contains("$$") => format!("$${text}$$"),
            5 => format!("E'{}\\n'", text.replace('\\', "\\\\")),
            6 => "E'it\\'s;'".to_owned(),
            7 => format!("U&'{}'", text.replace('\\', "\\\\")),
            _ => format!("'{text}'"),
        }
    }

    /// A statement that allows no transaction, or a setting.
    fn alone(&mut self) -> String {
        let name = self.new_name();
        let Some(table) = self.any(|it| &it.tables) else { return "vacuum".to_owned() };
        match self.random.u32(..8) {
            0..=2 => format!("create index concurrently i{name} on t{table} (s)"),
            3 => format!("create unique index concurrently i{name} on t{table} (s)"),
            4 => format!("drop index concurrently if exists i{}", self.random.u32(..name)),
            5 => format!("reindex table concurrently t{table}"),
            6 => format!("vacuum t{table}"),
            _ => "set maintenance_work_mem = '2MB'".to_owned(),
        }
    }

    fn statement(&mut self) -> String {
        let string = self.string();
        let (table, kind) = (self.any(|it| &it.tables), self.any(|it| &it.types));
        match (self.random.u32(..100), table, kind) {
            (0..=24, ..) => {
                let name = self.new_name();
                self.tables.push(name);
                format!("create table t{name} (i int primary key, s text default {string})")
            }
            (25..=34, Some(table), _) => {
                let number = self.random.u32(..1000);
                format!("insert into t{table} values ({number}, {string})")
            }
            (35..=40, Some(table), _) => {
                let name = self.new_name();
                format!("alter table t{table} add column c{name} text not null default ({string})")
            }
            (41..=45, Some(table), _) => format!("comment on table t{table} is {string}"),
            (46..=48, Some(table), _) => {
                format!("create index on t{table} (s) where s <> {string}")
            }
            (49..=51, Some(table), _) => {
                let name = self.new_name();
                format!("create view v{name} as select i, {string}::text s from t{table}")
            }
            (52..=54, Some(table), _) => {
                let policy = format!("create policy p on t{table} using (s = {string})");
                format!("alter table t{table} enable row level security;\n{policy}")
            }
            (55..=56, Some(table), _) => {
                self.tables.retain(|it| *it != table);
                format!("drop table t{table} cascade")
            }
            (57, Some(table), _) => {
                let actions = format!("(notify a; insert into t{table} values (0))");
                format!("create rule r as on update to t{table} do {actions}")
            }
            (58..=61, ..) => {
                let name = self.new_name();
                self.types.push(name);
                format!("create type e{name} as enum ('a', 'b;')")
            }
            (62..=64, _, Some(kind)) => {
                let name = self.new_name();
                format!("alter type e{kind} add value 'v{name}'")
            }
            (65..=70, ..) => {
                let name = self.new_name();
                let body = format!("begin execute $q$ select 'x;' $q$; return {string}; end;");
                format!("create function f{name}() returns text language plpgsql as $f$ {body} $f$")
            }
            (71..=74, ..) => {
                let name = self.new_name();
                let body = format!("begin atomic select 1; select {string}::text; end");
                format!("create function f{name}() returns text language sql\n{body}")
            }
            (75, ..) => {
                let name = self.new_name();
                let body = "begin atomic select case when true then 1 end ; select 2; end";
                format!("create function f{name}() returns int language sql\n{body}")
            }
            (76..=79, ..) => "do $$ begin perform 'a;'; end $$".to_owned(),
            (80..=83, ..) => format!("select {string}, (1), (select ';')"),
            (84..=86, ..) => self
                .one_of(&[
                    "set search_path = public, pg_catalog",
                    "set local work_mem = '1MB'",
                    "reset all",
                    "set my.own = ';'",
                ])
                .to_owned(),
            (87, ..) => self.one_of(&["savepoint s", "begin", "commit", "rollback"]).to_owned(),
            (88, Some(table), _) => format!("lock table t{table}"),
            (89, Some(table), _) => format!("create index concurrently on t{table} (s)"),
            (90, ..) => "vacuum".to_owned(),
            (91, ..) => self
                .one_of(&["select nope", "select 1/0", "this is nothing", "select (1"])
                .to_owned(),
            (92, Some(table), _) => format!("insert into t{table} values (1), (1)"),
            (93, ..) => self
                .one_of(&["copy pg_class to stdout", "copy pg_class from stdin", "\\x"])
                .to_owned(),
            (94, Some(table), _) => format!("delete from t{table} where s = {string}"),
            _ => format!("create schema if not exists \"s;{}\"", self.random.u32(..3)),
        }
    }
}
