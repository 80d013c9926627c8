//! Certificates that live as long as a test.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use pem::Pem;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber, SignatureAlgorithm, SigningKey,
    date_time_ymd,
};

use crate::{Result, failed};

/// A key, and its public half.
#[derive(Debug)]
struct Key(EcdsaKeyPair);

impl Key {
    fn generate() -> Result<Self> {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map(Self).map_err(failed)
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Key {
    fn sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, rcgen::Error> {
        let signature = self.0.sign(&SystemRandom::new(), message);
        Ok(signature.map_err(|_| rcgen::Error::RemoteKeyError)?.as_ref().to_vec())
    }
}

/// Whoever certifies.
pub struct Authority(CertifiedIssuer<'static, Key>);

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority")
    }
}

/// A certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl Authority {
    /// A new one, that nobody trusts yet.
    ///
    /// # Errors
    /// There are no random numbers to be had.
    pub fn new() -> Result<Self> {
        let mut params = named("an authority", 1, Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_identifier_method = KeyIdMethod::PreSpecified(vec![7; 20]);
        CertifiedIssuer::self_signed(params, Key::generate()?).map(Self).map_err(failed)
    }

    /// Its own certificate.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Certifies somebody of that common name, at that host name or address.
    ///
    /// # Errors
    /// The host is none.
    pub fn issue(&self, name: &str, host: &str, expired: bool) -> Result<Identity> {
        let key = Key::generate()?;
        let mut params = named(name, 2, vec![host.to_owned()])?;
        if expired {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.0).map_err(failed)?.pem();
        let secret = key.0.to_pkcs8v1().map_err(failed)?;
        Ok(Identity { certificate, key: pem::encode(&Pem::new("PRIVATE KEY", secret.as_ref())) })
    }
}

/// OpenSSL takes a certificate for self-signed when it is called as its issuer.
fn named(name: &str, serial: u64, hosts: Vec<String>) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(hosts).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(serial));
    Ok(params)
}
