//! JSON-RPC 2.0 as ACP agents speak it over their pipes: one message a line.

use serde_json::{Value, json};

/// One line of the agent's.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Message {
    /// It wants an answer. The id is whatever it chose.
    Request {
        id: Value,
        method: String,
        params: Value,
    },
    Notification {
        method: String,
        params: Value,
    },
    /// Of a request of ours.
    Answer {
        id: u64,
        result: Result<Value, Refusal>,
    },
}

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub(super) code: i64,
    pub(super) message: String,
    pub(super) data: Value,
}

impl Refusal {
    /// Of our own, in these words.
    pub(super) const fn ours(message: String) -> Self {
        Self {
            code: 0,
            message,
            data: Value::Null,
        }
    }
}

impl Message {
    /// None: nothing of this protocol.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let Value::Object(mut line) = serde_json::from_slice(line).ok()? else {
            return None;
        };
        let mut take = |name: &str| line.remove(name);
        let id = take("id").filter(|id| id.is_string() || id.is_number());
        if let Some(Value::String(method)) = take("method") {
            let params = take("params").unwrap_or_default();
            return Some(match id {
                Some(id) => Self::Request { id, method, params },
                None => Self::Notification { method, params },
            });
        }
        let id = id?.as_u64()?;
        let result = match (take("result"), take("error")) {
            (Some(result), None | Some(Value::Null)) => Ok(result),
            (_, Some(error)) => Err(Refusal {
                code: error.get("code").and_then(Value::as_i64).unwrap_or_default(),
                message: text(&error, "message").to_owned(),
                data: error.get("data").cloned().unwrap_or_default(),
            }),
            (None, None) => return None,
        };
        Some(Self::Answer { id, result })
    }
}

pub(super) fn request(id: u64, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

pub(super) fn notification(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

pub(super) fn answer(id: &Value, result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

/// `Method not found`: the agent goes on without it.
pub(super) fn unknown(id: &Value, method: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id,
        "error": {"code": -32601, "message": "Method not found", "data": {"method": method}}})
}

/// A text member; empty if it is not there or no text.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The members of a list; none if it is not there or no list.
pub(super) fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        let parse = |text: &str| Message::parse(text.as_bytes());
        assert_eq!(
            parse(r#"{"id":"a-1","method":"fs/read_text_file","params":{"path":"/x"}}"#),
            Some(Message::Request {
                id: "a-1".into(),
                method: "fs/read_text_file".to_owned(),
                params: json!({"path": "/x"})
            })
        );
        assert_eq!(
            parse(r#"{"jsonrpc":"2.0","id":null,"method":"session/update"}"#),
            Some(Message::Notification {
                method: "session/update".to_owned(),
                params: Value::Null
            })
        );
        assert_eq!(
            parse(r#"{"id":3,"result":null}"#),
            Some(Message::Answer {
                id: 3,
                result: Ok(Value::Null)
            })
        );
        let refused = parse(r#"{"id":3,"error":{"code":-32000,"message":"Authentication required"}}"#);
        assert!(
            matches!(&refused, Some(Message::Answer { id: 3, result: Err(refusal) }) if refusal.code == -32000),
            "{refused:?}"
        );
        for garbage in [
            "",
            "[]",
            "7",
            "{}",
            "{\"id\":{},\"result\":1}",
            "{\"id\":-1,\"result\":1}",
            "Loaded.",
        ] {
            assert_eq!(parse(garbage), None, "{garbage}");
        }
    }
}
