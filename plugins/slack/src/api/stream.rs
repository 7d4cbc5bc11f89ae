//! Calls for messages that grow, the status of a thread, and agent sessions.

use botyard_sdk::json::str_at;
use botyard_sdk::raw_http::Body;
use botyard_sdk::serde_json::{Value, json};
use botyard_sdk::types::Error;

use super::{Api, Failure, METADATA, Place, Wire, request};

impl<W: Wire> Api<W> {
    /// `chat.startStream`: a message that grows. It carries no mark of ours before it is stopped.
    ///
    /// # Errors
    /// With `unclear` when it may stand there.
    pub fn start_stream(&self, place: Place<'_>, reader: (&str, &str), chunks: &[Value]) -> Result<String, Failure> {
        let body = json!({
            "channel": place.channel,
            "thread_ts": place.thread,
            "recipient_user_id": reader.0,
            "recipient_team_id": reader.1,
            "task_display_mode": "timeline",
            "chunks": chunks,
        });
        let answer = self.call("chat.startStream", &body, &["stream".into()], false)?;
        str_at(&answer, "/ts").map(str::to_owned).ok_or_else(|| Failure {
            name: None,
            unclear: true,
            error: Error::Unavailable("slack named no `ts` for a stream".into()),
        })
    }

    /// `chat.appendStream`.
    ///
    /// # Errors
    /// With `unclear` when it may have been appended.
    pub fn append_stream(&self, channel: &str, ts: &str, chunks: &[Value]) -> Result<(), Failure> {
        let body = json!({ "channel": channel, "ts": ts, "chunks": chunks });
        self.call("chat.appendStream", &body, &["append".into()], false)
            .map(|_| ())
    }

    /// `chat.stopStream`: the message is finished, and can be found by its mark and changed from now on.
    ///
    /// # Errors
    /// `message_not_in_streaming_state` when it is finished already.
    pub fn stop_stream(
        &self,
        channel: &str,
        ts: &str,
        chunks: &[Value],
        blocks: &[Value],
        id: &str,
        session: Option<&str>,
    ) -> Result<(), Failure> {
        let mut body = json!({
            "channel": channel,
            "ts": ts,
            "metadata": { "event_type": METADATA, "event_payload": { "id": id } },
        });
        if !chunks.is_empty() {
            body["chunks"] = chunks.into();
        }
        if !blocks.is_empty() {
            body["blocks"] = blocks.into();
        }
        if let Some(session) = session {
            body["session_status"] = session.into();
        }
        self.call("chat.stopStream", &body, &["stop".into()], false).map(|_| ())
    }

    /// `assistant.threads.setStatus`: the line under a thread; it goes away with the next message, or after two
    /// minutes.
    ///
    /// # Errors
    /// As the vendor's error says.
    pub fn set_status(&self, channel: &str, thread: &str, status: &str) -> Result<(), Failure> {
        let body = json!({ "channel_id": channel, "thread_ts": thread, "status": status });
        self.aside("assistant.threads.setStatus", &body)
    }

    /// `agents.sessions.setStatus`: while it is `processing`, Slack shows its own stop control.
    ///
    /// # Errors
    /// As the vendor's error says.
    pub fn set_session(&self, channel: &str, thread: &str, status: &str) -> Result<(), Failure> {
        let body = json!({ "channel_id": channel, "thread_ts": thread, "status": status });
        self.aside("agents.sessions.setStatus", &body)
    }

    /// What may fail: it is not waited for long.
    fn aside(&self, method: &str, body: &Value) -> Result<(), Failure> {
        let body = Body::Bytes(body.to_string().into_bytes());
        let mut request = request("POST", &format!("/{method}"), body, &["status".into()], true);
        request.wait_ms = 0;
        request.timeout_ms = Some(5_000);
        self.answer(&request).map(|_| ())
    }

    /// The one message of ours since `oldest` that carries no mark: a stream that nobody stopped.
    ///
    /// # Errors
    /// As the vendor's error says; ambiguous when there are several.
    pub fn find_stream(&self, place: Place<'_>, me: &str, oldest: u32) -> Result<Option<String>, Failure> {
        let oldest = format!("{oldest}.000000");
        let page = self.messages(
            place,
            &[
                ("oldest", oldest.as_str()),
                ("limit", "200"),
                ("include_all_metadata", "true"),
            ],
        )?;
        let mut found = page
            .get("messages")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter(|message| {
                str_at(message, "/user") == Some(me)
                    && str_at(message, "/metadata/event_type") != Some(METADATA)
                    // A file's message carries no mark either.
                    && message.get("files").is_none()
            });
        let first = found.next();
        if found.next().is_some() {
            return Err(Failure {
                name: None,
                unclear: false,
                error: Error::Ambiguous("a stream may have begun, and there are several that it may be".into()),
            });
        }
        Ok(first.and_then(|message| str_at(message, "/ts")).map(str::to_owned))
    }
}
