//! Why a command failed, and whose turn it is.

use std::fmt;

use crate::config::Problem;
use crate::control::ControlError;
use crate::control::letter::LetterError;
use crate::control::talk::TalkError;
use crate::plugin::LoadError;
use crate::session::removal::RemovalError;
use crate::store::StoreError;
use crate::supervisor::RunError;

/// What is printed, and the exit code.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    message: String,
    hint: Option<String>,
    code: u8,
}

impl Failure {
    /// The user must mend something.
    pub(super) fn user(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            code: 1,
        }
    }

    /// It is our failure.
    pub(super) fn ours(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            code: 2,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) const fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        let failure = Self::user(error.to_string());
        match error {
            ControlError::NotRunning(_) => failure.hint("start it with `botyard run`"),
            ControlError::Running { .. } => {
                failure.hint("stop it first, or give this one its own `host.data_dir` and `host.listen`")
            }
            ControlError::Protocol(_) => failure.hint("the host that runs may be of another version: restart it"),
            ControlError::Io { .. } | ControlError::Refused(_) => failure,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Damaged(_) => Self::ours(error.to_string()),
            StoreError::Unavailable(_) | StoreError::Unusable(_) => Self::user(error.to_string()),
        }
    }
}

impl From<TalkError> for Failure {
    fn from(error: TalkError) -> Self {
        match error {
            TalkError::Store(error) => error.into(),
            busy @ TalkError::Removal(RemovalError::Busy(_)) => Self::user(busy.to_string())
                .hint("start the host, which finishes it, or takes `botyard sessions interrupt`; then again"),
            other @ (TalkError::Change(_) | TalkError::Bring(_) | TalkError::Homeless { .. }) => {
                Self::user(other.to_string())
            }
            unknown @ (TalkError::Unknown(_) | TalkError::Removal(RemovalError::Unknown(_))) => {
                Self::user(unknown.to_string()).hint("`botyard sessions` lists them")
            }
        }
    }
}

impl From<LetterError> for Failure {
    fn from(error: LetterError) -> Self {
        match error {
            LetterError::Store(error) => error.into(),
            other => Self::user(other.to_string()).hint("`botyard outbox list` shows the dead letters"),
        }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self::user(error.to_string())
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let failure = Self::user(error.to_string());
        match &error {
            RunError::Http(_) => {
                failure.hint("is something else listening there? `host.listen` in bots.toml says where")
            }
            RunError::Data { .. } => {
                failure.hint("`host.data_dir` in bots.toml names a folder that this user can write")
            }
            _ => failure,
        }
    }
}

impl From<Vec<Problem>> for Failure {
    fn from(problems: Vec<Problem>) -> Self {
        Self::user(crate::config::render("bots.toml", &problems))
    }
}
