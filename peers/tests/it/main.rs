//! What `cargo xtask test` hands to tests is there, and is what it says.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests, outside `#[test]`")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use gatekit_peers::{Shared, SupabaseCli, SupabaseVersion};

/// The status line and all that follows it.
fn got(url: &str, path: &str) -> String {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_registry_speaks_as_registries_do() {
    let answer = got(&Shared::Registry.place().unwrap(), "/v2/");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.to_lowercase().contains("docker-distribution-api-version: registry/2.0"));
}

#[test]
fn moto_answers() {
    let answer = got(&Shared::Moto.place().unwrap(), "/moto-api/data.json");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn the_command_line_of_aws_is_the_pinned_one() {
    let output = Command::new(Shared::AwsCli.place().unwrap()).arg("--version").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("aws-cli/1.46.2 "), "{said}");
    let data = Shared::Botocore.place().unwrap();
    assert!(Path::new(&data).join("ecs/2014-11-13").is_dir());
}

#[test]
fn the_command_lines_of_supabase_are_the_pinned_ones() {
    let folder = Shared::Supabase.place().unwrap();
    if folder.is_empty() {
        assert!(std::env::var("CI").is_err(), "CI needs npm");
        return eprintln!("skipped: there is no npm on this machine");
    }
    let (cli, home) = (SupabaseCli::at(folder), tempfile::tempdir().unwrap());
    for version in SupabaseVersion::ALL {
        let output = cli.command(version, home.path()).arg("--help").output().unwrap();
        assert!(output.status.success(), "{version:?}: {output:?}");
        let program = cli.command(version, home.path()).get_program().to_owned();
        let package = Path::new(&program).ancestors().nth(2).unwrap().join("package.json");
        let pinned = format!("\"version\": \"{}\"", version.number());
        assert!(std::fs::read_to_string(package).unwrap().contains(&pinned), "{version:?}");
    }
}
