//! The command line: run, check, status, sessions, agents, outbox, adapter. The only module that prints: data to stdout, the rest to
//! stderr. Exits with 0 if all is fine, 1 if the user must mend something, 2 if it is our failure.

mod adapter;
mod adopt;
mod agents;
mod attach;
mod check;
mod desk;
mod failure;
mod live;
mod log;
mod outbox;
mod output;
mod owner;
mod run;
mod sessions;
mod status;
mod tail;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::chat::{SessionId, TurnId};
use crate::config::{Config, Problem, render};

use failure::Failure;

/// Coding agents of the terminal, in the rooms where their teams talk.
#[derive(Debug, Parser)]
#[command(name = "botyard", version, disable_help_subcommand = true)]
struct Arguments {
    /// The configuration
    #[arg(long, global = true, value_name = "PATH", default_value = "bots.toml")]
    config: PathBuf,
    /// What is logged to stderr: error, warn, info, debug or trace
    #[arg(long, global = true, value_name = "LEVEL", default_value = "info")]
    log: tracing::level_filters::LevelFilter,
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run all bots until SIGTERM or Ctrl-C; a second one does not wait for running turns
    Run,
    /// Check bots.toml, and that it fits the adapters
    Check {
        /// Also ask each platform whether the bot's account is set up
        #[arg(long)]
        online: bool,
        /// The problems as JSON
        #[arg(long)]
        json: bool,
    },
    /// How the running host is
    Status {
        #[arg(long)]
        json: bool,
    },
    /// The conversations with agents
    Sessions {
        #[command(subcommand)]
        task: Option<SessionsTask>,
        #[arg(long, global = true)]
        json: bool,
    },
    /// What the agents of bots.toml are and can do, as the installed programs say themselves
    Agents {
        #[arg(long)]
        json: bool,
    },
    /// Replies that a platform did not take
    Outbox {
        #[command(subcommand)]
        task: Option<OutboxTask>,
        #[arg(long, global = true)]
        json: bool,
    },
    /// What adapters say of themselves
    Adapter {
        #[command(subcommand)]
        task: AdapterTask,
        #[arg(long, global = true)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum SessionsTask {
    /// All of them, newest first
    List {
        /// Only of this bot
        #[arg(long)]
        bot: Option<String>,
        /// Only what has all of these words, in its name, its id, or anything that was said
        #[arg(long, value_name = "WORDS")]
        search: Option<String>,
        /// Without the newest, so many: to see those that come after what is listed
        #[arg(long, value_name = "SESSIONS", default_value_t = 0)]
        skip: u32,
    },
    /// What was said in one
    Show { session: String },
    /// The same for a file: Markdown, or with --json a line for each turn
    Export { session: String },
    /// Stop what its agent is doing
    Interrupt { session: String },
    /// Tell what happens in one, or in all, while it happens
    Tail {
        session: Option<String>,
        /// Also the newest turns that are over, so many
        #[arg(long, value_name = "TURNS", default_value_t = 0, requires = "session")]
        since: u32,
    },
    /// Open one in this terminal, with its agent's own program; the chat waits until that ends
    Attach {
        session: String,
        /// In a new window of tmux, with the environment of its server; ends with 0 whatever became of it there
        #[arg(long)]
        tmux: bool,
        /// If a turn runs, wait for its end
        #[arg(long)]
        wait: bool,
    },
    /// Make a copy of one, beside it; says the copy's id
    Fork {
        session: String,
        /// What to call the copy
        #[arg(long)]
        name: Option<String>,
        /// What is said next in the chat goes to the copy
        #[arg(long)]
        current: bool,
    },
    /// Bring a conversation from a terminal to a chat: a copy of it goes on there; says the new session's id
    Adopt {
        /// The file in which the agent keeps it, or the agent's id of one of yours
        #[arg(value_name = "FILE|ID")]
        conversation: String,
        /// A session of the chat, in which something was said already
        session: String,
        /// What to call it
        #[arg(long)]
        name: Option<String>,
        /// What is said next in the chat goes to it
        #[arg(long)]
        current: bool,
    },
    /// Forget one for ever, with what was said and what is on disk of it alone
    Delete {
        session: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
enum OutboxTask {
    /// All of them, newest first
    List,
    /// One, with what it says
    Show { turn: String },
    /// Deliver one again; what is `ambiguous` may then stand there twice
    Retry { turn: String },
    /// Never deliver one
    Drop { turn: String },
}

#[derive(Debug, Subcommand)]
enum AdapterTask {
    /// The adapters in the binary, and those that bots.toml names
    List,
    /// What a component is, reaches, wants and offers; FILE may also be a built-in adapter's name
    Inspect { file: String },
    /// Ask the platform whether a bot's account is set up as it must be
    Check { bot: String },
    /// Run an adapter through the suite of scenarios against a fake of its platform
    Test(adapter::TestArguments),
}

/// The whole program but its child-process roles. Reads the arguments of the process.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            // clap's own code for a wrong word is 2, which here means our failure.
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(1),
            };
        }
    };
    log::start(arguments.log);
    match perform(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::note(&failure.to_string());
            ExitCode::from(failure.code())
        }
    }
}

