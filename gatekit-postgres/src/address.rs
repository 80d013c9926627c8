//! What a URL says.

use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gatekit_core::{Code, Effect, Error, NextAction, Result};
use secrecy::{ExposeSecret as _, SecretString};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use url::form_urlencoded;

/// What a database is for, and how errors are called that are about its address.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "whoever connects says all of it")]
pub struct Purpose {
    /// What messages call it, as `ledger`.
    pub name: &'static str,
    /// That its URL cannot be used.
    pub url: Code,
    /// That no protected connection can be made.
    pub tls: Code,
}

/// Where the server is, who asks, and how the connection is protected. Shown without the password.
#[derive(Clone)]
pub struct Address {
    pub(crate) purpose: Purpose,
    /// One for each host that the URL names, in its order: the first that answers is the server.
    pub(crate) hosts: Vec<Config>,
    /// Read anew for every connection, because a password may have a short life.
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) tls: Tls,
}

/// How a connection is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
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

/// The parameters that tokio-postgres knows, and that mean something here.
const KNOWN: [&str; 9] = [
    "application_name",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "password",
    "port",
    "target_session_attrs",
    "user",
];

/// Every parameter, for people.
fn known() -> String {
    let own = ["sslmode", "sslrootcert", "sslcert", "sslkey", "password_file"];
    let all: Vec<_> = own.iter().chain(&KNOWN).map(|name| format!("`{name}`")).collect();
    all.join(", ")
}

/// The parameters that are ours.
#[derive(Debug, Default)]
struct Own {
    sslmode: Option<String>,
    sslrootcert: Option<PathBuf>,
    sslcert: Option<PathBuf>,
    sslkey: Option<PathBuf>,
    password_file: Option<PathBuf>,
}

impl Address {
    /// Reads a URL, and the password beside it where it has none: in the file that `?password_file=` names,
    /// or in `PGPASSWORD`.
    ///
    /// # Errors
    /// That of the purpose for a URL that cannot be used, which never shows it.
    pub fn parse(url: &str, purpose: &Purpose) -> Result<Self> {
        Self::read(url, purpose).map_err(|error| error.of(purpose))
    }

    fn read(url: &str, purpose: &Purpose) -> Result<Self, Malformed> {
        let is_ours = ["postgres://", "postgresql://"].iter().any(|it| url.starts_with(it));
        if !is_ours {
            return Err(malformed("it does not begin with `postgres://`"));
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        if url.split_once('@').is_some_and(|(before, after)| {
            before.split_once("://").is_some_and(|(_, user)| user.contains(['/', '?', '#']))
                || after.contains('@')
        }) {
            return Err(malformed("a `/`, `?`, `#` or `@` of a password is written as `%2F`, ..."));
        }
        let (own, rest) = Own::read(query)?;
        let hosts = each_host(base)
            .map(|base| {
                let url = if rest.is_empty() { base } else { format!("{base}?{rest}") };
                // What cannot be read may be part of a password.
                url.parse().map_err(|_| malformed("its host, port or database cannot be read"))
            })
            .collect::<Result<Vec<Config>, Malformed>>()?;
        if hosts.iter().any(|host| host.get_hosts().is_empty()) {
            return Err(malformed("it names no host"));
        }
        let tls = own.tls(&hosts)?;
        let purpose = purpose.clone();
        let mut address = Self { purpose, hosts, password_file: own.password_file, tls };
        address.complete()?;
        Ok(address)
    }

    /// What the URL leaves open.
    fn complete(&mut self) -> Result<(), Malformed> {
        let password = match &self.password_file {
            Some(file) => Some(read_password(file)?),
            None => env::var("PGPASSWORD").ok().filter(|it| !it.is_empty()).map(Into::into),
        };
        let mode = if self.tls == Tls::Off { SslMode::Disable } else { SslMode::Require };
        for host in &mut self.hosts {
            host.ssl_mode(mode);
            if host.get_application_name().is_none() {
                host.application_name("gatekit");
            }
            if host.get_password().is_some() {
                // That in the URL is meant.
                self.password_file = None;
            } else if let Some(password) = &password {
                host.password(password.expose_secret());
            }
            // What forgets connections that are silent for minutes is in many ways to a server.
            host.keepalives_idle(KEEP_ALIVE);
        }
        Ok(())
    }
}

/// After how long a connection that is silent is tried.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// A URL for each of its hosts.
fn each_host(url: &str) -> impl Iterator<Item = String> {
    let start = url.find('@').or(url.find("://").map(|at| at + 2)).map_or(0, |at| at + 1);
    let (before, rest) = url.split_at(start);
    let (hosts, after) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    hosts.split(',').map(move |host| format!("{before}{host}{after}"))
}

impl Own {
    /// Takes our own parameters out of a query.
    fn read(query: &str) -> Result<(Self, String), Malformed> {
        let mut own = Self::default();
        let mut rest = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "sslmode" => own.sslmode = Some(value.into_owned()),
                "sslrootcert" => own.sslrootcert = Some(value.into_owned().into()),
                "sslcert" => own.sslcert = Some(value.into_owned().into()),
                "sslkey" => own.sslkey = Some(value.into_owned().into()),
                "password_file" => own.password_file = Some(value.into_owned().into()),
                // A pooler knows nothing of what one of its clients has set.
                "options" => {
                    return Err(malformed(
                        "`options` set the state of a session, which poolers lose",
                    ));
                }
                // What else there is may be the end of a password.
                name if KNOWN.contains(&name) => {
                    rest.append_pair(name, &value);
                }
                _ => return Err(malformed(format!("a parameter of it is none of {}", known()))),
            }
        }
        Ok((own, rest.finish()))
    }

    fn tls(&self, hosts: &[Config]) -> Result<Tls, Malformed> {
        let identity = match (&self.sslcert, &self.sslkey) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            (None, None) => None,
            _ => return Err(malformed("`sslcert` and `sslkey` come together")),
        };
        let mut named = hosts.iter().flat_map(Config::get_hosts);
        let on_this_machine = named.all(|host| !matches!(host, Host::Tcp(_)));
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

