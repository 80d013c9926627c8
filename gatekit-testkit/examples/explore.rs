//! Explores every scene of doubles, or those whose names contain the first argument: every single
//! fault, and with `--pairs` every ordered pair. `--replay SCRIPT` walks one path of one scene.
//!
//! `cargo run --release -p gatekit-testkit --example explore -- --pairs "one deploy"`

use std::process::ExitCode;
use std::time::Instant;

use gatekit_testkit::explorer::doubles::{all, in_memory};
use gatekit_testkit::explorer::{Explorer, Scene as _, Script, Settles};

const USAGE: &str = "usage: explore [--pairs] [--replay SCRIPT] [NAME]";

#[derive(Debug, Default)]
struct Args {
    pairs: bool,
    replay: Option<Script>,
    name: String,
}

fn args() -> Result<Args, String> {
    let mut args = Args::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match &*word {
            "--pairs" => args.pairs = true,
            "--replay" => {
                let script = words.next().ok_or(USAGE)?;
                args.replay = Some(script.parse::<Script>().map_err(|error| error.to_string())?);
            }
            name if !name.starts_with('-') => args.name = word,
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(args)
}

fn main() -> ExitCode {
    let args = match args() {
        Ok(args) => args,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (mut paths, mut failed, begun) = (0, false, Instant::now());
    let scenes = all(&in_memory());
    let explorers = || {
        scenes.iter().flat_map(|scene| {
            [Settles::ByResume, Settles::ByDecision]
                .map(|settles| Explorer::new(scene).settles(settles).threads(threads))
        })
    };
    // A name in full means no other one that contains it.
    let exact = explorers().any(|explorer| explorer.name() == args.name);
    let is_meant = |name: &str| if exact { name == args.name } else { name.contains(&args.name) };
    // A name that matches nothing would count as a success.
    if !explorers().any(|explorer| is_meant(&explorer.name())) {
        let names = scenes.iter().map(|scene| scene.name()).collect::<Vec<_>>().join("\n  ");
        eprintln!("no scene is called `{}`; there are:\n  {names}", args.name);
        return ExitCode::from(2);
    }
    for explorer in explorers().filter(|explorer| is_meant(&explorer.name())) {
        let explorer = if args.pairs { explorer } else { explorer.singles_only() };
        if let Some(script) = &args.replay {
            let replay = explorer.replay(script);
            println!("{}: {replay}", explorer.name());
            failed |= !replay.wrong.is_empty();
            continue;
        }
        let started = Instant::now();
        let exploration = explorer.explore();
        println!("{exploration} ({:.1?})", started.elapsed());
        paths += exploration.walked();
        failed |= !exploration.is_sound();
    }
    if args.replay.is_none() {
        println!("{paths} paths in {:.0?}", begun.elapsed());
    }
    ExitCode::from(u8::from(failed))
}
