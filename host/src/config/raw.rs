//! bots.toml as it stands: every key of it, typed, with its key path and line, and no meaning yet. Unknown keys and
//! wrong types are problems here.
//!
//! Read by hand from the parser's spanned values: serde stops at the first mistake.

mod route;

use toml::de::{DeTable, DeValue};

use super::problem::{Problem, line_of};
use super::section::{At, Place, Reader, Section, at, called};

pub use route::{RawRoute, RawStep};

#[derive(Debug)]
pub struct RawFile {
    pub host: RawHost,
    pub agents: Vec<RawAgent>,
    pub routes: Vec<RawRoute>,
    pub bots: Vec<RawBot>,
}

#[derive(Debug)]
pub struct RawHost {
    pub place: Place,
    pub listen: Option<At<String>>,
    pub data_dir: Option<At<String>>,
    pub public_url: Option<At<String>>,
    pub password: Option<At<String>>,
    pub retention: Option<At<String>>,
    pub proxy: Option<At<String>>,
    pub ca_file: Option<At<String>>,
    pub memory_budget: Option<At<String>>,
    pub max_processes: Option<At<i64>>,
}

#[derive(Debug)]
pub enum RawLogin {
    Word(At<String>),
    ApiKey(At<String>),
    Token(At<String>),
}

#[derive(Debug)]
pub struct RawAgent {
    pub place: Place,
    pub name: String,
    pub driver: Option<At<String>>,
    pub command: Option<At<Vec<At<String>>>>,
    pub model: Option<At<String>>,
    pub permission_mode: Option<At<String>>,
    pub allowed_tools: Option<At<Vec<At<String>>>>,
    pub disallowed_tools: Option<At<Vec<At<String>>>>,
    pub instructions: Option<At<String>>,
    pub env: Vec<(String, At<String>)>,
    pub login: Option<RawLogin>,
    /// Something stands there, though it may be wrong: then nothing is missing.
    pub login_given: bool,
    pub start_timeout: Option<At<String>>,
    pub idle_timeout: Option<At<String>>,
    pub spare: Option<At<bool>>,
    pub first_timeout: Option<At<Vec<At<String>>>>,
    pub silence_timeout: Option<At<Vec<At<String>>>>,
    pub tool_timeout: Option<At<Vec<At<String>>>>,
    pub turn_timeout: Option<At<Vec<At<String>>>>,
    pub ask_hold: Option<At<String>>,
    pub history: Option<At<bool>>,
}

#[derive(Debug)]
pub struct RawBot {
    pub place: Place,
    /// Keys that stand there, though their type may be wrong: then nothing is missing.
    pub given: Vec<String>,
    pub name: Option<At<String>>,
    pub adapter: Option<At<String>>,
    pub mode: Option<At<String>>,
    pub agent: Option<At<String>>,
    pub agents: Option<At<Vec<At<String>>>>,
    pub routes: Option<At<Vec<At<String>>>>,
    pub scope: Option<At<String>>,
    pub workspace: Option<At<String>>,
    pub workspace_shared: Option<At<bool>>,
    pub allow: Option<At<Vec<At<String>>>>,
    pub allow_bots: Option<At<Vec<At<String>>>>,
    pub bot_turns: Option<At<i64>>,
    pub approvers: Option<At<Vec<At<String>>>>,
    pub asker_approves: Option<At<bool>>,
    pub refuse: Option<At<String>>,
    pub contact: Option<At<String>>,
    pub listen_to_all: Option<At<bool>>,
    pub api_base: Option<At<String>>,
    pub secrets: Vec<(String, At<String>)>,
    pub settings: Vec<(String, At<String>)>,
    pub grant_hosts: Option<At<Vec<At<String>>>>,
    pub while_running: Option<At<String>>,
    pub queue_limit: Option<At<i64>>,
    pub per_user_per_minute: Option<At<i64>>,
    pub ask_timeout: Option<At<String>>,
    pub memory: Option<At<String>>,
    pub call_timeout: Option<At<String>>,
    pub show_thinking: Option<At<bool>>,
    pub show_usage: Option<At<bool>>,
    pub files_max: Option<At<String>>,
    pub files_kept: Option<At<String>>,
    pub history: Option<At<i64>>,
}

/// Everything that can be read, and the problems. None: the text is not TOML; all its syntax errors are told.
pub fn read(text: &str) -> (Option<RawFile>, Vec<Problem>) {
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return (None, errors.iter().map(|error| syntax(text, error)).collect());
    }
    let mut reader = Reader {
        text,
        problems: Vec::new(),
    };
    let file = file(&mut reader, root.get_ref());
    (Some(file), reader.problems)
}

fn syntax(text: &str, error: &toml::de::Error) -> Problem {
    let line = error.span().map_or(0, |span| line_of(text, span.start));
    Place {
        key: String::new(),
        line,
    }
    .problem(
        format!("is not TOML: {}", error.message()),
        "texts stand in quotes; quotes and brackets come in pairs",
    )
}

