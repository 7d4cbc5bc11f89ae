//! What is shown, in a few characters: to tell whether it changed. FNV-1a, which is no proof against whoever wants two
//! texts to be alike.

use std::io;

use serde::Serialize;

/// A digest that is being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(u64);

impl Default for Digest {
    /// Of nothing.
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut digest = Self::default();
        digest.add(bytes);
        digest
    }

    /// Of a value as JSON, which is not written out for it.
    pub fn of_json(value: &impl Serialize) -> Self {
        let mut digest = Self::default();
        digest.add_json(value);
        digest
    }

    pub fn add(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    }

    pub fn add_json(&mut self, value: &impl Serialize) {
        // The writer never fails, and plain values can be written.
        drop(serde_json::to_writer(self, value));
    }

    pub const fn number(self) -> u64 {
        self.0
    }

    /// In 16 characters.
    pub fn text(self) -> String {
        format!("{:016x}", self.0)
    }
}

impl io::Write for Digest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn digest_is_that_of_the_written_value() {
        assert_eq!(Digest::of(b"").text(), "cbf29ce484222325");
        assert_eq!(Digest::of(b"a").text(), "af63dc4c8601ec8c");
        let value = json!({ "b": ["x\n\"é", 1.5, null], "a": { "c": true } });
        assert_eq!(Digest::of_json(&value), Digest::of(value.to_string().as_bytes()));
        assert_ne!(Digest::of_json(&value), Digest::of_json(&json!({})));
    }
}
