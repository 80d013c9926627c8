//! The codes of all crates: each is listed in the guide, and some test asks for it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use gatekit::code::ListedCode;

/// The list that the guide shows; written anew by this test when `GATEKIT_WRITE_CODES` is set.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/codes.md");

/// What no test can bring about here, and why.
const NOT_HERE: [(&str, &str); 8] = [
    ("api.client", "of a TLS library that cannot be set up"),
    ("database.failed", "of a server that fails for a reason of its own"),
    ("ledger.network_fs", "no test may mount a network file system"),
    ("release_dir.platform", "of other systems than Linux, and of kernels before 5.3"),
    ("service.not_started", "of a machine without /bin/sh, or without room for a process"),
    ("service.wont_stop", "of a process that the kernel does not let die"),
    ("smoke.client", "of a TLS library that cannot be set up"),
    ("webhook.client", "of a machine without room for a thread"),
];

/// All codes, by their text.
fn codes() -> BTreeMap<&'static str, &'static ListedCode> {
    let lists = [
        gatekit::code::ALL,
        gatekit::aws::code::ALL,
        gatekit::blocking::code::ALL,
        gatekit::cli::code::ALL,
        gatekit::github::code::ALL,
        gatekit::http::code::ALL,
        gatekit::local::code::ALL,
        gatekit::store::code::ALL,
        gatekit::supabase::code::ALL,
    ];
    let all = lists.into_iter().flatten();
    let codes: BTreeMap<_, _> = all.clone().map(|listed| (listed.code.as_str(), listed)).collect();
    assert_eq!(codes.len(), all.count(), "no code has two meanings");
    codes
}

fn page() -> String {
    let mut page = "Every code of a refusal or an error: what happened, and what to do next.\n\n\
                    A backend of your own adds its own: see [`codes!`](crate::codes). Which exit code a \
                    run ends with does not depend on the code but on what became of the target: see \
                    [`night`](mod@night).\n"
        .to_owned();
    let mut area = None;
    for (text, listed) in codes() {
        if area != Some(listed.code.area()) {
            area = Some(listed.code.area());
            let title = listed.code.area();
            write!(page, "\n# {title}\n| code | what happened | next |\n|---|---|---|\n").unwrap();
        }
        let cell = |text: &str| text.replace('|', "\\|");
        writeln!(page, "| `{text}` | {} | {} |", cell(listed.meaning), cell(listed.next)).unwrap();
    }
    page
}

#[test]
fn the_guide_lists_every_code_as_the_code_has_it() {
    let page = page();
    if env::var_os("GATEKIT_WRITE_CODES").is_some() {
        fs::write(PAGE, &page).unwrap();
    }
    let written = fs::read_to_string(PAGE).unwrap_or_default();
    assert!(written == page, "{PAGE} is old: run this test with GATEKIT_WRITE_CODES=1");
}

/// By its text or by its constant, whose name follows the text.
#[test]
fn every_code_is_asked_for_by_a_test() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let tests = tests_of(workspace);
    let unnamed: Vec<_> = codes()
        .into_values()
        .map(|listed| listed.code.as_str())
        .filter(|text| {
            let (area, name) = text.split_once('.').unwrap();
            // Some lists leave the area away where it is the crate's own.
            let short = format!("code::{}", name.to_uppercase());
            let long = format!("{}_{}", area, name).to_uppercase();
            !tests.contains(&format!("\"{text}\""))
                && !tests.contains(&short)
                && !tests.contains(&long)
        })
        .collect();
    assert_eq!(unnamed, NOT_HERE.map(|(code, _)| code));
}

/// What a program matches on is listed. The doubles of the testkit have codes that nobody else sees.
#[test]
fn no_code_is_made_beside_the_lists() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let known = codes();
    let mut looked_at = 0;
    for entry in fs::read_dir(workspace).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("gatekit") || name == "gatekit-testkit" {
            continue;
        }
        for file in rust_files(&folder.join("src")) {
            looked_at += 1;
            let within = file.strip_prefix(&folder).unwrap();
            if within.iter().any(|part| part == "tests" || part == "tests.rs") {
                continue;
            }
            for text in codes_made_in(&fs::read_to_string(&file).unwrap()) {
                assert!(known.contains_key(&*text), "{} makes `{text}`", file.display());
            }
        }
    }
    assert!(looked_at > 50, "the sources are elsewhere");
    // What it looks for.
    let source = "let a = Code::new(\n    \"a.b\",\n);\n/// Code::new(\"c.d\")\nCode::new($text)\n\
                  #[cfg(test)]\nCode::new(\"e.f\")";
    assert_eq!(codes_made_in(source), ["a.b"]);
}

/// The texts that codes are made of before the tests of a source file, and not in its documentation.
fn codes_made_in(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n");
    let made = code.split("Code::new(").skip(1);
    let literals = made.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
    literals.map(str::to_owned).collect()
}

/// The text of all tests: those of `tests`, those at the end of a source file, and the conformance
/// suites.
fn tests_of(workspace: &Path) -> String {
    let mut text = String::new();
    let crates = ["", "examples"].map(|folder| fs::read_dir(workspace.join(folder)).unwrap());
    let crates = crates.into_iter().flatten().map(|entry| entry.unwrap().path());
    for folder in crates.filter(|folder| folder.join("Cargo.toml").is_file()) {
        for file in rust_files(&folder.join("tests")) {
            // Not this one, which names those that no test asks for.
            if !file.ends_with("gatekit/tests/it/codes.rs") {
                text.push_str(&fs::read_to_string(file).unwrap());
            }
        }
        for file in rust_files(&folder.join("src")) {
            let source = fs::read_to_string(&file).unwrap();
            if folder.ends_with("gatekit-testkit") {
                text.push_str(&source);
            } else if let Some((_, tests)) = source.split_once("#[cfg(test)]") {
                text.push_str(tests);
            }
        }
    }
    text
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let (folders, files): (Vec<_>, Vec<_>) =
        entries.map(|entry| entry.unwrap().path()).partition(|path| path.is_dir());
    let rust = files.into_iter().filter(|path| path.extension().is_some_and(|it| it == "rs"));
    rust.chain(folders.iter().flat_map(|folder| rust_files(folder))).collect()
}
