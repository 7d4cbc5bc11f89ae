use clap::{CommandFactory as _, Parser as _};

use super::*;
use crate::chat::{BotName, Conversation, SessionKey, now};
use crate::control::{BotStatus, Listed, StatusReport, Talk, talk};
use crate::store::{Counts, SessionRow};
use crate::supervisor::Ready;

fn parsed(words: &str) -> Arguments {
    Arguments::try_parse_from(words.split_whitespace()).unwrap_or_else(|error| panic!("{words}: {error}"))
}

#[test]
fn the_arguments_are_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn words_are_understood_where_people_put_them() {
    let outbox = parsed("botyard outbox retry abc --json --config other.toml");
    assert_eq!(outbox.config, Path::new("other.toml"));
    let Task::Outbox {
        task: Some(OutboxTask::Retry { turn }),
        json: true,
    } = outbox.task
    else {
        panic!("{outbox:?}");
    };
    assert_eq!(turn, "abc");
    assert!(matches!(
        parsed("botyard outbox --json").task,
        Task::Outbox { task: None, json: true }
    ));
    let attach = parsed("botyard sessions attach s1 --wait --tmux");
    assert!(
        matches!(
            &attach.task,
            Task::Sessions { task: Some(SessionsTask::Attach { session, tmux: true, wait: true }), json: false }
                if session == "s1"
        ),
        "{attach:?}"
    );
    let list = parsed("botyard sessions list --skip 500");
    assert!(
        matches!(
            &list.task,
            Task::Sessions {
                task: Some(SessionsTask::List {
                    bot: None,
                    search: None,
                    skip: 500
                }),
                ..
            }
        ),
        "{list:?}"
    );
    let run = parsed("botyard --config a/b.toml --log debug run");
    assert!(matches!(run.task, Task::Run) && run.log == tracing::level_filters::LevelFilter::DEBUG);
    assert!(matches!(
        parsed("botyard adapter inspect slack").task,
        Task::Adapter {
            task: AdapterTask::Inspect { .. },
            json: false
        }
    ));
}

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bots.toml");
    std::fs::write(&path, text).expect("a file");
    (folder, path)
}

const GOOD: &str = "[[bot]]\nname = \"a\"\nadapter = \"slack\"\nagent = \"demo\"\nallow = [\"U1\"]\n";

fn failed(result: Result<(), Failure>) -> (u8, String) {
    let failure = result.expect_err("it must fail");
    (failure.code(), failure.to_string())
}

#[test]
fn a_wrong_file_is_the_users_to_mend_and_every_problem_is_told() {
    let (_folder, path) = file("[host]\nlisten = 1\n[[bot]]\nname = \"A\"\nadapter = \"slack\"\nallow = []\n");
    let shown = path.display();
    let (code, text) = failed(run::run(&path));
    assert_eq!(code, 1);
    assert_eq!(
        text,
        format!(
            "{shown}:2: host.listen: needs a text, not a number\n  hint: for example `listen = \"127.0.0.1:8787\"`\n\
             {shown}:4: bot[0].name: `A` is not a bot's name\n  \
             hint: a-z, 0-9 and `-`, beginning with a letter or a digit, at most 40 characters\n\
             {shown}:6: warning: bot[0].allow: nobody may talk to this bot\n  \
             hint: list the platform's ids of those who may, for example `allow = [\"U024BE7LH\"]`; `[\"*\"]` means everybody\n\
             2 problems in {shown}"
        )
    );
}

#[test]
fn status_without_a_host_says_how_to_start_one() {
    let (folder, path) = file(GOOD);
    let (code, text) = failed(status::status(&path, true));
    assert_eq!(code, 1);
    assert_eq!(
        text,
        format!(
            "no host runs in `{}`\n\nhint: start it with `botyard run`",
            folder.path().join("data").display()
        )
    );
}

