//! Functions that are deployed after the migrations.

use gatekit_emulators::{Clock, Supabase};
use tokio::runtime::Runtime;

use crate::site::{Site, has_text};

const PROJECT: &str = "abcdefghijklmnopqrst";

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
