//! Who says so, and when.

use std::fmt::{self, Write as _};

use gatekit_core::{Effect, Error, NextAction, Result};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

use crate::code;

/// The header by which a [`Webhook`](crate::Webhook) signs.
pub const SIGNATURE_HEADER: &str = "gatekit-signature";

/// Signs with one key.
#[derive(Clone)]
pub(super) struct Signer(Hmac<Sha256>);

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    pub(super) fn new(key: &SecretString) -> Result<Self> {
        let key = key.expose_secret().as_bytes();
        let mac = Hmac::new_from_slice(key).ok().filter(|_| !key.is_empty());
        mac.map(Self).ok_or_else(|| {
            Error::new(code::WEBHOOK_KEY, "the key of the webhook is empty")
                .with_effect(Effect::None)
                .with_next(NextAction::outside(
                    "give a long random key, and the same to the receiver",
                ))
        })
    }

    /// The value of the header for `body`, sent at `seconds` since 1970.
    pub(super) fn sign(&self, seconds: u64, body: &str) -> String {
        let mut mac = self.0.clone();
        let mut value = format!("t={seconds},v1=");
        mac.update(format!("{seconds}.").as_bytes());
        mac.update(body.as_bytes());
        for byte in mac.finalize().into_bytes() {
            // Writing to a string cannot fail.
            let _ = write!(value, "{byte:02x}");
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_signs_time_and_body_by_hmac_sha256() {
        // printf '1700000000.{"v":1}' | openssl dgst -sha256 -hmac 'Jefe'
        let signer = Signer::new(&SecretString::from("Jefe")).unwrap();
        let expected = "b8ca9c53c089840fe42c361412a1904f2ebe6462f8875d62a5e36dfb12651bdb";
        assert_eq!(signer.sign(1_700_000_000, r#"{"v":1}"#), format!("t=1700000000,v1={expected}"));
        assert_eq!(format!("{signer:?}"), "Signer");
    }

    #[test]
    fn an_empty_key_is_refused() {
        let error = Signer::new(&SecretString::from("")).unwrap_err();
        assert_eq!(error.code(), &code::WEBHOOK_KEY);
    }
}
