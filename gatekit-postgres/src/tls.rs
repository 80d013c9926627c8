//! Whom a connection trusts.

use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gatekit_core::{Effect, Error, NextAction, Result};
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::{ClientConfig, ConfigBuilder, NamedGroup, RootCertStore, crypto};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::{Address, Purpose, Tls};

impl Address {
    /// How TLS connections are made; `None` where there are to be none.
    ///
    /// # Errors
    /// That of the purpose, when a certificate or a key cannot be used.
    pub fn connector(&self) -> Result<Option<MakeRustlsConnect>> {
        connector(&self.tls).map_err(|error| error.of(&self.purpose))
    }
}

/// Why no protected connection can be made, before anybody is asked for one.
#[derive(Debug)]
struct Unusable {
    why: &'static str,
    file: Option<PathBuf>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

fn connector(tls: &Tls) -> Result<Option<MakeRustlsConnect>, Unusable> {
    let Tls::Verified { authorities, identity } = tls else { return Ok(None) };
    // Of our own: a library does not choose for the whole process.
    let mut provider = crypto::aws_lc_rs::default_provider();
    // Servers before 18 take no other unless they are told to (`ssl_ecdh_curve`): one that is guessed wrong costs a
    // way to the server and back.
    provider.kx_groups.sort_by_key(|group| group.name() != NamedGroup::secp256r1);
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable("no version of TLS is to be had").with_source(error))?;
    let builder: ConfigBuilder<ClientConfig, WantsClientCert> = match authorities {
        Some(file) => builder.with_root_certificates(roots(file)?),
        None => builder.with_platform_verifier().map_err(|error| {
            unusable("the certificates that this machine trusts cannot be read").with_source(error)
        })?,
    };
    let config = match identity {
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, error))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| unusable("the client's key cannot be used").with_source(error))?
        }
        None => builder.with_no_client_auth(),
    };
    Ok(Some(MakeRustlsConnect::new(config)))
}

fn roots(file: &Path) -> Result<RootCertStore, Unusable> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| {
            unusable("a certificate of an authority cannot be used")
                .in_file(file)
                .with_source(error)
        })?;
    }
    Ok(roots)
}

/// The certificates in a file, of which there is at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let found: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(file, error))?;
    if found.is_empty() {
        return Err(unreadable(file, pem::Error::NoItemsFound));
    }
    Ok(found)
}

fn unreadable(file: &Path, error: pem::Error) -> Unusable {
    unusable("a file cannot be read as PEM").in_file(file).with_source(error)
}

fn unusable(why: &'static str) -> Unusable {
    Unusable { why, file: None, source: None }
}

impl Unusable {
    fn in_file(self, file: &Path) -> Self {
        Self { file: Some(file.to_owned()), ..self }
    }

    fn with_source(self, source: impl StdError + Send + Sync + 'static) -> Self {
        Self { source: Some(Box::new(source)), ..self }
    }

    fn of(self, purpose: &Purpose) -> Error {
        let name = purpose.name;
        let what = format!("no protected connection to the {name} can be made");
        let next = format!("check `sslrootcert`, `sslcert` and `sslkey` of the {name}'s URL");
        let mut error = Error::new(purpose.tls.clone(), what)
            .with_effect(Effect::None)
            .with_context("why", self.why)
            .with_next(NextAction::outside(next));
        if let Some(file) = self.file {
            error = error.with_context("file", file.display());
        }
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}