#[test]
fn a_second_host_on_the_same_folder_is_refused() {
    let (folder, path) = file(GOOD);
    let _held = crate::control::Lock::take(&folder.path().join("data")).expect("free");
    let (code, text) = failed(run::run(&path));
    assert_eq!(code, 1);
    assert!(
        text.starts_with("a host runs already in `") && text.contains("hint: stop it first"),
        "{text}"
    );
}

#[test]
fn the_outbox_of_a_stopped_host_is_changed_in_its_store() {
    let (folder, path) = file(GOOD);
    let (code, text) = failed(outbox::list(&path, false));
    assert!(code == 1 && text.starts_with("there is no store in `"), "{text}");
    std::fs::create_dir(folder.path().join("data")).expect("a folder");
    block_on(async {
        let journal = crate::store::Journal::open(&folder.path().join("data/botyard.db"))?;
        journal.close().await;
        Ok(())
    })
    .expect("a store");
    outbox::list(&path, false).expect("an empty list");
    assert_eq!(
        failed(outbox::retry(&path, &TurnId::from("none"), false)),
        (
            1,
            "there is no turn `none` in the outbox\n\nhint: `botyard outbox list` shows the dead letters".to_owned()
        )
    );
}

#[test]
fn another_user_makes_no_file_where_the_host_would_have_to_open_it() {
    let (folder, path) = file(GOOD);
    let data = folder.path().join("data");
    std::fs::create_dir(&data).expect("a folder");
    block_on(async {
        crate::store::Journal::open(&data.join("botyard.db"))?.close().await;
        Ok(())
    })
    .expect("a store");
    let config = load(&path).expect("it is good");
    let id = SessionId::from("s1");
    let attached = |user| failed(block_on(attach::here(&config, &id, false, user)));
    let (code, text) = attached(owner::user() + 1);
    assert_eq!(code, 1);
    assert!(text.contains("run it as the user who owns `"), "{text}");
    assert!(!data.join("host.lock").exists() && !data.join("terminal").exists());
    assert!(attached(owner::user()).1.starts_with("there is no session `s1`"));

    let scratch = folder.path().join("scratch");
    let cache = |user| adapter::cache(Some(&data), &scratch, user);
    assert_eq!(cache(owner::user()), data.join("cache"));
    assert_eq!(cache(owner::user() + 1), scratch.join("cache"));
}

#[test]
fn a_status_is_a_table_that_a_person_reads() {
    let report = StatusReport {
        version: "0.1.0".into(),
        pid: 7,
        started: now() - 3 * 3_600_000 - 500,
        listen: "127.0.0.1:8787".into(),
        bots: vec![
            BotStatus {
                name: "local".into(),
                adapter: "web".into(),
                connection: "live".into(),
                since: Some(now() - 2 * 3_600_000 - 500),
                heard: None,
                detail: None,
                retry_at: None,
                agent: "auto".into(),
                sessions_live: 1,
                sessions_background: 1,
                running: 1,
                waiting: 0,
                last_event: None,
                events: 0,
                skipped: 0,
                failures: 0,
                last_failure: None,
            },
            BotStatus {
                name: "team".into(),
                adapter: "slack".into(),
                connection: "degraded".into(),
                since: Some(now() - 5_500),
                heard: Some(now() - 61_000),
                detail: Some("invalid_auth\u{1b}[31m".into()),
                retry_at: Some(now() + 30_900),
                agent: "claude".into(),
                sessions_live: 0,
                sessions_background: 0,
                running: 0,
                waiting: 12,
                last_event: Some(now() - 61_000),
                events: 1234,
                skipped: 56,
                failures: 2,
                last_failure: Some("unreachable".into()),
            },
        ],
        counts: Counts {
            sessions: 3,
            turns_open: 13,
            outbox_dead: 2,
            ..Counts::default()
        },
    };
    assert_eq!(
        status::show(&report),
        "botyard 0.1.0, process 7, up 3h, on http://127.0.0.1:8787\n\n\
         BOT    ADAPTER  CONNECTION  FOR  HEARD  AGENT   LIVE  BACKGROUND  RUNNING  WAITING  EVENTS  SKIPPED  LAST  FAILURES\n\
         local  web      live        2h   -      auto    1     1           1        0        0       0        -     0\n\
         team   slack    degraded    5s   1m     claude  0     0           0        12       1234    56       1m    2\n\n\
         team: degraded: invalid_auth [31m; tried again in 30s\n\n\
         team: the adapter's last failure: unreachable\n\n\
         3 sessions, 13 open turns, 0 new messages, 0 replies on their way\n\
         2 replies were not taken: `botyard outbox`\n"
    );
}