fn perform(arguments: Arguments) -> Result<(), Failure> {
    let file = arguments.config.as_path();
    match arguments.task {
        Task::Run => run::run(file),
        Task::Check { online, json } => check::check(file, online, json),
        Task::Status { json } => status::status(file, json),
        Task::Sessions { task, json } => match task.unwrap_or(SessionsTask::List {
            bot: None,
            search: None,
            skip: 0,
        }) {
            SessionsTask::List { bot, search, skip } => sessions::list(file, bot, search, skip, json),
            SessionsTask::Show { session } => sessions::show(file, &SessionId(session), json),
            SessionsTask::Export { session } => sessions::export(file, &SessionId(session), json),
            SessionsTask::Interrupt { session } => sessions::interrupt(file, &SessionId(session), json),
            SessionsTask::Tail { session, since } => tail::tail(file, session.map(SessionId), since, json),
            SessionsTask::Attach { session, tmux, wait } => {
                let session = SessionId(session);
                if tmux {
                    attach::attach_in_tmux(file, &session, wait)
                } else {
                    attach::attach(file, &session, wait)
                }
            }
            SessionsTask::Fork { session, name, current } => {
                sessions::fork(file, &SessionId(session), name, current, json)
            }
            SessionsTask::Adopt {
                conversation,
                session,
                name,
                current,
            } => adopt::adopt(file, &conversation, &SessionId(session), name, current, json),
            SessionsTask::Delete { session, yes } => sessions::delete(file, &SessionId(session), yes, json),
        },
        Task::Agents { json } => agents::agents(file, json),
        Task::Outbox { task, json } => match task.unwrap_or(OutboxTask::List) {
            OutboxTask::List => outbox::list(file, json),
            OutboxTask::Show { turn } => outbox::show(file, &TurnId(turn), json),
            OutboxTask::Retry { turn } => outbox::retry(file, &TurnId(turn), json),
            OutboxTask::Drop { turn } => outbox::discard(file, &TurnId(turn), json),
        },
        Task::Adapter { task, json } => match task {
            AdapterTask::List => adapter::list(file, json),
            AdapterTask::Inspect { file: component } => adapter::inspect(file, &component, json),
            AdapterTask::Check { bot } => adapter::check(file, &bot, json),
            AdapterTask::Test(arguments) => adapter::test(file, arguments, json),
        },
    }
}

/// The config; its warnings are told. Otherwise all its problems are the failure.
fn load(file: &Path) -> Result<Config, Failure> {
    let (config, warnings) = Config::load(file).map_err(|problems| wrong(file, &problems))?;
    if !warnings.is_empty() {
        output::note(render(&file.display().to_string(), &warnings).trim_end());
    }
    Ok(config)
}

/// The failure that these problems are.
fn wrong(file: &Path, problems: &[Problem]) -> Failure {
    let errors = problems.iter().filter(|problem| !problem.warning).count();
    let counted = if errors == 1 {
        "one problem".to_owned()
    } else {
        format!("{errors} problems")
    };
    Failure::user(format!(
        "{}{counted} in {}",
        render(&file.display().to_string(), problems),
        file.display()
    ))
}

/// For commands that ask one thing and end.
fn block_on<T>(task: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::ours(format!("the runtime cannot start: {error}")))?
        .block_on(task)
}
