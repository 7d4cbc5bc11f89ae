//! One call into a guest: its budget of time, and what to say when it failed.

use wasmtime::{Store, Trap};
use wasmtime_wasi::I32Exit;

use super::sandbox::{Export, State};

/// Why a call ended without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// The reason, in a sentence of ours.
    pub(super) reason: String,
    /// What the guest wrote to stderr last: a panic's text. May quote what people wrote.
    pub(super) last_words: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)?;
        if !self.last_words.is_empty() {
            write!(f, "; it said: {}", self.last_words)?;
        }
        Ok(())
    }
}

/// Why this error ended the guest.
pub(super) fn failure(error: &wasmtime::Error, state: &State) -> Failure {
    let whole = format!("{error:#}");
    let reason = if state.flooded || whole.contains("fuel allocated for hostcalls") {
        format!(
            "out of output: it handed over more than {} KiB to the host",
            state.limits.output_bytes / 1024
        )
    } else if state.budget.over {
        format!(
            "out of time: it worked for longer than {} ms",
            state.limits.deadline.as_millis()
        )
    } else if state.limiter.denied {
        format!(
            "out of memory: it asked for more than {} MiB",
            state.limits.memory_bytes / (1024 * 1024)
        )
    } else if let Some(exit) = error.downcast_ref::<I32Exit>() {
        format!("it exited with status {}", exit.0)
    } else if let Some(trap) = error.downcast_ref::<Trap>() {
        format!("it trapped: {trap}")
    } else {
        super::v1::from_guest::cut(whole, 400)
    };
    Failure {
        reason,
        last_words: state.last_words(),
    }
}

/// The call took longer than it may, its waiting included.
pub(super) fn late(export: Export, state: &State) -> Failure {
    let most = export.waiting().unwrap_or_default() + state.limits.deadline;
    Failure {
        reason: format!("out of time: it did not come back within {} s", most.as_secs()),
        last_words: state.last_words(),
    }
}

/// The host's side of `call!`: a future within the export's time.
pub(super) async fn within<T>(
    export: Export,
    deadline: std::time::Duration,
    work: impl Future<Output = wasmtime::Result<T>>,
) -> Option<wasmtime::Result<T>> {
    match export.waiting() {
        None => Some(work.await),
        Some(waiting) => tokio::time::timeout(waiting + deadline, work).await.ok(),
    }
}

/// What `within` came to.
pub(super) fn outcome<T>(
    export: Export,
    store: &Store<State>,
    result: Option<wasmtime::Result<T>>,
) -> Result<T, Failure> {
    match result {
        Some(Ok(answer)) => Ok(answer),
        Some(Err(error)) => Err(failure(&error, store.data())),
        None => Err(late(export, store.data())),
    }
}

/// Instantiates and calls one function of one export within all limits: `Result<answer, Failure>`.
macro_rules! call {
    ($export:expr, $store:ident, $pre:expr, $indices:expr, $method:ident($($argument:expr),*)) => {{
        let deadline = $store.data().limits.deadline;
        let result = $crate::plugin::call::within($export, deadline, async {
            let instance = $pre.instantiate_async(&mut $store).await?;
            let guest = $indices.load(&mut $store, &instance)?;
            guest.$method(&mut $store $(, $argument)*).await
        })
        .await;
        $crate::plugin::call::outcome($export, &$store, result)
    }};
}
pub(super) use call;
