//! The process's environment, read here and nowhere else.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// What the host takes from its environment: for secrets by `env:NAME`, for finding programs, and for the few
/// variables that an agent's process inherits.
#[derive(Clone, Default)]
pub struct Environment {
    /// `PATH`; empty if there is none.
    pub path: OsString,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `LANG`.
    pub lang: Option<String>,
    /// `TERM`.
    pub term: Option<String>,
    /// Where temporary files go (`TMPDIR`, or the system's).
    pub temp_dir: PathBuf,
    /// This program: for the guard process and the demo agent.
    pub current_exe: PathBuf,
    /// Every variable that is UTF-8. May hold secrets: never printed.
    pub variables: BTreeMap<String, String>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("path", &self.path)
            .field("home", &self.home)
            .field("lang", &self.lang)
            .field("term", &self.term)
            .field("temp_dir", &self.temp_dir)
            .field("current_exe", &self.current_exe)
            .finish_non_exhaustive()
    }
}

/// The environment of this process, as it is now.
pub fn environment() -> Environment {
    let variables: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    Environment {
        path: std::env::var_os("PATH").unwrap_or_default(),
        home: std::env::var_os("HOME")
            .filter(|home| !home.is_empty())
            .map(PathBuf::from),
        lang: variables.get("LANG").cloned(),
        term: variables.get("TERM").cloned(),
        temp_dir: std::env::temp_dir(),
        // Only a system without /proc has no answer; PATH then finds the program by its name.
        current_exe: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("botyard")),
        variables,
    }
}

/// One variable of this process, for the roles that have no configuration: the guard's and the agents' starts.
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
