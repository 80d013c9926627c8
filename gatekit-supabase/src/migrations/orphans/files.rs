//! Orphans as files: what is in the database, brought into the folder.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use gatekit_core::{Effect, Error, Result};

use super::diagnosis::Orphan;
use crate::code;
use crate::migrations::files::split::split;

/// How a file is called whose row has no name.
const NAMELESS: &str = "remote";

/// The longest name of a file, in bytes.
const LONGEST: usize = 200;

/// The file of an orphan: where it is, and its text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) path: PathBuf,
    text: String,
}

/// The files of these orphans, which are not written yet.
///
/// # Errors
/// `migration.not_written` when one cannot be a file.
pub(super) fn make(folder: &Path, orphans: &[Orphan]) -> Result<Vec<Made>> {
    orphans.iter().map(|orphan| made(folder, orphan)).collect()
}

fn made(folder: &Path, orphan: &Orphan) -> Result<Made> {
    let cannot = |what: &str| refused(what, folder).with_context("version", &orphan.version);
    let name = orphan.name.as_deref().filter(|it| !it.is_empty()).unwrap_or(NAMELESS);
    let is_plain = |char: char| char.is_alphanumeric() || matches!(char, '_' | '-' | '.' | ' ');
    let is_version =
        orphan.version.len() == 14 && orphan.version.bytes().all(|byte| byte.is_ascii_digit());
    let file = format!("{}_{name}.sql", orphan.version);
    if !is_version || !name.chars().all(is_plain) || name.ends_with(".down") || file.len() > LONGEST
    {
        return Err(cannot("the name of an orphan cannot be that of a file"));
    }
    let statements = orphan.row.statements.as_deref().unwrap_or_default();
    // A comment at the end of a statement would take the `;` after it.
    let texts = [";\n\n", "\n;\n\n"].map(|end| {
        statements.iter().flat_map(|statement| [statement.as_str(), end]).collect::<String>()
    });
    let is_whole = |text: &&String| split(text).iter().map(|it| &it.text).eq(statements);
    let Some(text) = texts.iter().find(is_whole) else {
        return Err(cannot("the statements of an orphan cannot be those of a file"));
    };
    let mut text = text.trim_end().to_owned();
    text.push('\n');
    Ok(Made { path: folder.join(file), text })
}

/// Writes files, all or none; never over what is there.
///
/// # Errors
/// `migration.not_written`.
pub(super) fn write(folder: &Path, files: &[Made]) -> Result<()> {
    let is_folder = fs::symlink_metadata(folder).is_ok_and(|it| it.is_dir());
    if !is_folder {
        return Err(refused("the folder of the migrations is a link, or none", folder));
    }
    if let Some(file) = files.iter().find(|it| fs::symlink_metadata(&it.path).is_ok()) {
        return Err(refused("a file of that name is there, and is not written over", &file.path));
    }
    for (number, file) in files.iter().enumerate() {
        if let Err(source) = written(file) {
            // The one that failed, too, unless it is another's; one that stays after a crash is not what the
            // history has, which a push finds.
            let is_ours = source.kind() != std::io::ErrorKind::AlreadyExists;
            for file in files.iter().take(number + usize::from(is_ours)) {
                drop(fs::remove_file(&file.path));
            }
            let error = refused("a file cannot be written", &file.path);
            return Err(error.with_source(source));
        }
    }
    Ok(())
}

fn written(file: &Made) -> std::io::Result<()> {
    // `create_new` follows no link.
    let mut to = OpenOptions::new().write(true).create_new(true).open(&file.path)?;
    to.write_all(file.text.as_bytes())?;
    to.sync_all()
}

