use super::*;

const FEISHU: Cipher = Cipher {
    derivation: Derivation::Sha256,
    iv: IvSource::Data,
    pkcs7_block: 16,
};
const WECOM: Cipher = Cipher {
    derivation: Derivation::Base64,
    iv: IvSource::Key,
    pkcs7_block: 32,
};
const WECOM_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

/// From Feishu's own documentation of encrypted events.
#[test]
fn feishus_own_example_is_decrypted() {
    let data = decode(Encoding::Base64, "P37w+VZImNgPEO1RBhJ6RtKl7n6zymIbEG1pReEzghk=").unwrap();
    assert_eq!(
        aes_256_cbc_decrypt(FEISHU, "test key", &data),
        Ok(b"hello world".to_vec())
    );
}

#[test]
fn what_was_encrypted_is_decrypted_at_every_length() {
    for (cipher, secret) in [(FEISHU, "k"), (WECOM, WECOM_KEY)] {
        for length in [0, 1, 15, 16, 17, 31, 32, 33, 1000] {
            let plain = random(length).unwrap();
            let data = aes_256_cbc_encrypt(cipher, secret, &plain).unwrap();
            assert_eq!(aes_256_cbc_decrypt(cipher, secret, &data), Ok(plain), "{length}");
        }
    }
    let twice = [(); 2].map(|()| aes_256_cbc_encrypt(FEISHU, "k", b"same").unwrap());
    assert_ne!(twice[0], twice[1], "the vector is random");
}

#[test]
fn wrong_data_is_one_error() {
    let good = aes_256_cbc_encrypt(FEISHU, "k", b"hello").unwrap();
    for bad in [&b""[..], &good[..15], &good[..16], &good[..good.len() - 1]] {
        assert_eq!(aes_256_cbc_decrypt(FEISHU, "k", bad), Err(CryptoError::Data));
    }
    let mut changed = good;
    // The last plain byte is the padding's count: 11. It becomes 0, which no padding is.
    changed[15] ^= 11;
    assert_eq!(aes_256_cbc_decrypt(FEISHU, "k", &changed), Err(CryptoError::Data));
}

#[test]
fn keys_have_32_bytes() {
    let raw = Cipher {
        derivation: Derivation::Raw,
        ..FEISHU
    };
    assert_eq!(aes_256_cbc_encrypt(raw, "short", b""), Err(CryptoError::Key));
    assert!(aes_256_cbc_encrypt(raw, "0123456789abcdef0123456789abcdef", b"").is_ok());
    let hex = Cipher {
        derivation: Derivation::Hex,
        ..FEISHU
    };
    assert!(aes_256_cbc_encrypt(hex, &"0f".repeat(32), b"").is_ok());
    assert_eq!(aes_256_cbc_encrypt(hex, "zz", b""), Err(CryptoError::Key));
    let odd = Cipher {
        pkcs7_block: 20,
        ..FEISHU
    };
    assert_eq!(aes_256_cbc_encrypt(odd, "k", b""), Err(CryptoError::Padding(20)));
}

/// RFC 1321, RFC 3174, FIPS 180-2 (`abc`), RFC 2202 and RFC 4231 (case 2).
#[test]
fn digests_and_hmacs_are_the_standards_own() {
    let hex_of = |kind, pieces: &[&[u8]]| hex::encode(digest(kind, pieces));
    assert_eq!(hex_of(Digest::Md5, &[b"a", b"bc"]), "900150983cd24fb0d6963f7d28e17f72");
    assert_eq!(
        hex_of(Digest::Sha1, &[b"abc"]),
        "a9993e364706816aba3e25717850c26c9cd0d89d"
    );
    assert_eq!(
        hex_of(Digest::Sha256, &[b"ab", b"c"]),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert!(hex_of(Digest::Sha512, &[b"abc"]).starts_with("ddaf35a193617abacc417349ae204131"));
    let mac = |kind| hex::encode(hmac(kind, b"Jefe", &[b"what do ya want ", b"for nothing?"]));
    assert_eq!(mac(Digest::Md5), "750c783e6ab0b503eaa86e310a5db738");
    assert_eq!(mac(Digest::Sha1), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    assert_eq!(
        mac(Digest::Sha256),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
    assert!(mac(Digest::Sha512).starts_with("164b7a7bfcf819e2e395fbe73b56e0a3"));
}

/// RFC 8032, 7.1, test 2.
#[test]
fn ed25519_takes_the_owners_signature_only() {
    let key = hex::decode("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c").unwrap();
    let signature = hex::decode(concat!(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da",
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    ))
    .unwrap();
    assert!(ed25519_verify(&key, &[0x72], &signature));
    assert!(!ed25519_verify(&key, &[0x73], &signature));
    assert!(!ed25519_verify(&key[1..], &[0x72], &signature));
    assert!(!ed25519_verify(&key, &[0x72], &signature[1..]));
}

#[test]
fn equal_compares_length_and_content() {
    assert!(equal(b"", b"") && equal(b"ab", b"ab"));
    assert!(!equal(b"ab", b"abc") && !equal(b"ab", b"ac"));
}