fn file<'a>(reader: &mut Reader<'a>, root: &'a DeTable<'a>) -> RawFile {
    let mut section = Section::new(Some(root), Place::default());
    let host = host(reader, &mut section);
    let agents = agents(reader, &mut section);
    let routes = route::routes(reader, &mut section);
    let bots = bots(reader, &mut section);
    section.finish(reader);
    RawFile {
        host,
        agents,
        routes,
        bots,
    }
}

fn host<'a>(reader: &mut Reader<'a>, root: &mut Section<'a>) -> RawHost {
    let found = root.take(reader, "host");
    let place = found.as_ref().map_or_else(
        || Place {
            key: "host".to_owned(),
            line: 0,
        },
        At::place,
    );
    let table = found.and_then(|found| table_of(reader, &found, "[host]"));
    let mut s = Section::new(table, place.clone());
    let host = RawHost {
        place,
        listen: s.text(reader, "listen", "\"127.0.0.1:8787\""),
        data_dir: s.text(reader, "data_dir", "\"data\""),
        public_url: s.text(reader, "public_url", "\"https://bots.example.com\""),
        password: s.text(reader, "password", "\"env:BOTYARD_PASSWORD\""),
        retention: s.text(reader, "retention", "\"7d\""),
        proxy: s.text(reader, "proxy", "\"http://proxy.example.com:3128\""),
        ca_file: s.text(reader, "ca_file", "\"ca.pem\""),
        memory_budget: s.text(reader, "memory_budget", "\"2GiB\""),
        max_processes: s.number(reader, "max_processes", "256"),
    };
    s.finish(reader);
    host
}

fn agents<'a>(reader: &mut Reader<'a>, root: &mut Section<'a>) -> Vec<RawAgent> {
    let Some(found) = root.take(reader, "agent") else {
        return Vec::new();
    };
    let Some(table) = table_of(reader, &found, "[agent.claude]") else {
        return Vec::new();
    };
    let mut agents = Vec::new();
    for (name, value) in table {
        let found = at(reader, "agent", name.get_ref(), value);
        if let Some(table) = table_of(reader, &found, "[agent.claude]") {
            agents.push(agent(reader, name.get_ref(), table, found.place()));
        }
    }
    agents
}

fn agent<'a>(reader: &mut Reader<'a>, name: &str, table: &'a DeTable<'a>, place: Place) -> RawAgent {
    let mut s = Section::new(Some(table), place.clone());
    let login = s.take(reader, "login");
    let agent = RawAgent {
        place,
        name: name.to_owned(),
        driver: s.text(reader, "driver", "\"claude\""),
        command: s.list(reader, "command", "[\"claude\"]"),
        model: s.text(reader, "model", "\"sonnet\""),
        permission_mode: s.text(reader, "permission_mode", "\"default\""),
        allowed_tools: s.list(reader, "allowed_tools", "[\"Read\", \"Grep\"]"),
        disallowed_tools: s.list(reader, "disallowed_tools", "[\"WebFetch\"]"),
        instructions: s.text(reader, "instructions", "\"Answer briefly.\""),
        env: s.pairs(reader, "env", "{ NAME = \"value\" }", true),
        login_given: login.is_some(),
        login: login.and_then(|found| self::login(reader, &found)),
        start_timeout: s.text(reader, "start_timeout", "\"60s\""),
        idle_timeout: s.text(reader, "idle_timeout", "\"10m\""),
        spare: s.flag(reader, "spare"),
        first_timeout: s.list(reader, "first_timeout", "[\"2m\", \"15m\"]"),
        silence_timeout: s.list(reader, "silence_timeout", "[\"5m\", \"30m\"]"),
        tool_timeout: s.list(reader, "tool_timeout", "[\"30m\", \"4h\"]"),
        turn_timeout: s.list(reader, "turn_timeout", "[\"2h\", \"24h\"]"),
        ask_hold: s.text(reader, "ask_hold", "\"30m\""),
        history: s.flag(reader, "history"),
    };
    s.finish(reader);
    agent
}

