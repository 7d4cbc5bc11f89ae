//! Random names: turns, tokens, asks. All from the operating system's generator.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::chat::{Token, TurnId};

const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// 16 characters of a-z 0-9, 82 bits.
pub(super) fn turn() -> TurnId {
    TurnId(letters())
}

/// As for a turn.
pub(super) fn ask() -> String {
    letters()
}

/// 24 characters from 18 random bytes: nobody guesses it.
pub(super) fn token() -> Token {
    Token(URL_SAFE_NO_PAD.encode(random::<18>()))
}

/// What the CLIs want as the id of a conversation or a message.
pub(super) fn uuid() -> String {
    uuid::Uuid::new_v4().to_string()
}

fn letters() -> String {
    let mut text = String::with_capacity(16);
    while text.len() < 16 {
        for byte in random::<24>() {
            // 252 is the largest multiple of 36: no letter is likelier than another.
            if byte < 252 && text.len() < 16 {
                text.push(char::from(ALPHABET[usize::from(byte % 36)]));
            }
        }
    }
    text
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_have_the_promised_shape_and_differ() {
        let (a, b) = (super::turn().0, super::turn().0);
        assert!(a.len() == 16 && a.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
        assert_ne!(a, b);
        let token = super::token().0;
        assert!(token.len() == 24 && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        assert_ne!(token, super::token().0);
    }
}
