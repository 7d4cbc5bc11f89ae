//! A stand-in for the APIs of models: Anthropic's Messages, OpenAI's Responses and Chat Completions, Gemini's
//! `generateContent`; streaming and not, errors, dropped streams. It keeps every request, and is strict: a request
//! whose tool results do not belong to its tool calls is refused as the real API refuses it, and remembered in
//! [`Model::violations`].
//!
//! What it answers is a closure's word ([`Model::scripted`]) or stands in the last user message ([`Model::start`]):
//!
//! | first word | answer |
//! | --- | --- |
//! | `tool NAME JSON` | a call of that tool; then, when its result comes, `result: …` |
//! | `slow MS TEXT` | the words of the text with this pause between them |
//! | `hang` | the stream begins and says nothing more |
//! | `status CODE TIMES TEXT` | this error so many times, then the text |
//! | `drop TEXT` | a stream that breaks in the middle, once, then the text |
//! | `think TEXT` | thinking, then the text |
//! | anything else | `echo: TEXT` |

mod anthropic;
mod chat;
mod gemini;
mod responses;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, post};
use futures_util::stream;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What the model says next.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Text(String),
    /// Thinking, then text.
    Thinking(String, String),
    /// Text before it may be empty.
    Tool {
        text: String,
        name: String,
        input: Value,
    },
    /// Words with a pause between them.
    Slow {
        text: String,
        pause: Duration,
    },
    /// Begins, and goes no further for as long as the other side waits.
    Hang,
    /// An error of the API, with `retry-after` in seconds.
    Status {
        code: u16,
        retry_after: Option<u32>,
    },
    /// Half of the text, then the connection breaks.
    Broken(String),
}

/// A request as a script sees it.
#[derive(Debug)]
pub struct Request<'a> {
    pub body: &'a Value,
    /// The words of the last user message, without the CLI's reminders; empty if it is a tool's result.
    pub text: &'a str,
    /// The last message is a tool's result: what it says, and whether it is an error.
    pub tool_result: Option<(&'a str, bool)>,
    /// Earlier requests with the same words.
    pub times: usize,
}