fn login<'a>(reader: &mut Reader<'a>, found: &At<&'a DeValue<'a>>) -> Option<RawLogin> {
    const HINT: &str = "write `login = \"operator\"`, `login = { api_key = \"env:NAME\" }`, \
                        `login = { token = \"file:PATH\" }` or `login = \"none\"`";
    match found.value {
        DeValue::String(word) => Some(RawLogin::Word(At {
            value: word.to_string(),
            key: found.key.clone(),
            line: found.line,
        })),
        DeValue::Table(table) => {
            let mut s = Section::new(Some(table), found.place());
            let before = reader.problems.len();
            let api_key = s.text(reader, "api_key", "\"env:ANTHROPIC_API_KEY\"");
            let token = s.text(reader, "token", "\"env:CLAUDE_CODE_OAUTH_TOKEN\"");
            s.finish(reader);
            match (api_key, token) {
                (Some(api_key), None) => Some(RawLogin::ApiKey(api_key)),
                (None, Some(token)) => Some(RawLogin::Token(token)),
                (Some(_), Some(_)) => {
                    reader
                        .problems
                        .push(found.problem("has both `api_key` and `token`", "keep one of them"));
                    None
                }
                // A mistyped key was told already.
                (None, None) if reader.problems.len() > before => None,
                (None, None) => {
                    reader.problems.push(found.problem("is empty", HINT));
                    None
                }
            }
        }
        other => {
            reader
                .problems
                .push(found.problem(format!("needs a word or a table, not {}", called(other)), HINT));
            None
        }
    }
}

fn bots<'a>(reader: &mut Reader<'a>, root: &mut Section<'a>) -> Vec<RawBot> {
    let Some(found) = root.take(reader, "bot") else {
        return Vec::new();
    };
    let DeValue::Array(list) = found.value else {
        reader.problems.push(found.problem(
            format!("needs to be a list of tables, not {}", called(found.value)),
            "begin each bot with `[[bot]]`, in two pairs of brackets",
        ));
        return Vec::new();
    };
    let mut bots = Vec::new();
    for (index, value) in list.iter().enumerate() {
        let found = At {
            value: value.get_ref(),
            key: format!("bot[{index}]"),
            line: line_of(reader.text, value.span().start),
        };
        if let Some(table) = table_of(reader, &found, "[[bot]]") {
            bots.push(bot(reader, table, found.place()));
        }
    }
    bots
}

fn bot<'a>(reader: &mut Reader<'a>, table: &'a DeTable<'a>, place: Place) -> RawBot {
    let mut s = Section::new(Some(table), place.clone());
    let bot = RawBot {
        place,
        given: table.keys().map(|key| key.get_ref().to_string()).collect(),
        name: s.text(reader, "name", "\"team\""),
        adapter: s.text(reader, "adapter", "\"web\""),
        mode: s.text(reader, "mode", "\"webhook\""),
        agent: s.text(reader, "agent", "\"auto\""),
        agents: s.list(reader, "agents", "[\"reviewer\"]"),
        routes: s.list(reader, "routes", "[\"review\"]"),
        scope: s.text(reader, "scope", "\"thread\""),
        workspace: s.text(reader, "workspace", "\"work\""),
        workspace_shared: s.flag(reader, "workspace_shared"),
        allow: s.list(reader, "allow", "[\"U024BE7LH\"]"),
        allow_bots: s.list(reader, "allow_bots", "[\"U0BOT24E7\"]"),
        bot_turns: s.number(reader, "bot_turns", "10"),
        approvers: s.list(reader, "approvers", "[\"U024BE7LH\"]"),
        asker_approves: s.flag(reader, "asker_approves"),
        refuse: s.text(reader, "refuse", "\"politely\""),
        contact: s.text(reader, "contact", "\"ops@example.com\""),
        listen_to_all: s.flag(reader, "listen_to_all"),
        api_base: s.text(reader, "api_base", "\"https://slack.com/api/\""),
        secrets: s.pairs(reader, "secrets", "{ bot_token = \"env:SLACK_BOT_TOKEN\" }", false),
        settings: s.pairs(reader, "settings", "{ name = \"value\" }", true),
        grant_hosts: s.list(reader, "grant_hosts", "[\"https://files.example.com\"]"),
        while_running: s.text(reader, "while_running", "\"queue\""),
        queue_limit: s.number(reader, "queue_limit", "20"),
        per_user_per_minute: s.number(reader, "per_user_per_minute", "10"),
        ask_timeout: s.text(reader, "ask_timeout", "\"1d\""),
        memory: s.text(reader, "memory", "\"64MiB\""),
        call_timeout: s.text(reader, "call_timeout", "\"10s\""),
        show_thinking: s.flag(reader, "show_thinking"),
        show_usage: s.flag(reader, "show_usage"),
        files_max: s.text(reader, "files_max", "\"32MiB\""),
        files_kept: s.text(reader, "files_kept", "\"1GiB\""),
        history: s.number(reader, "history", "20"),
    };
    s.finish(reader);
    bot
}

/// The table that this must be; `header` is how one begins.
fn table_of<'a>(reader: &mut Reader<'a>, found: &At<&'a DeValue<'a>>, header: &str) -> Option<&'a DeTable<'a>> {
    let table = found.value.as_table();
    if table.is_none() {
        reader.problems.push(found.problem(
            format!("needs to be a table, not {}", called(found.value)),
            format!("begin it with `{header}`"),
        ));
    }
    table
}
