//! Whom a connection trusts, and by what it proves its own name.

use std::fs;
use std::path::Path;
use std::time::Duration;

use gatekit_core::{Error, Result};
use gatekit_peers::{Authority, Cluster, Identity, Programs};
use gatekit_store::{PostgresLedger, code};
use tempfile::TempDir;

use crate::support::*;

/// A server that speaks TLS, and files for its clients.
struct Server {
    cluster: Cluster,
    dir: TempDir,
}

const SETTINGS: [&str; 4] = [
    "ssl = on",
    "ssl_cert_file = 'cert.pem'",
    "ssl_key_file = 'key.pem'",
    "ssl_ca_file = 'ca.pem'",
];

impl Server {
    fn start(authority: &Authority, identity: &Identity) -> Self {
        let programs =
            Programs::find(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers")).unwrap();
        let mut cluster = Cluster::start(&programs, &[]).unwrap();
        cluster.crash().unwrap();
        cluster.put("ca.pem", &authority.pem()).unwrap();
        let mut server = Self { cluster, dir: TempDir::new().unwrap() };
        server.be(identity);
        server.cluster.crash().unwrap();
        server.cluster.go_on_with(&SETTINGS).unwrap();
        server
    }

    /// Starts it as another one.
    fn be(&mut self, identity: &Identity) {
        self.cluster.crash().unwrap();
        self.cluster.put("cert.pem", &identity.certificate).unwrap();
        self.cluster.put("key.pem", &identity.key).unwrap();
        self.cluster.go_on().unwrap();
    }

    fn file(&self, name: &str, text: &str) -> String {
        let file = self.dir.path().join(name);
        fs::write(&file, text).unwrap();
        file.display().to_string()
    }

    async fn open(&self, user: &str, query: &str) -> Result<PostgresLedger> {
        let url = format!("{}/postgres{query}", self.cluster.url()).replace("gatekit@", user);
        PostgresLedger::builder(&url)?.patience(Duration::from_millis(500)).build().await
    }
}

#[tokio::test]
async fn a_server_has_to_prove_its_name() {
    let (authority, stranger) = (Authority::new().unwrap(), Authority::new().unwrap());
    let host = "127.0.0.1";
    let mut server = Server::start(&authority, &authority.issue("db", host, false).unwrap());
    let trusted = format!("?sslrootcert={}", server.file("ca.pem", &authority.pem()));
    server.open("gatekit@", &trusted).await.unwrap();
    // Neither the machine nor a stranger vouches for it.
    refused(server.open("gatekit@", "").await, &code::LEDGER_TLS);
    let other = format!("?sslrootcert={}", server.file("stranger.pem", &stranger.pem()));
    let error = refused(server.open("gatekit@", &other).await, &code::LEDGER_TLS);
    assert!(!error.is_temporary());
    let next = |error: &Error| format!("{:?}", error.to_failure().next);
    assert!(next(&error).contains("sslrootcert"), "{error:?}");
    for (name, text) in [("none.pem", ""), ("no.pem", "no certificate")] {
        let unreadable = format!("?sslrootcert={}", server.file(name, text));
        refused(server.open("gatekit@", &unreadable).await, &code::LEDGER_TLS);
    }

    server.be(&authority.issue("db", host, true).unwrap());
    let error = refused(server.open("gatekit@", &trusted).await, &code::LEDGER_TLS);
    let told = error.to_failure().causes.join(", ");
    assert!(told.contains("expired"), "{told}");
    assert!(next(&error).contains("renew"), "{error:?}");
    server.be(&authority.issue("db", "db.example.org", false).unwrap());
    let error = refused(server.open("gatekit@", &trusted).await, &code::LEDGER_TLS);
    assert!(next(&error).contains("name the host"), "{error:?}");
}

/// A server that goes away in the middle of a handshake, as in a restart, has not distrusted anybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_breaks_off_is_made_again() {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://u@{}/d", listener.local_addr().unwrap());
    let handshakes = std::thread::spawn(move || {
        let mut count = 0;
        listener.set_nonblocking(false).unwrap();
        while let Ok((mut client, _)) = listener.accept() {
            let mut request = [0; 8];
            if client.read_exact(&mut request).is_err() {
                break;
            }
            // It speaks TLS, and is gone.
            client.write_all(b"S").unwrap();
            count += 1;
        }
        count
    });
    let builder = PostgresLedger::builder(&url).unwrap().patience(Duration::from_millis(500));
    let error = refused(builder.build().await, &code::LEDGER_UNREACHABLE);
    assert!(error.is_temporary());
    let place = url.split('@').nth(1).unwrap().split('/').next().unwrap();
    drop(std::net::TcpStream::connect(place).unwrap());
    assert!(handshakes.join().unwrap() > 1, "it was tried once");
}

#[tokio::test]
async fn a_client_proves_its_name_by_a_certificate() {
    let (authority, stranger) = (Authority::new().unwrap(), Authority::new().unwrap());
    let server = Server::start(&authority, &authority.issue("db", "127.0.0.1", false).unwrap());
    let trusted = format!("?sslrootcert={}", server.file("ca.pem", &authority.pem()));
    drop(server.open("gatekit@", &trusted).await.unwrap());
    let raw = server.cluster.url() + "/postgres";
    let (client, connection) = tokio_postgres::connect(&raw, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let sql = "CREATE ROLE certified LOGIN; GRANT USAGE ON SCHEMA gatekit TO certified";
    client.batch_execute(sql).await.unwrap();

    let by = |name: &str, whose: &Authority, of: &str| {
        let identity = whose.issue(of, "client.example.org", false).unwrap();
        let certificate = server.file(&format!("{name}.pem"), &identity.certificate);
        let key = server.file(&format!("{name}.key"), &identity.key);
        format!("{trusted}&sslcert={certificate}&sslkey={key}")
    };
    server.open("certified@", &by("own", &authority, "certified")).await.unwrap();
    refused(server.open("certified@", &trusted).await, &code::LEDGER_LOGIN);
    refused(
        server.open("certified@", &by("mallory", &authority, "mallory")).await,
        &code::LEDGER_LOGIN,
    );
    server.open("certified@", &by("forged", &stranger, "certified")).await.unwrap_err();
}