type Script = dyn Fn(&Request<'_>) -> Reply + Send + Sync;

struct Inner {
    script: Box<Script>,
    kept: Mutex<Kept>,
}

/// What a request says, whatever its API.
struct Asked {
    text: String,
    result: Option<(String, bool)>,
    problem: Option<String>,
}

#[derive(Default)]
struct Kept {
    requests: Vec<Value>,
    keys: Vec<String>,
    violations: Vec<String>,
    times: HashMap<String, usize>,
    messages: u64,
}

/// A running model. Dropping it stops it.
pub struct Model {
    address: SocketAddr,
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Model {
    /// Answers by the words of the last user message.
    pub async fn start() -> Self {
        Self::scripted(by_words).await
    }

    /// Answers by a closure.
    ///
    /// # Panics
    /// If there is no free port on loopback.
    pub async fn scripted(script: impl Fn(&Request<'_>) -> Reply + Send + Sync + 'static) -> Self {
        let inner = Arc::new(Inner {
            script: Box::new(script),
            kept: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
        let address = listener.local_addr().expect("it is bound");
        let router = Router::new()
            .route("/v1/messages", post(anthropic::messages))
            .route("/v1/messages/count_tokens", post(anthropic::count_tokens))
            .route("/v1/responses", post(responses::create))
            .route("/v1/chat/completions", post(chat::completions))
            .route("/v1beta/models/{call}", post(gemini::call))
            .fallback(any(|| async {
                anthropic::error(StatusCode::NOT_FOUND, "not_found_error", "no such route", None)
            }))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(Arc::clone(&inner));
        let task = tokio::spawn(async move {
            // Ends with the task.
            let _ = axum::serve(listener, router).await;
        });
        Self { address, inner, task }
    }

    /// For `ANTHROPIC_BASE_URL` and `GOOGLE_GEMINI_BASE_URL`; OpenAI's begins with `/v1`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The bodies of all requests for a message, the CLI's side calls (without tools) among them.
    pub fn requests(&self) -> Vec<Value> {
        self.kept().requests.clone()
    }

    /// The API keys or tokens that came.
    pub fn keys(&self) -> Vec<String> {
        self.kept().keys.clone()
    }

    /// What the real API would have refused.
    pub fn violations(&self) -> Vec<String> {
        self.kept().violations.clone()
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Keeps a request and asks the script: the reply and its number. Otherwise why the API would refuse it.
    fn hear(&self, headers: &HeaderMap, body: &Value, asked: Asked) -> Result<(Reply, u64), String> {
        let key = ["x-api-key", "authorization", "x-goog-api-key"]
            .iter()
            .find_map(|name| headers.get(*name)?.to_str().ok());
        let (times, number) = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.requests.push(body.clone());
            kept.keys.extend(key.map(str::to_owned));
            kept.violations.extend(asked.problem.clone());
            kept.messages += 1;
            let number = kept.messages;
            let times = kept.times.entry(asked.text.clone()).or_default();
            *times += 1;
            (*times - 1, number)
        };
        if let Some(problem) = asked.problem {
            return Err(problem);
        }
        let request = Request {
            body,
            text: &asked.text,
            tool_result: asked.result.as_ref().map(|(text, failed)| (text.as_str(), *failed)),
            times,
        };
        Ok(((self.script)(&request), number))
    }
}

/// The table of this module's description.
pub fn by_words(request: &Request<'_>) -> Reply {
    if let Some((result, failed)) = request.tool_result {
        let word = if failed { "failed" } else { "result" };
        return Reply::Text(format!("{word}: {result}"));
    }
    let (word, rest) = request.text.split_once(' ').unwrap_or((request.text, ""));
    let (first, after) = rest.split_once(' ').unwrap_or((rest, ""));
    match word {
        "tool" => match serde_json::from_str(after) {
            Ok(input) => Reply::Tool {
                text: String::new(),
                name: first.to_owned(),
                input,
            },
            Err(error) => Reply::Text(format!("no JSON: {error}")),
        },
        "slow" => Reply::Slow {
            text: after.to_owned(),
            pause: Duration::from_millis(first.parse().unwrap_or(100)),
        },
        "hang" => Reply::Hang,
        "status" => {
            let (times, text) = after.split_once(' ').unwrap_or((after, ""));
            if request.times < times.parse().unwrap_or(1) {
                let code = first.parse().unwrap_or(500);
                Reply::Status {
                    code,
                    retry_after: (code == 429).then_some(1),
                }
            } else {
                Reply::Text(text.to_owned())
            }
        }
        "drop" if request.times == 0 => Reply::Broken(rest.to_owned()),
        "drop" => Reply::Text(rest.to_owned()),
        "think" => Reply::Thinking("let me see".to_owned(), rest.to_owned()),
        _ => Reply::Text(format!("echo: {}", request.text)),
    }
}

/// One step of a stream.
enum Step {
    Send(String),
    Pause(Duration),
    Break,
    Hang,
}

/// Sends these pieces of a stream as the reply wants it.
fn play(pieces: Vec<String>, reply: &Reply) -> Response {
    let mut steps: Vec<Step> = pieces.into_iter().map(Step::Send).collect();
    match reply {
        Reply::Slow { pause, .. } => {
            steps = steps.into_iter().flat_map(|step| [step, Step::Pause(*pause)]).collect();
        }
        Reply::Hang => {
            steps.truncate(1);
            steps.push(Step::Hang);
        }
        Reply::Broken(_) => {
            steps.truncate(steps.len() / 2 + 1);
            // So that what was sent is read before the connection breaks.
            steps.extend([Step::Pause(Duration::from_millis(50)), Step::Break]);
        }
        _ => {}
    }
    let steps = stream::unfold(steps.into_iter(), |mut steps| async move {
        loop {
            match steps.next()? {
                Step::Send(text) => return Some((Ok::<_, std::io::Error>(text), steps)),
                Step::Pause(time) => tokio::time::sleep(time).await,
                Step::Hang => std::future::pending::<()>().await,
                Step::Break => return Some((Err(std::io::ErrorKind::ConnectionReset.into()), steps)),
            }
        }
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream")];
    (headers, Body::from_stream(steps)).into_response()
}

/// The words of a text, one piece each.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(' ')
}
