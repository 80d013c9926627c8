//! Where a ledger is.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use gatekit_core::ledger::Ledger;
use gatekit_core::{Error, Result};
use gatekit_store::SqliteLedger;
#[cfg(feature = "postgres")]
use gatekit_store::{PostgresLedger, PostgresLedgerBuilder};

use crate::code;

/// Where a ledger is, and how it is opened there.
#[derive(Debug)]
pub(crate) enum Place {
    File {
        path: PathBuf,
        /// The caller knows the machine: whether it keeps the file when the job is over.
        durable: bool,
    },
    #[cfg(feature = "postgres")]
    Server(Box<PostgresLedgerBuilder>),
}

impl Place {
    pub(crate) fn parse(url: &str) -> Result<Self> {
        if ["postgres:", "postgresql:"].iter().any(|scheme| url.starts_with(scheme)) {
            return Self::server(url);
        }
        let place = url.strip_prefix("sqlite:").unwrap_or_default();
        let (path, durable) = match place.strip_suffix("?durable=true") {
            Some(path) => (path, true),
            None => (place, false),
        };
        if url.is_empty() {
            let what = "the ledger's URL is empty: give one, or unset `GATEKIT_LEDGER`";
            return Err(Error::new(code::USAGE_LEDGER, what));
        }
        if path.is_empty() {
            let what = "the ledger's URL is neither `sqlite:PATH`, `sqlite:PATH?durable=true` nor \
                        `postgres://USER@HOST:PORT/DATABASE`";
            return Err(Error::new(code::USAGE_LEDGER, what));
        }
        Ok(Self::File { path: path.into(), durable })
    }

    #[cfg(feature = "postgres")]
    fn server(url: &str) -> Result<Self> {
        Ok(Self::Server(Box::new(PostgresLedger::builder(url)?)))
    }

    #[cfg(not(feature = "postgres"))]
    fn server(_: &str) -> Result<Self> {
        let what = "this program was built without the ledger on PostgreSQL";
        Err(Error::new(code::USAGE_LEDGER, what))
    }

    /// The ledger for writing, made when it does not exist.
    pub(crate) async fn open(&self) -> Result<Arc<dyn Ledger>> {
        Ok(match self {
            Self::File { path, durable } => {
                Arc::new(SqliteLedger::builder(path).durable(*durable).build()?)
            }
            #[cfg(feature = "postgres")]
            Self::Server(builder) => Arc::new(PostgresLedgerBuilder::clone(builder).build().await?),
        })
    }

    /// The ledger for reading, as it is now; `None` when it does not exist.
    pub(crate) async fn open_to_read(&self) -> Result<Option<Arc<dyn Ledger>>> {
        Ok(match self {
            Self::File { path, .. } => SqliteLedger::builder(path).build_read_only()?.map(shared),
            #[cfg(feature = "postgres")]
            Self::Server(builder) => {
                PostgresLedgerBuilder::clone(builder).build_current().await?.map(shared)
            }
        })
    }

    /// The ledger to look at where nothing is decided by it: as it is now or, where only a standby
    /// answers, as that has it. Tells which.
    pub(crate) async fn open_to_look(&self) -> Result<(Option<Arc<dyn Ledger>>, bool)> {
        match self {
            Self::File { .. } => Ok((self.open_to_read().await?, false)),
            #[cfg(feature = "postgres")]
            Self::Server(builder) => {
                if let Ok(current) = self.open_to_read().await {
                    return Ok((current, false));
                }
                let builder = PostgresLedgerBuilder::clone(builder);
                let Some(ledger) = builder.build_read_only().await? else {
                    return Ok((None, false));
                };
                let is_behind = ledger.is_standby().await?;
                Ok((Some(shared(ledger)), is_behind))
            }
        }
    }

    /// Where the ledger was moved to, if it was.
    pub(crate) async fn moved_to(&self) -> Result<Option<String>> {
        match self {
            Self::File { path, .. } => match SqliteLedger::builder(path).build_read_only()? {
                Some(ledger) => ledger.moved_to().await,
                None => Ok(None),
            },
            #[cfg(feature = "postgres")]
            Self::Server(_) => Ok(None),
        }
    }
}

fn shared(ledger: impl Ledger) -> Arc<dyn Ledger> {
    Arc::new(ledger)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, .. } => path.display().fmt(f),
            #[cfg(feature = "postgres")]
            Self::Server(builder) => builder.fmt(f),
        }
    }
}

/// A ledger's URL as it may be shown: without a password, also where one in it makes the URL none.
pub(crate) fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (user.split([':', '/', '?', '#']).next(), place),
        None => (None, rest),
    };
    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
    let (place, query) = place.split_once('?').unwrap_or((place, ""));
    // A name that is written in another way may be that of the password.
    let is_shown = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        !name.is_empty() && !name.contains('%') && !name.eq_ignore_ascii_case("password")
    };
    let query: Vec<_> = query.split('&').filter(is_shown).collect();
    if query.is_empty() {
        return format!("{scheme}://{user}{place}");
    }
    format!("{scheme}://{user}{place}?{}", query.join("&"))
}

/// A text in which words may be URLs of ledgers, each of them as it may be shown.
pub(crate) fn shown_in(text: &str) -> String {
    let is_end = |c: char| c.is_whitespace() || c == '\'';
    let shown = |piece: &str| {
        let (word, end) = piece.split_at(piece.trim_end_matches(is_end).len());
        if ["postgres://", "postgresql://"].iter().any(|it| word.contains(it)) {
            return shown(word) + end;
        }
        piece.to_owned()
    };
    text.split_inclusive(is_end).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_a_password() {
        for (url, expected) in [
            ("sqlite:/var/lib/ledger.db", "sqlite:/var/lib/ledger.db"),
            ("postgres://u:hunter2@h:1/d?sslmode=disable", "postgres://u@h:1/d?sslmode=disable"),
            ("postgres://u:hunt@er2@h/d", "postgres://u@h/d"),
            (
                "postgres://u@h,g/d?password=hunter2&sslmode=disable",
                "postgres://u@h,g/d?sslmode=disable",
            ),
            ("postgres://h?password=hunter2", "postgres://h"),
            ("postgres://u:hunter2@h/", "postgres://u@h/"),
            ("postgres://u:pa/hunter2@h/d?sslmode=disable", "postgres://u@h/d?sslmode=disable"),
            ("postgres://u:pa?hunter2@h/d", "postgres://u@h/d"),
            ("postgres://u@h/d?passw%6Frd=hunter2&a=b", "postgres://u@h/d?a=b"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }

    #[test]
    fn a_text_shows_urls_without_passwords() {
        let text = "unexpected argument 'postgres://u:hunter2@h/d' found\n  --ledger=postgres://u:hunter2@h/d";
        let shown = "unexpected argument 'postgres://u@h/d' found\n  --ledger=postgres://u@h/d";
        assert_eq!(shown_in(text), shown);
        assert_eq!(shown_in("an  'error' of\n another kind: "), "an  'error' of\n another kind: ");
    }

    #[test]
    fn a_place_is_one_of_the_kinds_of_ledgers() {
        let place = |url| Place::parse(url).map(|place| place.to_string());
        assert_eq!(place("sqlite:a/b?durable=true").unwrap(), "a/b");
        assert_eq!(place("postgres://u:p@h/d").unwrap(), "postgres://u@h:5432/d");
        for url in ["", "sqlite:", "redis://x", "/a/b"] {
            assert_eq!(*place(url).unwrap_err().code(), code::USAGE_LEDGER, "{url}");
        }
    }
}
