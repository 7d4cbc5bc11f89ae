//! `crypto`: vendors' schemes with secrets by name. What would tell a guest something of a secret itself is refused:
//! a digest of a secret alone or nearly alone (it could be guessed against at leisure), a secret hashed under a key
//! of the guest's own, a key that is its own initialisation vector.

use crate::chat::CallError;
use crate::config::SecretText;
use crate::crypto as ours;
use crate::plugin::adapter::Bound;
use crate::plugin::sandbox::{Service, State};
use crate::plugin::v1::crypto::{self as wit, Piece};
use crate::plugin::v1::manifest_wit::Digest;
use crate::plugin::v1::types::Error;
use crate::plugin::v1::{from_guest::cut, manifest::digest as our_digest, to_guest};

/// Least bytes of the guest's own in a digest with a secret in it. Vendors' schemes bring a timestamp, a nonce and a
/// body.
const OWN_BYTES_MIN: usize = 16;
/// A digest that binds a secret takes it once or twice (DingTalk); more only helps who guesses.
const SECRETS_MAX: usize = 2;
/// Comparisons with secrets in one call.
const COMPARISONS_MAX: u32 = 8;
const RANDOM_MAX: u32 = 1024;
/// An AES block: with the key as its vector, a vendor's scheme begins with so many random bytes.
const BLOCK: usize = 16;

fn rejected(text: impl Into<String>) -> Error {
    Error::Rejected(text.into())
}

/// A secret that the manifest marks for `crypto` and the operator has set.
fn secret<'a>(bound: &'a Bound, name: &str) -> Result<&'a SecretText, Error> {
    if !bound.about.secrets.iter().any(|s| s.name == name && s.crypto) {
        let name = cut(name.to_owned(), 64);
        return Err(rejected(format!(
            "`{name}` is no secret that the manifest marks for crypto"
        )));
    }
    bound
        .secrets
        .get(name)
        .ok_or_else(|| Error::Unauthorized(format!("the secret `{name}` is not set")))
}

/// The bytes of each piece.
fn bytes<'a>(bound: &'a Bound, pieces: &'a [Piece]) -> Result<Vec<&'a [u8]>, Error> {
    pieces
        .iter()
        .map(|piece| {
            Ok(match piece {
                Piece::Bytes(bytes) => bytes.as_slice(),
                Piece::Secret(name) => secret(bound, name)?.reveal().as_bytes(),
            })
        })
        .collect()
}

fn secrets(pieces: &[Piece]) -> usize {
    pieces.iter().filter(|p| matches!(p, Piece::Secret(_))).count()
}

fn own(pieces: &[Piece]) -> usize {
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Bytes(bytes) => bytes.len(),
            Piece::Secret(_) => 0,
        })
        .sum()
}

fn hash(bound: &Bound, digest: Digest, pieces: &[Piece], sorted: bool) -> Result<Vec<u8>, Error> {
    match secrets(pieces) {
        0 => {}
        1..=SECRETS_MAX if own(pieces) >= OWN_BYTES_MIN => {}
        1..=SECRETS_MAX => {
            return Err(rejected(format!(
                "a digest with a secret in it needs at least {OWN_BYTES_MIN} bytes besides"
            )));
        }
        _ => return Err(rejected(format!("a digest takes {SECRETS_MAX} secrets at most"))),
    }
    let mut parts = bytes(bound, pieces)?;
    if sorted {
        parts.sort_unstable();
    }
    Ok(ours::digest(our_digest(digest), &parts))
}

fn hmac(bound: &Bound, key: &Piece, digest: Digest, pieces: &[Piece]) -> Result<Vec<u8>, Error> {
    let key = match key {
        Piece::Bytes(_) if secrets(pieces) > 0 => {
            return Err(rejected("a secret is hashed only under a key that is a secret too"));
        }
        Piece::Bytes(bytes) => bytes.as_slice(),
        Piece::Secret(_) if secrets(pieces) > SECRETS_MAX => {
            return Err(rejected(format!("a digest takes {SECRETS_MAX} secrets at most")));
        }
        Piece::Secret(_) if own(pieces) == 0 => {
            return Err(rejected("a digest of secrets alone is not given out"));
        }
        Piece::Secret(name) => secret(bound, name)?.reveal().as_bytes(),
    };
    Ok(ours::hmac(our_digest(digest), key, &bytes(bound, pieces)?))
}

