//! Secrets of webhooks travel over topics and rest in the state, which others may read: they are sealed first.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Seals with ChaCha20-Poly1305, under the SHA-256 of a key that every process of the deployment has.
pub struct Vault {
    key: LessSafeKey,
}

/// What only a [`Vault`] with the same key can open: nonce, ciphertext and tag in base64.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealedSecret(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    #[error("the key of webhook secrets cannot be used")]
    Key,
    #[error("a secret cannot be sealed")]
    Seal,
    #[error(
        "the webhook's secret was sealed with another key: give every process the same registry.webhooks.key, or set the \
         secret anew"
    )]
    Open,
}

impl Vault {
    pub fn new(key: &str) -> Result<Self, VaultError> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &Sha256::digest(key)).map_err(|_| VaultError::Key)?;
        Ok(Self { key: LessSafeKey::new(key) })
    }

    /// The nonce must be random, and of no other secret.
    pub fn seal(&self, secret: &str, nonce: [u8; NONCE_LEN]) -> Result<SealedSecret, VaultError> {
        let mut sealed = secret.as_bytes().to_vec();
        let once = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(once, Aad::empty(), &mut sealed).map_err(|_| VaultError::Seal)?;
        Ok(SealedSecret(STANDARD.encode([&nonce[..], &sealed].concat())))
    }

    pub fn open(&self, sealed: &SealedSecret) -> Result<String, VaultError> {
        let mut bytes = STANDARD.decode(&sealed.0).map_err(|_| VaultError::Open)?;
        if bytes.len() < NONCE_LEN {
            return Err(VaultError::Open);
        }
        let mut rest = bytes.split_off(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(&bytes).map_err(|_| VaultError::Open)?;
        let secret = self.key.open_in_place(nonce, Aad::empty(), &mut rest).map_err(|_| VaultError::Open)?;
        String::from_utf8(secret.to_vec()).map_err(|_| VaultError::Open)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(***)")
    }
}

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedSecret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_comes_back_with_the_key_only_and_is_never_shown() {
        let vault = Vault::new("a key of some length").unwrap();
        let sealed = vault.seal("hush", [7; NONCE_LEN]).unwrap();
        assert_eq!(vault.open(&sealed).as_deref(), Ok("hush"));
        assert_eq!(Vault::new("another key").unwrap().open(&sealed), Err(VaultError::Open));
        let shown = format!("{sealed:?} {vault:?} {}", serde_json::to_string(&sealed).unwrap());
        assert!(!shown.contains("hush") && !shown.contains("a key"), "{shown}");
        for damaged in [String::new(), "AAAA".to_owned(), "no base64!".to_owned(), sealed.0.replacen('B', "C", 1)] {
            assert_eq!(vault.open(&SealedSecret(damaged)), Err(VaultError::Open));
        }
    }
}
