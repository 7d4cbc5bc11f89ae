//! The page's API as typed calls.

use botyard_sdk::http::{Call, call, error_of};
use botyard_sdk::raw_http::Response;
use botyard_sdk::serde_json::{self, Value, json};
use botyard_sdk::types::Error;
use serde::Deserialize;

/// The secret that opens it.
pub const TOKEN: &str = "token";

/// A message that stands in the chat.
#[derive(Debug, Deserialize, PartialEq, Eq)]
pub struct Posted {
    pub id: String,
    /// False: it stood there already, as it was then.
    pub fresh: bool,
}

/// A new message; the same key again is the same message.
///
/// # Errors
/// As the status says.
pub fn post(channel: &str, key: &str, revision: u32, body: &Value) -> Result<Posted, Error> {
    let message = json!({ "channel": channel, "key": key, "revision": revision, "body": body });
    let response = send(&call("POST", "/messages").json(&message).repeatable())?;
    if response.status != 200 {
        return Err(error_of(&response));
    }
    serde_json::from_slice(&response.body)
        .map_err(|error| Error::Unavailable(format!("the page's answer cannot be read: {error}")))
}

/// The message now looks like this.
///
/// # Errors
/// As the status says; that a newer revision stands there is none.
pub fn update(id: &str, revision: u32, body: &Value) -> Result<(), Error> {
    let message = json!({ "revision": revision, "body": body });
    let response = send(&call("PUT", format!("/messages/{id}")).json(&message))?;
    done(&response)
}

/// What the page's menu offers.
///
/// # Errors
/// As the status says.
pub fn commands(menu: &Value) -> Result<(), Error> {
    let response = send(&call("PUT", "/commands").json(&json!({ "commands": menu })))?;
    done(&response)
}

fn send(call: &Call) -> Result<Response, Error> {
    call.clone().bearer(TOKEN).send()
}

/// 409: a newer revision stands there, and it shows all that this one would.
fn done(response: &Response) -> Result<(), Error> {
    match response.status {
        200 | 409 => Ok(()),
        _ => Err(error_of(response)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_revision_is_no_error_and_a_lost_message_is_gone() {
        let status = |status| done(&Response { status, headers: Vec::new(), body: Vec::new() });
        assert_eq!(status(200), Ok(()));
        assert_eq!(status(409), Ok(()));
        assert_eq!(status(404), Err(Error::Gone("status 404".into())));
        assert_eq!(status(503), Err(Error::Unavailable("status 503".into())));
        assert_eq!(status(401), Err(Error::Unauthorized("status 401".into())));
    }
}