fn our_cipher(cipher: &wit::Cipher) -> ours::Cipher {
    ours::Cipher {
        derivation: match cipher.derivation {
            wit::Derivation::Raw => ours::Derivation::Raw,
            wit::Derivation::Hex => ours::Derivation::Hex,
            wit::Derivation::Base64 => ours::Derivation::Base64,
            wit::Derivation::Sha256 => ours::Derivation::Sha256,
        },
        iv: match cipher.iv {
            wit::IvSource::Data => ours::IvSource::Data,
            wit::IvSource::Key => ours::IvSource::Key,
        },
        pkcs7_block: cipher.pkcs7_block,
    }
}

fn failed(error: ours::CryptoError) -> Error {
    match error {
        ours::CryptoError::Data => Error::Malformed(error.to_string()),
        ours::CryptoError::Key => Error::Unauthorized(error.to_string()),
        ours::CryptoError::Padding(_) => Error::Rejected(error.to_string()),
        ours::CryptoError::Random => Error::Unavailable(error.to_string()),
    }
}

fn decrypt(bound: &Bound, cipher: &wit::Cipher, data: &[u8]) -> Result<Vec<u8>, Error> {
    let mut plain =
        ours::aes_256_cbc_decrypt(our_cipher(cipher), secret(bound, &cipher.secret)?.reveal(), data).map_err(failed)?;
    if matches!(cipher.iv, wit::IvSource::Key) {
        // The first block is the only one that the vector touches: with chosen data it would show half of the key.
        if plain.len() < BLOCK {
            return Err(failed(ours::CryptoError::Data));
        }
        plain.drain(..BLOCK);
    }
    Ok(plain)
}

fn encrypt(bound: &Bound, cipher: &wit::Cipher, data: &[u8]) -> Result<Vec<u8>, Error> {
    let key = secret(bound, &cipher.secret)?.reveal();
    if matches!(cipher.iv, wit::IvSource::Data) {
        return ours::aes_256_cbc_encrypt(our_cipher(cipher), key, data).map_err(failed);
    }
    let mut plain = ours::random(BLOCK).map_err(failed)?;
    plain.extend_from_slice(data);
    ours::aes_256_cbc_encrypt(our_cipher(cipher), key, &plain).map_err(failed)
}

impl wit::Host for State {
    async fn hash(
        &mut self,
        digest: Digest,
        pieces: Vec<Piece>,
        sorted: bool,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        Ok(self
            .granted(Service::Crypto)
            .and_then(|bound| hash(&bound, digest, &pieces, sorted)))
    }

    async fn hmac(
        &mut self,
        key: Piece,
        digest: Digest,
        pieces: Vec<Piece>,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        Ok(self
            .granted(Service::Crypto)
            .and_then(|bound| hmac(&bound, &key, digest, &pieces)))
    }

    async fn matches(&mut self, secret_name: String, candidate: String) -> wasmtime::Result<Result<bool, Error>> {
        let bound = match self.granted(Service::Crypto) {
            Ok(bound) => bound,
            Err(error) => return Ok(Err(error)),
        };
        self.comparisons += 1;
        if self.comparisons > COMPARISONS_MAX {
            return Ok(Err(to_guest::error(CallError::Rejected(format!(
                "a call may compare {COMPARISONS_MAX} times"
            )))));
        }
        Ok(secret(&bound, &secret_name).map(|secret| ours::equal(secret.reveal().as_bytes(), candidate.as_bytes())))
    }

    async fn aes_256_cbc_decrypt(
        &mut self,
        cipher: wit::Cipher,
        data: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        Ok(self
            .granted(Service::Crypto)
            .and_then(|bound| decrypt(&bound, &cipher, &data)))
    }

    async fn aes_256_cbc_encrypt(
        &mut self,
        cipher: wit::Cipher,
        data: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        Ok(self
            .granted(Service::Crypto)
            .and_then(|bound| encrypt(&bound, &cipher, &data)))
    }

    async fn random(&mut self, length: u32) -> wasmtime::Result<Vec<u8>> {
        if self.granted(Service::Crypto).is_err() {
            return Ok(Vec::new());
        }
        ours::random(length.min(RANDOM_MAX) as usize).map_err(wasmtime::Error::new)
    }
}
