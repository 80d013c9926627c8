//! What the URL of a ledger says.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use gatekit_core::{Effect, Error, NextAction, Result};
use secrecy::{ExposeSecret as _, SecretString};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use url::form_urlencoded;

use crate::code;

/// Where the server is, who asks, and how the connection is protected. Shown without the password.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) tls: Tls,
}

/// How a connection is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tls {
    /// Not at all: only where the URL says so.
    Off,
    /// The server proves its name.
    Verified {
        /// A file with the authorities to trust, instead of those of the machine.
        authorities: Option<PathBuf>,
        /// Files with a certificate and its key, by which the client proves its own name.
        identity: Option<(PathBuf, PathBuf)>,
    },
}

/// The parameters that are ours; tokio-postgres knows the others.
#[derive(Debug, Default)]
struct Own {
    sslmode: Option<String>,
    sslrootcert: Option<PathBuf>,
    sslcert: Option<PathBuf>,
    sslkey: Option<PathBuf>,
    passfile: Option<PathBuf>,
}

impl Address {
    /// Reads a URL, and the password beside it where it has none.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let is_ours = ["postgres://", "postgresql://"].iter().any(|it| url.starts_with(it));
        if !is_ours {
            return Err(malformed("it does not begin with `postgres://`"));
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (own, rest) = Own::read(query)?;
        let rest = if rest.is_empty() { base.to_owned() } else { format!("{base}?{rest}") };
        let mut config: Config = rest
            .parse()
            .map_err(|error| malformed("its parts cannot be read").with_source(error))?;
        if config.get_hosts().is_empty() {
            return Err(malformed("it names no host"));
        }
        let tls = own.tls(&config)?;
        config.ssl_mode(if tls == Tls::Off { SslMode::Disable } else { SslMode::Require });
        if config.get_application_name().is_none() {
            config.application_name("gatekit");
        }
        if config.get_password().is_none()
            && let Some(password) = password(own.passfile.as_deref())?
        {
            config.password(password.expose_secret());
        }
        Ok(Self { config, tls })
    }
}

impl Own {
    /// Takes our own parameters out of a query.
    fn read(query: &str) -> Result<(Self, String)> {
        let mut own = Self::default();
        let mut rest = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "sslmode" => own.sslmode = Some(value.into_owned()),
                "sslrootcert" => own.sslrootcert = Some(value.into_owned().into()),
                "sslcert" => own.sslcert = Some(value.into_owned().into()),
                "sslkey" => own.sslkey = Some(value.into_owned().into()),
                "passfile" => own.passfile = Some(value.into_owned().into()),
                // A pooler knows nothing of what one of its clients has set.
                "options" => {
                    return Err(malformed(
                        "`options` set the state of a session, of which a \
                                          ledger has none",
                    ));
                }
                _ => {
                    rest.append_pair(&name, &value);
                }
            }
        }
        Ok((own, rest.finish()))
    }

    fn tls(&self, config: &Config) -> Result<Tls> {
        let identity = match (&self.sslcert, &self.sslkey) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            (None, None) => None,
            _ => return Err(malformed("`sslcert` and `sslkey` come together")),
        };
        let on_this_machine = config.get_hosts().iter().all(|host| !matches!(host, Host::Tcp(_)));
        match self.sslmode.as_deref() {
            Some("disable") => Ok(Tls::Off),
            None if on_this_machine => Ok(Tls::Off),
            None | Some("require" | "verify-ca" | "verify-full") => {
                Ok(Tls::Verified { authorities: self.sslrootcert.clone(), identity })
            }
            Some(_) => Err(malformed(
                "`sslmode` is `verify-full`, which is the default, or `disable`, for a connection \
                 that nobody else can listen to",
            )),
        }
    }
}

/// The password that a file or the environment names.
fn password(file: Option<&Path>) -> Result<Option<SecretString>> {
    let Some(file) = file else {
        return Ok(env::var("PGPASSWORD").ok().filter(|it| !it.is_empty()).map(Into::into));
    };
    let text = fs::read_to_string(file).map_err(|error| {
        malformed("the file with the password cannot be read")
            .with_context("passfile", file.display())
            .with_source(error)
    })?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(malformed("the file with the password is empty")
            .with_context("passfile", file.display()));
    }
    Ok(Some(line.into()))
}

