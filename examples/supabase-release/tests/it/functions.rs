//! Functions that are deployed after the migrations.

use std::fs;
use std::path::Path;

use gatekit_emulators::{Clock, Supabase};
use tokio::runtime::Runtime;

use crate::site::{Done, Site, has_text};

const PROJECT: &str = "abcdefghijklmnopqrst";

/// Ships `hello` with more words, from a folder.
fn ship(site: &Site, from: &Path, words: &[&str]) -> Done {
    let mut command = site.program();
    command.env("SUPABASE_ACCESS_TOKEN", "sbp_CANARY0000").current_dir(from).arg("ship");
    command.args(["--dir".as_ref(), site.dir.path().as_os_str()]);
    command.args(["--allow-plaintext", "--output", "json", "--functions", "hello"]).args(words);
    Done::of(command.output().unwrap())
}

#[test]
fn functions_follow_the_migrations_and_need_their_secrets() {
    let site = Site::new();
    site.migration(1, "create table a ();");
    site.write("functions/hello/index.ts", "Deno.serve(() => new Response('hello'));");
    let runtime = Runtime::new().unwrap();
    let emulator = Supabase::new(Clock::at_speed(1.0));
    let listening = runtime.block_on(emulator.listen(0)).unwrap();
    let url = listening.url();
    let ship = |token: &str| {
        let mut command = site.program();
        command.env("SUPABASE_ACCESS_TOKEN", token);
        command.args(["ship", "--allow-plaintext", "--output", "json", "--functions", "hello"]);
        command.args(["--project-ref", PROJECT, "--api-url", &url, "--require-secret", "KEY"]);
        let output = command.output().unwrap();
        let line = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), line, String::from_utf8(output.stderr).unwrap())
    };
    let (exit, line, stderr) = ship("sbp_CANARY0000");
    assert_eq!(exit, Some(1), "{line}{stderr}");
    assert!(line.contains("secrets.missing"), "{line}");
    assert_eq!(site.tables(), Vec::<String>::new());
    emulator.with_project(|it| it.set_secret("KEY"));
    let (exit, line, stderr) = ship("sbp_CANARY0000");
    assert_eq!(exit, Some(0), "{line}{stderr}");
    assert_eq!(site.tables(), ["a"]);
    assert!(emulator.with_project(|it| it.told("hello").is_some()));
    assert!(!line.contains("CANARY") && !stderr.contains("CANARY"));
    assert!(!has_text(site.dir.path(), "CANARY"), "neither password nor token is in a file");
}

#[test]
fn a_target_has_the_functions_of_one_project_and_keeps_them_in_one_place() {
    let site = Site::new();
    site.migration(1, "create table a ();");
    site.write("functions/hello/index.ts", "Deno.serve(() => new Response('hello'));");
    let runtime = Runtime::new().unwrap();
    let emulator = Supabase::new(Clock::at_speed(1.0));
    emulator.with_project(|it| it.deploy("hello", "old", true));
    let listening = runtime.block_on(emulator.listen(0)).unwrap();
    let url = listening.url();
    let from = site.dir.path().join("from");
    fs::create_dir(&from).unwrap();
    let words = ["--project-ref", PROJECT, "--api-url", &url, "--keep", "kept"];
    ship(&site, &from, &words).expect(0, "released", None);
    assert!(from.join("kept/artefacts").is_dir());
    let arguments = fs::read(site.ledger()).unwrap();
    let own = from.canonicalize().unwrap().join("kept");
    let own = own.to_str().unwrap().as_bytes();
    assert!(arguments.windows(own.len()).any(|it| it == own), "by its own path");

    // A release without functions forgets nothing of them.
    site.migration(2, "create table b ();");
    site.json(&["ship"]).expect(0, "released", None);
    let elsewhere = url.replace("127.0.0.1", "localhost");
    for (reference, url) in [("zzzzzzzzzzzzzzzzzzzz", &url), (PROJECT, &elsewhere)] {
        let words = ["--project-ref", reference, "--api-url", url];
        ship(&site, &from, &words).expect(2, "usage", Some("usage.project_ref"));
    }
    ship(&site, &from, &words).expect(0, "unchanged", None);
}

#[test]
fn the_token_leaves_this_machine_by_https_alone() {
    let site = Site::new();
    site.migration(1, "create table a ();");
    site.write("functions/hello/index.ts", "");
    let words = ["--project-ref", PROJECT, "--api-url", "http://10.255.255.1"];
    ship(&site, site.dir.path(), &words).expect(2, "usage", Some("api.plaintext"));
    assert_eq!(site.tables(), Vec::<String>::new());
}
