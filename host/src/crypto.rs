//! The few primitives that webhooks and guests need, typed by the manifest's words. No secret by name here: who
//! calls brings the bytes. Every comparison is in constant time.

pub(crate) mod redact;

use aes::Aes256;
use aes::cipher::{Block, BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit as _, Mac as _};
use subtle::ConstantTimeEq as _;

use crate::manifest::{Digest, Encoding};

/// With or without padding, and with trailing bits: WeCom's 43-character keys have some.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// An AES block, and the length of an initialisation vector.
const BLOCK: usize = 16;

/// Why something could not be computed. Says nothing of keys or data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    #[error("the secret does not make an AES-256 key: 32 bytes are needed")]
    Key,
    /// One error for every reason, so that nobody learns which: wrong key, cut data, wrong padding.
    #[error("the data cannot be decrypted")]
    Data,
    #[error("a padding block is 16 to 255 bytes and a multiple of 16, not `{0}`")]
    Padding(u32),
    #[error("the system gives no random bytes")]
    Random,
}

/// How the AES-256 key comes from the secret's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Derivation {
    Raw,
    Hex,
    Base64,
    Sha256,
}

/// Where the initialisation vector is: in front of the data, or the key's first 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IvSource {
    Data,
    Key,
}

/// A vendor's use of AES-256-CBC. Feishu: `Sha256`, `Data`, 16. WeCom: `Base64`, `Key`, 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cipher {
    pub derivation: Derivation,
    pub iv: IvSource,
    /// The padding is PKCS #7 over blocks of this many bytes.
    pub pkcs7_block: u32,
}

/// The digest of the pieces, joined in order.
pub fn digest(kind: Digest, pieces: &[&[u8]]) -> Vec<u8> {
    fn run<D: sha1::Digest>(pieces: &[&[u8]]) -> Vec<u8> {
        let mut state = D::new();
        for piece in pieces {
            state.update(piece);
        }
        state.finalize().to_vec()
    }
    match kind {
        Digest::Md5 => run::<md5::Md5>(pieces),
        Digest::Sha1 => run::<sha1::Sha1>(pieces),
        Digest::Sha256 => run::<sha2::Sha256>(pieces),
        Digest::Sha512 => run::<sha2::Sha512>(pieces),
    }
}

/// The HMAC of the pieces, joined in order, under a key of any length.
pub fn hmac(kind: Digest, key: &[u8], pieces: &[&[u8]]) -> Vec<u8> {
    macro_rules! run {
        ($digest:ty) => {{
            // `new_from_slice` takes keys of every length; the arm for an error cannot be reached.
            let Ok(mut state) = Hmac::<$digest>::new_from_slice(key) else {
                return Vec::new();
            };
            for piece in pieces {
                state.update(piece);
            }
            state.finalize().into_bytes().to_vec()
        }};
    }
    match kind {
        Digest::Md5 => run!(md5::Md5),
        Digest::Sha1 => run!(sha1::Sha1),
        Digest::Sha256 => run!(sha2::Sha256),
        Digest::Sha512 => run!(sha2::Sha512),
    }
}

/// Whether both are the same, in a time that tells nothing but their lengths.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// Lower-case hex, or padded standard base64.
pub fn encode(encoding: Encoding, bytes: &[u8]) -> String {
    match encoding {
        Encoding::Hex => hex::encode(bytes),
        Encoding::Base64 => BASE64.encode(bytes),
    }
}

/// Hex in either case; base64 in either alphabet, padded or not. None: it is neither.
pub fn decode(encoding: Encoding, text: &str) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Hex => hex::decode(text).ok(),
        Encoding::Base64 => BASE64.decode(text).or_else(|_| BASE64_URL.decode(text)).ok(),
    }
}

fn key(derivation: Derivation, secret: &str) -> Result<[u8; 32], CryptoError> {
    let bytes = match derivation {
        Derivation::Raw => secret.as_bytes().to_vec(),
        Derivation::Hex => decode(Encoding::Hex, secret).ok_or(CryptoError::Key)?,
        Derivation::Base64 => decode(Encoding::Base64, secret).ok_or(CryptoError::Key)?,
        Derivation::Sha256 => digest(Digest::Sha256, &[secret.as_bytes()]),
    };
    bytes.try_into().map_err(|_| CryptoError::Key)
}

fn padding_block(cipher: Cipher) -> Result<usize, CryptoError> {
    let size = cipher.pkcs7_block;
    if (16..=255).contains(&size) && size.is_multiple_of(16) {
        Ok(size as usize)
    } else {
        Err(CryptoError::Padding(size))
    }
}

fn block(bytes: &[u8]) -> Block<Aes256> {
    let mut out = Block::<Aes256>::default();
    out.copy_from_slice(bytes);
    out
}

/// The plain bytes. Wrong keys, cut data and wrong padding are one error.
pub fn aes_256_cbc_decrypt(cipher: Cipher, secret: &str, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let pad = padding_block(cipher)?;
    let key = key(cipher.derivation, secret)?;
    let (iv, data) = match cipher.iv {
        IvSource::Key => (&key[..BLOCK], data),
        IvSource::Data => data.split_at_checked(BLOCK).ok_or(CryptoError::Data)?,
    };
    if data.is_empty() || !data.len().is_multiple_of(BLOCK) {
        return Err(CryptoError::Data);
    }
    let mut blocks: Vec<_> = data.chunks_exact(BLOCK).map(block).collect();
    cbc::Decryptor::<Aes256>::new((&key).into(), &block(iv)).decrypt_blocks(&mut blocks);
    let mut plain: Vec<u8> = blocks.iter().flatten().copied().collect();

    let count = usize::from(*plain.last().ok_or(CryptoError::Data)?);
    if count == 0 || count > pad || count > plain.len() {
        return Err(CryptoError::Data);
    }
    let end = plain.len() - count;
    let expected = vec![count as u8; count];
    if !equal(&plain[end..], &expected) {
        return Err(CryptoError::Data);
    }
    plain.truncate(end);
    Ok(plain)
}

/// Encrypted; with `IvSource::Data` a random vector stands in front.
pub fn aes_256_cbc_encrypt(cipher: Cipher, secret: &str, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let pad = padding_block(cipher)?;
    let key = key(cipher.derivation, secret)?;
    let iv = match cipher.iv {
        IvSource::Key => key[..BLOCK].to_vec(),
        IvSource::Data => random(BLOCK)?,
    };
    let count = pad - data.len() % pad;
    let mut padded = Vec::with_capacity(data.len() + count);
    padded.extend_from_slice(data);
    padded.resize(data.len() + count, count as u8);
    let mut blocks: Vec<_> = padded.chunks_exact(BLOCK).map(block).collect();
    cbc::Encryptor::<Aes256>::new((&key).into(), &block(&iv)).encrypt_blocks(&mut blocks);
    let mut out = if cipher.iv == IvSource::Data { iv } else { Vec::new() };
    out.extend(blocks.iter().flatten());
    Ok(out)
}

/// Whether the signature over the message is the key owner's. A key or a signature of a wrong length is not.
pub fn ed25519_verify(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, public_key)
        .verify(message, signature)
        .is_ok()
}

/// Unguessable bytes of the system.
pub fn random(length: usize) -> Result<Vec<u8>, CryptoError> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).map_err(|_| CryptoError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
