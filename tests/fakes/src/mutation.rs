//! What vendors may send one day, or never should: what they do send, different in one place.

use serde_json::{Value, json};

/// `value` with another thing at one of its places: `place` and `kind` are any numbers. A text that is JSON itself has
/// places too.
pub fn mutated(value: &Value, place: usize, kind: usize) -> Value {
    let mut all = Vec::new();
    places(value, &mut String::new(), &mut all);
    let mut changed = value.clone();
    let at = &all[place % all.len()];
    if kind.is_multiple_of(16) {
        if let Some((parent, name)) = at.rsplit_once('/')
            && let Some(fields) = changed.pointer_mut(parent).and_then(Value::as_object_mut)
        {
            fields.remove(name);
        }
        return changed;
    }
    let Some(found) = changed.pointer_mut(at) else {
        return changed;
    };
    let inner = found.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    *found = match inner.filter(Value::is_object) {
        Some(inner) if kind.is_multiple_of(2) => mutated(&inner, place / all.len(), kind / 2).to_string().into(),
        _ => another(found, kind),
    };
    changed
}

/// Pointers to `value` and all that it holds; names of vendors' fields have nothing to escape.
fn places(value: &Value, at: &mut String, all: &mut Vec<String>) {
    all.push(at.clone());
    let mut step = |name: &str, value: &Value| {
        let length = at.len();
        at.push('/');
        at.push_str(name);
        places(value, at, all);
        at.truncate(length);
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| step(name, value)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(n, value)| step(&n.to_string(), value)),
        _ => {}
    }
}

fn another(was: &Value, kind: usize) -> Value {
    let deep = |levels: usize| (0..levels).fold(json!("deep"), |inner, _| json!({ "a": [inner] }));
    match kind % 16 {
        1 => Value::Null,
        2 => false.into(),
        3 => (-1).into(),
        4 => u64::MAX.into(),
        5 => json!(1e300),
        6 => "".into(),
        7 => "x".repeat(5_000).into(),
        8 => "😀\u{0}\u{202e}<!channel> @_all `".into(),
        9 => "9".repeat(40).into(),
        10 => json!([]),
        11 => json!({}),
        12 => json!([was, was, was]),
        13 => json!({ "of": was }),
        14 => deep(60),
        _ => was.to_string().into(),
    }
}