/// The source of the error never holds the URL: it may have a password in it.
fn malformed(why: &str) -> Error {
    Error::new(code::LEDGER_URL, "the URL of the ledger cannot be used")
        .with_effect(Effect::None)
        .with_context("why", why)
        .with_next(NextAction::outside(
            "give it as `postgres://USER@HOST:PORT/DATABASE`, with the password in `PGPASSWORD` or \
             in a file that `?passfile=` names",
        ))
}

impl Address {
    /// Where the database is, whoever asks.
    pub(super) fn database(&self) -> String {
        let ports = self.config.get_ports();
        let hosts: Vec<_> = self
            .config
            .get_hosts()
            .iter()
            .enumerate()
            .map(|(at, host)| {
                let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432);
                match host {
                    Host::Tcp(name) => format!("{name}:{port}"),
                    #[cfg(unix)]
                    Host::Unix(path) => format!("{}:{port}", path.display()),
                }
            })
            .collect();
        let database = self.config.get_dbname().or(self.config.get_user()).unwrap_or_default();
        format!("{}/{database}", hosts.join(","))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.to_string()).finish()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
        write!(f, "postgres://{user}{}", self.database())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        let url = "postgresql://anna:hunter2@db.example.org:6543/ledgers?connect_timeout=3";
        let address = Address::parse(url).unwrap();
        assert_eq!(address.to_string(), "postgres://anna@db.example.org:6543/ledgers");
        assert!(!format!("{address:?}").contains("hunter2"));
        assert_eq!(address.config.get_password(), Some(&b"hunter2"[..]));
    }

    #[test]
    fn a_server_proves_its_name_unless_the_url_says_otherwise() {
        let tls = |query: &str| {
            Address::parse(&format!("postgres://u:p@h/d{query}")).map(|address| address.tls)
        };
        let verified = |authorities, identity| Tls::Verified { authorities, identity };
        assert_eq!(tls("").unwrap(), verified(None, None));
        assert_eq!(tls("?sslmode=require").unwrap(), verified(None, None));
        assert_eq!(tls("?sslmode=disable").unwrap(), Tls::Off);
        assert_eq!(
            tls("?sslrootcert=%2Fca.pem&sslcert=c.pem&sslkey=k.pem").unwrap(),
            verified(Some("/ca.pem".into()), Some(("c.pem".into(), "k.pem".into())))
        );
        for refused in ["?sslmode=prefer", "?sslmode=allow", "?sslcert=c.pem", "?options=-c%20x"] {
            assert_eq!(*tls(refused).unwrap_err().code(), code::LEDGER_URL, "{refused}");
        }
        let socket = Address::parse("postgres://u@%2Frun%2Fpostgresql/d").unwrap();
        assert_eq!(socket.tls, Tls::Off, "nobody else can listen to a socket of this machine");
    }

    #[test]
    fn what_is_no_url_is_not_shown() {
        for url in ["", "mysql://u:hunter2@h/d", "postgres://u:hunter2@h:port/d", "postgres:///d"] {
            let error = Address::parse(url).unwrap_err();
            assert_eq!(*error.code(), code::LEDGER_URL, "{url}");
            assert!(!format!("{error:?} {error}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn a_password_is_read_from_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pass");
        let url = format!("postgres://u@h/d?passfile={}", file.display());
        assert_eq!(*Address::parse(&url).unwrap_err().code(), code::LEDGER_URL, "there is none");
        fs::write(&file, "\n").unwrap();
        assert_eq!(*Address::parse(&url).unwrap_err().code(), code::LEDGER_URL, "it is empty");
        fs::write(&file, "open sesame\n").unwrap();
        let address = Address::parse(&url).unwrap();
        assert_eq!(address.config.get_password(), Some(&b"open sesame"[..]));
    }
}