fn refused(what: &str, path: &Path) -> Error {
    Error::new(code::NOT_WRITTEN, what)
        .with_effect(Effect::None)
        .with_context("path", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::files::merge::Applied;
    use crate::migrations::orphans::diagnosis::Remains;

    fn orphan(version: &str, name: Option<&str>, statements: &[&str]) -> Orphan {
        let statements: Vec<_> = statements.iter().map(|it| (*it).to_owned()).collect();
        let name = name.map(str::to_owned);
        let row = Applied {
            version: version.to_owned(),
            name: name.clone(),
            statements: Some(statements),
        };
        Orphan {
            version: version.to_owned(),
            name,
            statements: Vec::new(),
            looked_up: Vec::new(),
            remains: Remains::Everything,
            row,
        }
    }

    const VERSION: &str = "20260101000000";

    fn text(statements: &[&str]) -> String {
        made(Path::new("m"), &orphan(VERSION, Some("a"), statements)).unwrap().text
    }

    #[test]
    fn a_file_is_split_into_the_statements_that_were_applied() {
        assert_eq!(
            text(&["create table a ()", "select ';'"]),
            "create table a ();\n\nselect ';';\n"
        );
        assert_eq!(text(&["-- c\nselect 1 -- d"]), "-- c\nselect 1 -- d\n;\n");
        for statements in [&["a", "b"][..], &["-- only"], &["$$;$$", "(;)", "a -- b"]] {
            let found: Vec<_> = split(&text(statements)).into_iter().map(|it| it.text).collect();
            assert_eq!(found, statements);
        }
        let error = made(Path::new("m"), &orphan(VERSION, None, &["a; b"])).unwrap_err();
        assert_eq!(error.code().as_str(), "migration.not_written");
        assert!(made(Path::new("m"), &orphan(VERSION, None, &["'open"])).is_err());
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_none() {
        let path = |name: Option<&str>| {
            made(Path::new("m"), &orphan(VERSION, name, &["a"])).map(|it| it.path)
        };
        assert_eq!(path(Some("a b-c.d")).unwrap(), Path::new("m/20260101000000_a b-c.d.sql"));
        for name in [None, Some("")] {
            assert_eq!(path(name).unwrap(), Path::new("m/20260101000000_remote.sql"));
        }
        let long = "x".repeat(200);
        for name in ["../x", "a/b", "a\\b", "a\nb", "a\0b", "a.down", "\u{202e}x", "a:b", &long] {
            let error = path(Some(name)).unwrap_err();
            assert_eq!(error.code().as_str(), "migration.not_written", "{name:?}");
        }
        assert!(made(Path::new("m"), &orphan("1", Some("a"), &["a"])).is_err());
        assert!(made(Path::new("m"), &orphan("../../../../ab", Some("a"), &["a"])).is_err());
    }

    #[test]
    fn what_is_there_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let orphans =
            [orphan(VERSION, Some("a"), &["a"]), orphan("20260101000001", Some("b"), &["b"])];
        let files = make(dir.path(), &orphans).unwrap();
        fs::write(&files[1].path, "theirs").unwrap();
        let error = write(dir.path(), &files).unwrap_err();
        assert_eq!(error.code().as_str(), "migration.not_written");
        assert!(!files[0].path.exists(), "all or none");
        assert_eq!(fs::read_to_string(&files[1].path).unwrap(), "theirs");
        fs::remove_file(&files[1].path).unwrap();
        write(dir.path(), &files).unwrap();
        assert_eq!(fs::read_to_string(&files[0].path).unwrap(), "a;\n");
        assert_eq!(fs::read_to_string(&files[1].path).unwrap(), "b;\n");
    }

    #[cfg(unix)]
    #[test]
    fn no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, link) = (dir.path().join("m"), dir.path().join("link"));
        fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        let files = make(&link, &[orphan(VERSION, Some("a"), &["a"])]).unwrap();
        assert_eq!(write(&link, &files).unwrap_err().code().as_str(), "migration.not_written");
        let files = make(&folder, &[orphan(VERSION, Some("a"), &["a"])]).unwrap();
        // One that leads to nothing.
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &files[0].path).unwrap();
        assert_eq!(write(&folder, &files).unwrap_err().code().as_str(), "migration.not_written");
        assert!(!dir.path().join("elsewhere").exists());
        // And one that comes between the look and the writing.
        assert!(written(&files[0]).is_err());
        assert!(!dir.path().join("elsewhere").exists());
    }
}
