//! Golden files: every `fixtures/NAME.toml` has all its problems in `fixtures/NAME.err`, compared whole. With
//! `BLESS=1` in the environment the `.err` files are written anew: read the difference.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;
use crate::manifest::{About, Limits, Mode, SecretSpec, Setting, SettingKind, Transport};

/// A folder with an executable, a file that is none, secrets, and a PATH to find them by.
struct Place {
    folder: tempfile::TempDir,
    environment: Environment,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = folder.path();
        for made in ["bin", "adapters", "secrets"] {
            fs::create_dir(at.join(made)).expect("a folder");
        }
        let write = |name: &str, text: &str, mode: u32| {
            fs::write(at.join(name), text).expect("a file");
            fs::set_permissions(at.join(name), fs::Permissions::from_mode(mode)).expect("permissions");
        };
        write("bin/claude", "#!/bin/sh\n", 0o755);
        write("bin/plain", "not a program", 0o644);
        write("adapters/elsewhere.wasm", "", 0o644);
        write("secrets/slack", "xoxb-from-a-file\n", 0o600);
        write("secrets/empty", "\n", 0o600);
        write(
            "ca.pem",
            "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
            0o644,
        );
        let variables = [
            ("ANTHROPIC_API_KEY", "sk-ant-of-the-environment"),
            ("BOTYARD_PASSWORD", "correct horse"),
            ("SHORT_PASSWORD", "horse"),
            ("SLACK_BOT_TOKEN", "xoxb-of-the-environment"),
            ("SLACK_SIGNING_SECRET", "signing"),
            ("SLACK_APP_TOKEN", "xapp-of-the-environment"),
            ("DISCORD_TOKEN", "token"),
            ("DISCORD_PUBLIC_KEY", "key"),
            ("FEISHU_APP_ID", "cli_1"),
            ("FEISHU_APP_SECRET", "secret"),
            ("EMPTY", ""),
        ];
        let environment = Environment {
            path: at.join("bin").into_os_string(),
            current_exe: PathBuf::from("/opt/botyard"),
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Environment::default()
        };
        Self { folder, environment }
    }

    fn parse(&self, text: &str) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
        Config::parse(text, self.folder.path(), &self.environment)
    }

    /// The problems as a person reads them, the folder's name taken out.
    fn told(&self, text: &str) -> String {
        let problems = match self.parse(text) {
            Ok((_, warnings)) => warnings,
            Err(problems) => problems,
        };
        render("bots.toml", &problems).replace(&self.folder.path().display().to_string(), "FOLDER")
    }
}