/// The first line of a file.
pub(crate) fn read_password(file: &Path) -> Result<SecretString, Malformed> {
    let text = fs::read_to_string(file).map_err(|error| Malformed {
        file: Some(file.to_owned()),
        source: Some(error),
        ..malformed("the file with the password cannot be read")
    })?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        let why = "the file with the password is empty";
        return Err(Malformed { file: Some(file.to_owned()), ..malformed(why) });
    }
    Ok(line.into())
}

/// Why a URL cannot be used. Never holds the URL: it may have a password in it.
#[derive(Debug)]
pub(crate) struct Malformed {
    why: String,
    file: Option<PathBuf>,
    source: Option<io::Error>,
}

fn malformed(why: impl Into<String>) -> Malformed {
    Malformed { why: why.into(), file: None, source: None }
}

impl Malformed {
    fn of(self, purpose: &Purpose) -> Error {
        let what = format!("the URL of the {} cannot be used", purpose.name);
        let mut error = Error::new(purpose.url.clone(), what)
            .with_effect(Effect::None)
            .with_context("why", self.why)
            .with_next(NextAction::outside(
                "give it as `postgres://USER@HOST:PORT/DATABASE`, with the password in `PGPASSWORD` \
                 or in a file that `?password_file=` names",
            ));
        if let Some(file) = self.file {
            error = error.with_context("password_file", file.display());
        }
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}

impl Address {
    /// How many servers the URL names.
    #[must_use]
    pub fn servers(&self) -> usize {
        self.hosts.len()
    }

    /// How the connection is protected.
    #[must_use]
    pub fn tls(&self) -> &Tls {
        &self.tls
    }

    /// Whether others can listen: it is over a network, and not protected.
    #[must_use]
    pub fn is_plaintext(&self) -> bool {
        let mut named = self.hosts.iter().flat_map(Config::get_hosts);
        self.tls == Tls::Off && named.any(|host| matches!(host, Host::Tcp(_)))
    }

    /// Where the database is, whoever asks.
    #[must_use]
    pub fn database(&self) -> String {
        let hosts: Vec<_> = self.hosts.iter().flat_map(places).collect();
        let first = self.hosts.first();
        let database = first.and_then(|first| first.get_dbname().or(first.get_user()));
        format!("{}/{}", hosts.join(","), database.unwrap_or_default())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.to_string()).finish()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.hosts.first().and_then(Config::get_user);
        let user = user.map(|user| format!("{user}@")).unwrap_or_default();
        write!(f, "postgres://{user}{}", self.database())
    }
}

