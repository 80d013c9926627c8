//! What the build looks at and the task ships: the text on a sign.

use std::path::{Path, PathBuf};
use std::{env, fs};

use gatekit::local::{Command, CommandDeploy, Program};
use gatekit::{Candidate, Pipeline, Result, enforced};

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// The file that the sign is in. A build and a task have directories of their own to work in: they
/// look at the same sign because the package has one.
pub(crate) fn sign() -> PathBuf {
    Path::new(HERE).join(env::var_os("SIGN").unwrap_or_else(|| "sign.json".into()))
}

pub(crate) fn pipeline() -> Result<Pipeline> {
    let script = Path::new(HERE).join("../command-deploy/sign.sh");
    let sign = sign().to_string_lossy().into_owned();
    let deploy = CommandDeploy::new("sign", Program::new(script).env("SIGN", &sign))?;
    let undo = deploy.undo();
    let fits = Program::new("grep").args(["-Eqx", ".{1,12}", "text.txt"]).dir(HERE);
    let there = Program::new("test").args(["-s", &sign]);
    Pipeline::to("office/sign")
        .gate(enforced(Command::new("fits", fits)?))
        .deploy(deploy)
        .rollback_with(undo)
        .verify(enforced(Command::new("there", there)?))
        .build()
}

pub(crate) fn candidate() -> std::io::Result<Candidate> {
    let text = fs::read_to_string(Path::new(HERE).join("text.txt"))?;
    Ok(Candidate::new().with_version(text.trim()))
}
