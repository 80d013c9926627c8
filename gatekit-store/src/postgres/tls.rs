//! Whom a connection trusts.

use std::path::Path;
use std::sync::Arc;

use gatekit_core::{Effect, Error, NextAction, Result};
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, crypto};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::Tls;
use crate::code;

/// How TLS connections are made; `None` where there are to be none.
pub(super) fn connector(tls: &Tls) -> Result<Option<MakeRustlsConnect>> {
    let Tls::Verified { authorities, identity } = tls else { return Ok(None) };
    // Of our own: a library does not choose for the whole process.
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
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

fn roots(file: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| {
            unusable("a certificate of an authority cannot be used")
                .with_context("file", file.display())
                .with_source(error)
        })?;
    }
    Ok(roots)
}

/// The certificates in a file, of which there is at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(file, error))?;
    if found.is_empty() {
        return Err(unreadable(file, pem::Error::NoItemsFound));
    }
    Ok(found)
}

fn unreadable(file: &Path, error: pem::Error) -> Error {
    unusable("a file cannot be read as PEM").with_context("file", file.display()).with_source(error)
}

fn unusable(why: &str) -> Error {
    Error::new(code::LEDGER_TLS, "no protected connection to the ledger can be made")
        .with_effect(Effect::None)
        .with_context("why", why)
        .with_next(NextAction::outside(
            "check `sslrootcert`, `sslcert` and `sslkey` of the ledger's URL",
        ))
}
