//! Other bots: heard only where the operator named them, on every platform; never the bot itself, and never for ever.

use botyard_fakes::feishu::{APP_ID, GROUP, Tenant};
use botyard_fakes::{discord, feishu, slack};
use serde_json::{Value, json};

use crate::company::Company;
use crate::guild::Guild;
use crate::host::Setup;
use crate::room::{Room, but, button, said};
use crate::team::Team;

/// Something is said in `C1` that names the bot, by whom `by` says.
async fn slack_says(team: &Team, text: &str, by: Value) {
    let text = format!("<@{}> {text}", slack::BOT_USER);
    let ts = team.team.say("C1", "", &text, None);
    let all = team.team.messages("C1");
    let message = all
        .into_iter()
        .find(|message| message.ts == ts)
        .expect("it stands there");
    let mut event = team.sender.message_event(&message);
    event["user"] = Value::Null;
    let event = but(event, by);
    let body = slack::Sender::callback(&event, &format!("Ev{}", ts.replace('.', "")));
    let heard = team.sender.json(&body, &[]).await.expect("an answer in time");
    assert_eq!(heard.status, 200, "{}", heard.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_slack_bots_that_are_named_are_answered_and_the_bot_itself_never() {
    let named = r#"allow_bots = ["UOTHER", "BHOOK", "UBOT", "BBOT"]"#;
    let team = Team::start(|setup| setup.with(named)).await;
    let bot = |user: Value, id: &str, app: &str| json!({ "user": user, "bot_id": id, "app_id": app });
    slack_says(&team, "of a stranger", bot("USTRANGE".into(), "BSTRANGE", "A9")).await;
    let hook = |id: &str, app: &str| {
        let by = json!({ "subtype": "bot_message", "username": "Deploys" });
        but(bot(Value::Null, id, app), by)
    };
    slack_says(&team, "of its own", bot(slack::BOT_USER.into(), slack::BOT, slack::APP)).await;
    slack_says(&team, "by its own hook", hook(slack::BOT, slack::APP)).await;
    slack_says(&team, "of a friend", bot("UOTHER".into(), "BOTHER", "A2")).await;
    slack_says(&team, "of a hook", hook("BHOOK", "A3")).await;
    slack_says(&team, "of a person", json!({ "user": "U1" })).await;
    for text in ["of a friend", "of a hook", "of a person"] {
        team.final_with("C1", text).await;
    }
    assert_eq!(team.team.replies("C1").len(), 3);
    team.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_discord_bots_that_are_named_are_answered_and_the_bot_itself_never() {
    let named = format!("allow_bots = [{:?}, {:?}]", discord::HELPER, discord::BOT);
    let guild = Guild::connected(|setup| setup.with(&named)).await;
    guild.world.mention(discord::GENERAL, discord::BOT, "of its own");
    let friend = guild.world.mention(discord::GENERAL, discord::HELPER, "of a friend");
    let person = guild.world.mention(discord::GENERAL, discord::ANN, "of a person");
    guild.final_with(&friend, "of a friend").await;
    guild.final_with(&person, "of a person").await;
    assert_eq!(guild.world.threads(discord::GENERAL).len(), 2);
    guild.stop().await;

    let guild = Guild::connected(|setup| setup).await;
    guild.world.mention(discord::GENERAL, discord::HELPER, "of a stranger");
    let person = guild.world.mention(discord::GENERAL, discord::ANN, "of a person");
    guild.final_with(&person, "of a person").await;
    assert_eq!(guild.world.threads(discord::GENERAL).len(), 1);
    guild.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_feishu_bots_that_are_named_are_answered_and_the_bot_itself_never() {
    let named = format!("allow_bots = [\"ou_other\", {:?}, {APP_ID:?}]", feishu::BOT);
    let company = Company::start_with(Tenant::new(), |setup: Setup| setup.with(&named)).await;
    let says = async |who: &str, kind: &str, text: &str| {
        let message = company.tenant.write(GROUP, who, &format!("@_user_1 {text}"));
        let mut event = company.tenant.message_event(&message);
        event["event"]["sender"]["sender_type"] = kind.into();
        company.deliver(&event).await;
    };
    says("ou_strange", "app", "of a stranger").await;
    says(feishu::BOT, "app", "of its own").await;
    says(APP_ID, "app", "of its own app").await;
    says("ou_other", "app", "of a friend").await;
    says(feishu::ANN, "user", "of a person").await;
    company.final_with(GROUP, "echo: 安妮: of a person").await;
    company.final_with(GROUP, "of a friend").await;
    let all = company.reads(GROUP);
    let answers = all.iter().filter(|text| text.contains("echo:")).count();
    assert_eq!(answers, 2, "{all:?}");
    company.stop().await;
}

/// The bot `helper` says something in `C1`.
fn helper(id: &str, text: &str) -> Value {
    but(
        said(id, text),
        json!({ "from": { "id": "helper", "name": "Helper", "bot": true } }),
    )
}

/// What the operator was told of in the audit.
fn told(room: &Room) -> Vec<String> {
    let store = rusqlite::Connection::open(room.host.folder().join("data/botyard.db")).expect("the store's file");
    let mut rows = store
        .prepare("SELECT who || ' ' || what FROM audit WHERE what LIKE '%only bots%'")
        .expect("the audit is there");
    let rows = rows.query_map([], |row| row.get(0)).expect("it is read");
    rows.map(|row| row.expect("a text")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn bots_that_answer_each_other_end_until_a_person_speaks_also_over_a_restart() {
    let room = Room::open("allow_bots = [\"helper\"]\nbot_turns = 3").await;
    for number in 1..=5 {
        let id = format!("b{number}");
        room.tell(helper(&id, &format!("round {number}."))).await;
    }
    for number in 1..=3 {
        room.vendor.done_with(&format!("round {number}.")).await;
    }
    let room = room.restart().await;
    room.tell(helper("b6", "round 6.")).await;
    // Elsewhere nothing was said so far.
    let elsewhere = json!({ "thread": "T1" });
    room.tell(but(helper("b7", "round 7."), elsewhere)).await;
    room.vendor.done_with("round 7.").await;
    assert_eq!(room.vendor.standing().len(), 4, "{:#?}", room.vendor.standing());
    assert_eq!(told(&room).len(), 1, "the operator is told once: {:?}", told(&room));
    room.say("p1", "go on, you two").await;
    room.vendor.done_with("go on, you two").await;
    room.tell(helper("b8", "round 8.")).await;
    room.vendor.done_with("round 8.").await;
    assert_eq!(room.vendor.standing().len(), 6);
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_bots_that_are_not_named_say_is_not_even_kept() {
    let room = Room::open("allow_bots = [\"other\"]").await;
    room.tell(helper("b1", "who is there?")).await;
    let edit = json!({ "kind": "edited", "key": "e1", "text": "who is here?" });
    room.tell(but(helper("b1", ""), edit)).await;
    room.say("p1", "the end").await;
    room.vendor.done_with("the end").await;
    let store = rusqlite::Connection::open(room.host.folder().join("data/botyard.db")).expect("the store's file");
    let kept = |who: &str| -> u32 {
        let like = format!("%\"id\":\"{who}\"%");
        store
            .query_row("SELECT count(*) FROM inbox WHERE item LIKE ?1", [like], |row| {
                row.get(0)
            })
            .expect("it is read")
    };
    assert_eq!((kept("helper"), kept("ann")), (0, 1));
    room.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bot_decides_nothing_and_its_edits_offer_nothing() {
    let more = "allow_bots = [\"helper\"]\napprovers = [\"ann\", \"helper\"]";
    let room = Room::open(more).await;
    room.tell(helper("b1", "permission rm -rf build")).await;
    let asking = room
        .vendor
        .until("the question", |view| view["state"] == "asking")
        .await;
    let token = button(&asking, "Allow");
    // Also where the platform does not say that it is one.
    for (key, from) in [
        ("p1", json!({ "id": "helper", "bot": true })),
        ("p2", json!({ "id": "helper" })),
    ] {
        let press = json!({ "kind": "press", "key": key, "channel": "C1", "from": from, "token": token });
        let word = room.tell(press).await;
        assert_eq!(word, "refused: This is not yours to decide.");
    }
    room.tell(helper("b2", "/allow")).await;
    room.vendor
        .until("a word", |view| view.to_string().contains("not yours to decide"))
        .await;
    assert_eq!(room.press(&asking, "Allow", None).await, "taken: Allowed");
    room.vendor.done_with("allowed: rm -rf build").await;
    let shown = room.vendor.standing().len();
    let edit = json!({ "kind": "edited", "key": "e1", "text": "permission rm -rf everything" });
    room.tell(but(helper("b1", ""), edit)).await;
    room.say("p3", "the end").await;
    room.vendor.done_with("the end").await;
    assert_eq!(room.vendor.standing().len(), shown + 1, "{:#?}", room.vendor.standing());
    room.stop().await;
}
