//! A vendor's JSON, read without being copied: fields that may be missing or of another kind than today.

use serde_json::Value;

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
        Value::Array(all) => all.get(name.parse::<usize>().ok()?),
        _ => None,
    })
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
            "/a/d~1e",
            "/a/f~0g",
            "/a/b/1/c/d",
            "a",
            "/q",
        ] {
            assert_eq!(at(&value, pointer), value.pointer(pointer), "{pointer}");
        }
        assert_eq!((str_at(&value, "/a/b/1/c"), str_at(&value, "/a/h")), (Some("x"), None));
        assert_eq!((array_at(&value, "/a/b").len(), array_at(&value, "/a")), (2, &[][..]));
    }
}
