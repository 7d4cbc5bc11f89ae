//! A vendor's JSON, read without being copied: fields that may be missing or of another kind than today.

use std::fmt;
use std::io;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Reads a payload but for the fields of these names, however deep: what nobody looks at costs next to nothing. `Value`
/// alone makes a tree of all of it.
///
/// # Errors
/// It is no JSON, or nested too deeply.
pub fn read_without(payload: &[u8], names: &[&str]) -> serde_json::Result<Value> {
    let mut json = serde_json::Deserializer::from_slice(payload);
    let value = Without(names).deserialize(&mut json)?;
    json.end()?;
    Ok(value)
}

#[derive(Clone, Copy)]
struct Without<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Without<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Without<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(value) = seq.next_element_seed(self)? {
            all.push(value);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if self.0.contains(&name.as_str()) {
                map.next_value::<IgnoredAny>()?;
            } else {
                let value = map.next_value_seed(self)?;
                fields.insert(name, value);
            }
        }
        Ok(Value::Object(fields))
    }
}

/// What stands at an RFC 6901 pointer. `Value::pointer` makes two strings of every name on its way; here a name is taken
/// as it stands, but for those that are written with a `~`.
pub fn at<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    if pointer.contains('~') {
        return value.pointer(pointer);
    }
    let mut names = pointer.split('/');
    if names.next() != Some("") {
        return None;
    }
    names.try_fold(value, |value, name| match value {
        Value::Object(fields) => fields.get(name),
        Value::Array(all) => all.get(index(name)?),
        _ => None,
    })
}

/// The standard knows neither signs nor leading zeros.
fn index(name: &str) -> Option<usize> {
    let plain = !name.starts_with('+') && (name == "0" || !name.starts_with('0'));
    name.parse().ok().filter(|_| plain)
}

/// The text there; none: there is none, or it is empty.
pub fn str_at<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    at(value, pointer)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

/// The list there, or an empty one.
pub fn array_at<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    at(value, pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// How long a value is when it is written, in UTF-16 units.
pub fn length(value: &Value) -> usize {
    let mut units = Units(0);
    // Neither the writer nor a plain value fails.
    drop(serde_json::to_writer(&mut units, value));
    units.0
}

struct Units(usize);

impl io::Write for Units {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += crate::split::units(bytes);
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
    fn what_is_passed_over_is_left_out_and_the_rest_is_as_it_was() {
        let payload = r#"{"a":{"b":1,"c":[{"b":2,"d":"\u00e9\n"},null,-3,1.5,true]},"b":[[["x"]]],"e\"f":""}"#;
        let whole: Value = serde_json::from_str(payload).unwrap();
        assert_eq!(read_without(payload.as_bytes(), &[]).unwrap(), whole);
        let less = json!({ "a": { "c": [{ "d": "é\n" }, null, -3, 1.5, true] }, "e\"f": "" });
        assert_eq!(read_without(payload.as_bytes(), &["b", "q"]).unwrap(), less);
        for wrong in [
            "",
            "{",
            "{}x",
            "{\"b\":}",
            &"[".repeat(10_000),
            &"{\"b\":".repeat(10_000),
        ] {
            assert!(read_without(wrong.as_bytes(), &["b"]).is_err());
        }
    }

    #[test]
    fn pointers_lead_where_those_of_the_standard_do() {
        let value = json!({ "a": { "b": [1, { "c": "x", "": "y" }], "d/e": "z", "f~g": "w", "h": "" } });
        for pointer in [
            "",
            "/a",
            "/a/b/1/c",
            "/a/b/1/",
            "/a/b/0",
            "/a/b/2",
            "/a/b/x",
            "/a/b/+1",
            "/a/b/01",
            "/a/d~1e",
            "/a/f~0g",
            "/a/b/1/c/d",
            "a",
            "/q",
        ] {
            assert_eq!(at(&value, pointer), value.pointer(pointer), "{pointer}");
        }
        assert_eq!((str_at(&value, "/a/b/1/c"), str_at(&value, "/a/h")), (Some("x"), None));
        let long = json!({ "a": "é😀\n\"", "b": [1.5, null] });
        assert_eq!(length(&long), long.to_string().encode_utf16().count());
        assert_eq!((array_at(&value, "/a/b").len(), array_at(&value, "/a")), (2, &[][..]));
    }
}