/// Host and port; several where the URL names them by parameters.
fn places(config: &Config) -> Vec<String> {
    let ports = config.get_ports();
    let hosts = config.get_hosts().iter().enumerate();
    hosts
        .map(|(at, host)| {
            let port = ports.get(at).or(ports.first()).copied().unwrap_or(5432);
            match host {
                Host::Tcp(name) => format!("{name}:{port}"),
                #[cfg(unix)]
                Host::Unix(path) => format!("{}:{port}", path.display()),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: Code = Code::new("test.url");

    fn parse(url: &str) -> Result<Address> {
        let purpose = Purpose { name: "test", url: URL, tls: Code::new("test.tls") };
        Address::parse(url, &purpose)
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        let url = "postgresql://anna:hunter2@db.example.org:6543/ledgers?connect_timeout=3";
        let address = parse(url).unwrap();
        assert_eq!(address.to_string(), "postgres://anna@db.example.org:6543/ledgers");
        assert!(!format!("{address:?}").contains("hunter2"));
        assert_eq!(address.hosts[0].get_password(), Some(&b"hunter2"[..]));
    }

    #[test]
    fn a_server_proves_its_name_unless_the_url_says_otherwise() {
        let tls =
            |query: &str| parse(&format!("postgres://u:p@h/d{query}")).map(|address| address.tls);
        let verified = |authorities, identity| Tls::Verified { authorities, identity };
        assert_eq!(tls("").unwrap(), verified(None, None));
        assert_eq!(tls("?sslmode=require").unwrap(), verified(None, None));
        assert_eq!(tls("?sslmode=disable").unwrap(), Tls::Off);
        assert_eq!(
            tls("?sslrootcert=%2Fca.pem&sslcert=c.pem&sslkey=k.pem").unwrap(),
            verified(Some("/ca.pem".into()), Some(("c.pem".into(), "k.pem".into())))
        );
        for refused in ["?sslmode=prefer", "?sslmode=allow", "?sslcert=c.pem", "?options=-c%20x"] {
            assert_eq!(*tls(refused).unwrap_err().code(), URL, "{refused}");
        }
        let socket = parse("postgres://u@%2Frun%2Fpostgresql/d").unwrap();
        assert_eq!(socket.tls, Tls::Off, "nobody else can listen to a socket of this machine");
    }

    #[test]
    fn what_is_no_url_is_not_shown() {
        for url in [
            "",
            "mysql://u:hunter2@h/d",
            "postgres://u:hunter2@h:port/d",
            "postgres:///d",
            "postgres://u:pa/hunter2@h/d",
            "postgres://u:pa@hunter2@h/d",
            "postgres://u:pa?hunter2@h/d",
            "postgres://u:pa#hunter2@h/d",
            "postgres://u:pa?hunter2",
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(*error.code(), URL, "{url}");
            assert!(!format!("{error:?} {error}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn a_parameter_that_is_not_known_is_told_from_a_bad_host() {
        let why = |url: &str| parse(url).unwrap_err().to_string();
        assert!(
            why("postgres://u@h/d?sslmod=disable").contains("none of `sslmode`, `sslrootcert`")
        );
        assert!(why("postgres://u@h:5432o/d").contains("host, port or database"));
    }

    #[test]
    fn each_host_is_tried_by_itself() {
        let address = parse("postgres://u:p@a:1,[::1]:2,c/d?connect_timeout=3").unwrap();
        assert_eq!(address.hosts.len(), 3);
        assert_eq!(address.to_string(), "postgres://u@a:1,::1:2,c:5432/d");
        let address = parse("postgres://a,b/d?user=u").unwrap();
        assert_eq!(address.to_string(), "postgres://u@a:5432,b:5432/d");
        let address = parse("postgres://u@h?sslmode=disable").unwrap();
        assert_eq!(address.to_string(), "postgres://u@h:5432/u");
    }

    #[test]
    fn a_password_is_read_from_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pass");
        let url = format!("postgres://u@h/d?password_file={}", file.display());
        assert_eq!(*parse(&url).unwrap_err().code(), URL, "there is none");
        fs::write(&file, "\n").unwrap();
        assert_eq!(*parse(&url).unwrap_err().code(), URL, "it is empty");
        fs::write(&file, "open sesame\n").unwrap();
        let address = parse(&url).unwrap();
        assert_eq!(address.hosts[0].get_password(), Some(&b"open sesame"[..]));
    }
}