fn repository(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every example of the default file, made real.
fn uncommented(text: &str) -> String {
    text.lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest,
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn every_problem_is_told_at_once_with_its_key_line_and_hint() {
    let place = Place::new();
    let bless = environment().variables.contains_key("BLESS");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/fixtures");
    let mut seen = 0;
    for entry in fs::read_dir(&folder).expect("the fixtures") {
        let path = entry.expect("a fixture").path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        seen += 1;
        let told = place.told(&fs::read_to_string(&path).expect("a fixture"));
        let golden = path.with_extension("err");
        if bless {
            fs::write(&golden, &told).expect("a golden file");
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(told, expected, "{}", path.display());
    }
    assert!(seen >= 6, "only {seen} fixtures were found");
}

#[test]
fn the_default_file_has_neither_problems_nor_warnings() {
    let place = Place::new();
    let (config, warnings) = place.parse(&repository("bots.toml")).expect("the default file is good");
    assert_eq!(render("bots.toml", &warnings), "");
    let agent = &config.agents["auto"];
    assert_eq!(
        (
            config.bots[0].name.as_str(),
            agent.demo,
            matches!(agent.login, Login::Operator),
            agent.command.clone()
        ),
        (
            "local",
            false,
            true,
            vec![place.folder.path().join("bin/claude").display().to_string()]
        )
    );
}

#[test]
fn without_claude_the_default_file_has_the_demo_agent() {
    let mut place = Place::new();
    place.environment.path = "/nonexistent".into();
    let (config, warnings) = place.parse(&repository("bots.toml")).expect("the default file is good");
    assert_eq!(render("bots.toml", &warnings), "");
    let agent = &config.agents["auto"];
    assert_eq!(
        (agent.demo, matches!(agent.login, Login::None), agent.command.clone()),
        (true, true, vec!["/opt/botyard".to_owned(), "demo-agent".to_owned()])
    );
}

#[test]
fn the_default_file_with_all_its_examples_is_good() {
    let place = Place::new();
    let text = uncommented(&repository("bots.toml"));
    assert_eq!(place.told(&text), "");
    let (config, _) = place.parse(&text).expect("the examples are good");
    let names: Vec<&str> = config.bots.iter().map(|bot| bot.name.as_str()).collect();
    assert_eq!(names, ["local", "team", "guild", "office", "elsewhere"]);
    assert_eq!(
        config.bots[1].secrets["bot_token"],
        SecretText::new("xoxb-of-the-environment")
    );
    assert_eq!(config.host.retention, Duration::from_secs(7 * 86_400));
}

#[test]
fn the_default_file_explains_every_key() {
    let place = Place::new();
    let told = place.told(
        "[host]\nzzzzzzzz = 1\n[agent.a]\nzzzzzzzz = 1\n[[bot]]\nzzzzzzzz = 1\nname = \"a\"\nadapter = \"web\"\nallow = [\"*\"]\n[route.a]\nzzzzzzzz = 1\n",
    );
    let text = uncommented(&repository("bots.toml"));
    let mut known = 0;
    for list in told.lines().filter_map(|line| line.split_once("known here: ")) {
        for key in list.1.split(", ") {
            known += 1;
            assert!(
                text.lines().any(|line| line.starts_with(&format!("{key} = "))),
                "`{key}` is not in bots.toml"
            );
        }
    }
    assert_eq!(known, 9 + 18 + 32 + 1, "a key was added: count it here\n{told}");
}

#[test]
fn usage_is_shown_unless_the_bot_says_otherwise() {
    let place = Place::new();
    let shown = |line: &str| {
        let bot = format!("[[bot]]\nname = \"a\"\nadapter = \"web\"\nagent = \"demo\"\nallow = [\"*\"]\n{line}");
        let (config, _) = place.parse(&bot).expect("good");
        (config.bots[0].show_usage, config.bots[0].show_thinking)
    };
    assert_eq!(shown(""), (true, false));
    assert_eq!(shown("show_usage = true"), (true, false));
    assert_eq!(shown("show_usage = false"), (false, false));
}

#[test]
fn clocks_are_two_times_each_and_their_order_counts() {
    let place = Place::new();
    let with = |lines: &str| {
        format!(
            "[agent.a]\ncommand = [\"/bin/sh\"]\nlogin = \"none\"\n{lines}\n[[bot]]\nname = \"a\"\nadapter = \"web\"\n\
             agent = \"a\"\nallow = [\"*\"]\n"
        )
    };
    let (config, _) = place
        .parse(&with("silence_timeout = [\"90s\", \"1h\"]\nask_hold = \"5m\""))
        .expect("good");
    let silence = Limit {
        tell: Duration::from_secs(90),
        end: Duration::from_secs(3600),
    };
    let expected = super::Limits {
        silence,
        asked: Duration::from_secs(300),
        ..super::Limits::of(DriverKind::Claude)
    };
    assert_eq!(config.agents["a"].limits, expected);
    let wrong = "first_timeout = [\"5m\"]\nsilence_timeout = [\"5m\", \"5m\"]\ntool_timeout = [\"1m\", \"0s\"]";
    let told = place.told(&with(wrong));
    for part in [
        "agent.a.first_timeout: needs two durations",
        "agent.a.silence_timeout: `5m` is not before `5m`",
        "agent.a.tool_timeout[1]: `0s` is out of range",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let (config, _) = place
        .parse(&with("driver = \"exec\"\ntool_timeout = [\"1m\", \"2m\"]").replace("login = \"none\"\n", ""))
        .expect("good");
    let limits = config.agents["a"].limits;
    assert_eq!((limits.first, limits.silence), (limits.tool, limits.tool));
    assert_eq!(limits.tool.end, Duration::from_secs(120));
    // A script says nothing before it has its answer.
    let exec = super::Limits::of(DriverKind::Exec);
    assert_eq!((exec.first, exec.silence), (exec.tool, exec.tool));
}

#[test]
fn secrets_are_resolved_and_never_shown() {
    let place = Place::new();
    let text = "[agent.a]\nlogin = { api_key = \"env:ANTHROPIC_API_KEY\" }\nenv = { T_TOKEN = \"env:SLACK_BOT_TOKEN\" }\n\
                [[bot]]\nname = \"a\"\nadapter = \"slack\"\nagent = \"a\"\nallow = [\"U1\"]\n\
                secrets = { bot_token = \"file:secrets/slack\" }\n";
    let (config, warnings) = place.parse(text).expect("good");
    assert_eq!(warnings, []);
    assert_eq!(config.bots[0].secrets["bot_token"].reveal(), "xoxb-from-a-file");
    assert_eq!(config.agents["a"].env["T_TOKEN"], "xoxb-of-the-environment");
    let shown = format!("{config:?} {:?}", place.environment);
    assert!(!shown.contains("xoxb") && !shown.contains("sk-ant"), "{shown}");
}

#[test]
fn a_file_that_is_not_there_is_one_problem() {
    let problems = Config::load(Path::new("/nonexistent/bots.toml")).expect_err("there is none");
    assert_eq!(
        render("bots.toml", &problems),
        "bots.toml: there is no such file\n  hint: start botyard in the folder of bots.toml, or name the file: --config PATH\n"
    );
}

fn about() -> About {
    let text = |text: &str| text.to_owned();
    let secret = |name: &str, purpose: &str| SecretSpec {
        name: text(name),
        purpose: text(purpose),
        targets: Vec::new(),
        slots: Vec::new(),
        crypto: false,
    };
    let setting = |name: &str, kind, choices: &[&str]| Setting {
        name: text(name),
        kind,
        choices: choices.iter().map(|choice| text(choice)).collect(),
        default: None,
        purpose: format!("what {name} is for"),
    };
    About {
        platform: text("slack"),
        title: text("Slack"),
        version: text("1"),
        api_base: None,
        modes: vec![
            Mode {
                name: text("webhook"),
                purpose: text("events by HTTP"),
                transports: vec![Transport::Webhook(Vec::new())],
                secrets: vec![text("bot_token"), text("signing_secret")],
            },
            Mode {
                name: text("socket"),
                purpose: text("events by socket"),
                transports: Vec::new(),
                secrets: Vec::new(),
            },
        ],
        settings: vec![
            setting("broadcast", SettingKind::Flag, &[]),
            setting("pause", SettingKind::Number, &[]),
            setting("style", SettingKind::Choice, &["plain", "rich"]),
        ],
        secrets: vec![
            secret("bot_token", "the bot's token, xoxb-"),
            secret("signing_secret", "checks events"),
        ],
        minted: Vec::new(),
        egress: Vec::new(),
        limits: Limits {
            update_interval: Duration::from_secs(1),
            updates_max: None,
            refresh: None,
            upload_max_bytes: 0,
            rates: Vec::new(),
        },
        abilities: Vec::new(),
        extra: Vec::new(),
    }
}

#[test]
fn what_an_adapter_does_not_know_is_told_with_its_line() {
    let place = Place::new();
    let text = "[[bot]]\nname = \"a\"\nadapter = \"web\"\nallow = [\"*\"]\n\n[[bot]]\nname = \"b\"\nadapter = \"slack\"\n\
                allow = [\"U1\"]\nagent = \"demo\"\n\n[bot.settings]\nbrodcast = true\nbroadcast = \"maybe\"\npause = 1.5\n\
                style = \"bold\"\n\n[bot.secrets]\nbot_tokn = \"file:secrets/slack\"\n";
    let (config, _) = place.parse(text).expect("good by itself");
    let mut problems = check_against(&config.bots[1], 1, &about());
    locate(text, &mut problems);
    problem::sort(&mut problems);
    assert_eq!(
        render("bots.toml", &problems),
        "bots.toml:6: bot[1].api_base: is missing: `slack` has no address of its own\n  \
           hint: the base URL of your server's API, for example `api_base = \"https://chat.example.com/api/\"`\n\
         bots.toml:13: bot[1].settings.brodcast: `slack` has no such setting\n  hint: did you mean `broadcast`?\n\
         bots.toml:14: bot[1].settings.broadcast: `maybe` is not true or false\n  hint: what broadcast is for\n\
         bots.toml:16: bot[1].settings.style: `bold` is not one of: plain, rich\n  hint: what style is for\n\
         bots.toml:18: bot[1].secrets.bot_token: is missing: the mode `webhook` needs it\n  \
           hint: the bot's token, xoxb-: `secrets = { bot_token = \"env:NAME\" }`\n\
         bots.toml:18: bot[1].secrets.signing_secret: is missing: the mode `webhook` needs it\n  \
           hint: checks events: `secrets = { signing_secret = \"env:NAME\" }`\n\
         bots.toml:19: bot[1].secrets.bot_tokn: `slack` takes no such secret\n  hint: did you mean `bot_token`?\n"
    );
}

#[test]
fn a_mode_that_is_not_there_is_told_and_asks_for_no_secrets() {
    let place = Place::new();
    let text = "[[bot]]\nname = \"b\"\nadapter = \"slack\"\nmode = \"sockets\"\nallow = [\"U1\"]\nagent = \"demo\"\n\
                api_base = \"http://127.0.0.1:9\"\n";
    let (config, _) = place.parse(text).expect("good by itself");
    let problems = check_against(&config.bots[0], 0, &about());
    assert_eq!(
        render("bots.toml", &problems),
        "bots.toml: bot[0].mode: `slack` has no mode `sockets`\n  hint: did you mean `socket`?\n"
    );
}

#[test]
fn a_transport_that_this_host_lacks_is_told() {
    let place = Place::new();
    let text = "[[bot]]\nname = \"b\"\nadapter = \"slack\"\nmode = \"socket\"\nallow = [\"U1\"]\nagent = \"demo\"\n\
                api_base = \"http://127.0.0.1:9\"\n";
    let (config, _) = place.parse(text).expect("good by itself");
    let mut about = about();
    about.modes[1].transports = vec![Transport::Managed {
        name: "pigeon".to_owned(),
        options: Vec::new(),
    }];
    assert_eq!(
        render("bots.toml", &check_against(&config.bots[0], 0, &about)),
        "bots.toml: bot[0].mode: `slack` connects by the transport `pigeon`, which this botyard does not have\n  \
           hint: another of the adapter's modes, or another version of botyard\n"
    );
}
