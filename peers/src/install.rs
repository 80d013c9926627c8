//! How a program that is missing gets here.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::program::run;

/// A program that the machine has.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let beyond = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(beyond).map(|dir| dir.join(program)).find(|it| it.is_file())
}

/// Unpacks Debian packages in a folder, once.
pub(crate) fn debian(folder: &Path, packages: &[&str]) -> Result<PathBuf> {
    let _lock = locked(folder)?;
    let root = folder.join("root");
    if root.is_dir() {
        return Ok(root);
    }
    eprintln!("installing {} in {}", packages.join(", "), folder.display());
    let (state, draft) = (folder.join("apt"), folder.join("draft"));
    let _ = fs::remove_dir_all(&draft);
    for dir in [&state.join("lists/partial"), &state.join("cache/archives/partial"), &draft] {
        fs::create_dir_all(dir)?;
    }
    let apt = || {
        let mut apt = Command::new("apt-get");
        // Its own lists, so that it needs neither root nor the machine's.
        for (name, dir) in [("State::lists", "lists"), ("Cache", "cache")] {
            apt.arg("-o").arg(format!("Dir::{name}={}", state.join(dir).display()));
        }
        apt.args(["-q", "-o", "APT::Sandbox::User=root"]).current_dir(folder);
        apt
    };
    run(apt().arg("update"))?;
    run(apt().arg("download").args(packages))?;
    for file in fs::read_dir(folder)? {
        let file = file?.path();
        if file.extension() == Some(OsStr::new("deb")) {
            run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&draft))?;
        }
    }
    fs::rename(&draft, &root)?;
    Ok(root)
}

/// Installs Python packages in a folder, once for each list of versions.
pub(crate) fn python(folder: &Path, packages: &[&str]) -> Result<PathBuf> {
    let _lock = locked(folder)?;
    // The programs of a virtual environment name their own folder: it cannot be moved to its place
    // when it is whole, so that a file says that it is.
    let (root, whole) = (folder.join("root"), folder.join("installed"));
    let wanted = packages.join("\n");
    if fs::read_to_string(&whole).is_ok_and(|installed| installed == wanted) {
        return Ok(root);
    }
    eprintln!("installing {} in {}", packages.join(", "), folder.display());
    let _ = fs::remove_file(&whole);
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&root))?;
    let mut pip = Command::new(root.join("bin/python3"));
    run(pip.args(["-m", "pip", "install", "--quiet", "--no-input"]).args(packages))?;
    fs::write(&whole, wanted)?;
    Ok(root)
}

/// Installs what a lock file of npm pins in a folder, once for each lock. The digests in it are checked; no
/// script of a package is run.
pub(crate) fn npm(folder: &Path, package: &str, lock: &str) -> Result<PathBuf> {
    let _lock = locked(folder)?;
    let (root, draft) = (folder.join("root"), folder.join("draft"));
    if fs::read_to_string(root.join("package-lock.json")).is_ok_and(|installed| installed == lock) {
        return Ok(root);
    }
    eprintln!("installing packages of npm in {}", folder.display());
    let _ = fs::remove_dir_all(&draft);
    fs::create_dir_all(&draft)?;
    fs::write(draft.join("package.json"), package)?;
    fs::write(draft.join("package-lock.json"), lock)?;
    let quiet = ["--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"];
    let npm = &mut Command::new("npm");
    run(npm.args(["ci", "--ignore-scripts"]).args(quiet).current_dir(&draft))?;
    let _ = fs::remove_dir_all(&root);
    fs::rename(&draft, &root)?;
    Ok(root)
}

/// Keeps others from installing in the same folder, until it is dropped.
pub(crate) fn locked(folder: &Path) -> Result<File> {
    fs::create_dir_all(folder)?;
    let lock = File::create(folder.join("lock"))?;
    lock.lock()?;
    Ok(lock)
}