fn talk_of(live: Option<bool>, background: u32, terminal: bool) -> Talk {
    let place = Conversation {
        tenant: None,
        channel: "C".to_owned(),
        thread: None,
        direct: false,
    };
    Talk {
        session: SessionRow::begin(SessionKey::from("k"), BotName::from("team"), "claude".to_owned(), place),
        live,
        background,
        terminal,
    }
}

#[test]
fn a_list_says_what_keeps_a_process() {
    for (live, background, terminal, said) in [
        (None, 0, false, "-"),
        (Some(false), 0, false, "asleep"),
        (Some(true), 0, false, "live"),
        (Some(true), 2, false, "background (2)"),
        (Some(false), 0, true, "terminal"),
    ] {
        assert_eq!(sessions::row(&talk_of(live, background, terminal))[3], said);
    }
    // One that an older host tells of.
    let mut older = serde_json::to_value(talk_of(Some(true), 2, false)).expect("JSON");
    assert_eq!(older["background"], 2);
    older.as_object_mut().expect("an object").remove("background");
    let older: Talk = serde_json::from_value(older).expect("understood");
    assert_eq!((older.live, older.background), (Some(true), 0));
}

#[test]
fn a_list_says_how_it_goes_on_only_where_it_may() {
    let more = |rows: u32, bounded, searched, skip| {
        let talks = vec![talk_of(None, 0, false); rows as usize];
        sessions::more(&Listed { talks, bounded }, searched, skip)
    };
    let next = |skip| Some(format!("there are more: `--skip {skip}` shows those that come next"));
    let some = Some("there may be more: the newest were looked at".to_owned());
    let full = talk::LISTED_MAX;
    // Some or all of a page cannot be read.
    assert_eq!(more(full - 1, true, false, 0), next(full));
    assert_eq!(more(0, true, false, full), next(2 * full));
    assert_eq!(more(full, true, true, full), next(2 * full));
    assert_eq!(more(full - 1, true, true, 0), some);
    assert_eq!(more(0, true, true, full), some);
    for searched in [false, true] {
        assert_eq!(more(full, false, searched, 0), None);
        assert_eq!(more(0, false, searched, full), None);
    }
}

#[test]
fn a_ready_host_says_where_to_go_and_how_to_connect_an_agent() {
    let ready = |demo| Ready {
        listen: "127.0.0.1:8787".parse().expect("an address"),
        page: vec![("local".into(), "http://127.0.0.1:8787/?token=abc".into())],
        demo,
    };
    let plain = run::welcome(&ready(false));
    assert!(
        plain.contains("  local: open http://127.0.0.1:8787/?token=abc\n") && !plain.contains("demo"),
        "{plain}"
    );
    assert!(run::welcome(&ready(true)).contains("npm install -g @anthropic-ai/claude-code"));
}

#[test]
fn text_of_others_cannot_drive_the_terminal() {
    assert_eq!(output::line("a\u{1b}]0;x\u{7}b\nc", 80), "a ]0;x b c");
    assert_eq!(output::line("abcdef", 4), "abc…");
    assert_eq!(output::safe("a\u{1b}[2J\nb"), "a[2J\nb");
}
