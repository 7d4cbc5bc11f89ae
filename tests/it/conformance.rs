//! The adapter of each platform that has a fake in the suite passes what `botyard adapter test` runs for
//! anybody's; one that breaks its promises does not.

use std::collections::BTreeMap;
use std::path::Path;

use botyard::conformance::{self, ConformanceError, Finding, Plan, Verdict};
use botyard::plugin::Runtime;
use botyard::supervisor;
use tokio::runtime::Handle;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::host::PATIENCE;

/// The whole suite of a platform, in a folder.
async fn plan(adapter: &str, platform: &str, folder: &Path) -> Plan {
    let runtime = Runtime::new(&folder.join("cache")).expect("a runtime");
    let component = supervisor::load(&runtime, adapter).await.expect("it loads");
    Plan {
        runtime,
        component,
        platform: platform.to_owned(),
        mode: None,
        secrets: BTreeMap::new(),
        settings: BTreeMap::new(),
        only: None,
        folder: folder.join("suite"),
    }
}

async fn suite(adapter: &str, platform: &str, mode: Option<&str>) -> Vec<Finding> {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = Plan {
        mode: mode.map(str::to_owned),
        ..plan(adapter, platform, folder.path()).await
    };
    conformance::run(plan, |_| {}).await.expect("the suite runs")
}

fn failures(findings: &[Finding]) -> Vec<String> {
    let failed = |finding: &Finding| match &finding.verdict {
        Verdict::Failed(why) => Some(format!("{}: {why}", finding.scenario)),
        Verdict::Passed | Verdict::NotApplicable(_) => None,
    };
    findings.iter().filter_map(failed).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slack_keeps_every_promise() {
    let findings = suite("slack", "slack", None).await;
    assert_eq!(failures(&findings), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slack_keeps_every_promise_over_its_sockets() {
    let findings = suite("slack", "slack", Some("socket")).await;
    assert_eq!(failures(&findings), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn discord_keeps_every_promise() {
    let findings = suite("discord", "discord", None).await;
    assert_eq!(failures(&findings), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn discord_keeps_every_promise_where_it_is_called() {
    let findings = suite("discord", "discord", Some("interactions")).await;
    assert_eq!(failures(&findings), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn feishu_keeps_every_promise() {
    let findings = suite("feishu", "feishu", None).await;
    assert_eq!(failures(&findings), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn feishu_keeps_every_promise_over_its_own_connection() {
    let findings = suite("feishu", "feishu", Some("connection")).await;
    assert_eq!(failures(&findings), Vec::<String>::new());
}

#[tokio::test]
async fn an_adapter_that_is_none_of_the_platform_fails_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("plain.wasm");
    std::fs::write(&file, botyard_test_guests::PLAIN).expect("it is written");
    let findings = suite(&file.display().to_string(), "slack", None).await;
    let named = failures(&findings);
    assert!(
        named
            .iter()
            .any(|line| line.starts_with("a short answer stands there once: ")),
        "{named:#?}"
    );
}

#[tokio::test]
async fn adapter_that_does_not_connect_leaves_nothing_running() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = Plan {
        mode: Some("socket".to_owned()),
        // Slack takes another kind of token there.
        secrets: BTreeMap::from([("app_token".to_owned(), "bot_token".to_owned())]),
        ..plan("slack", "slack", folder.path()).await
    };
    let tasks = Handle::current().metrics();
    let before = tasks.num_alive_tasks();
    let ended = conformance::run(plan, |_| {}).await;
    assert!(
        matches!(&ended, Err(ConformanceError::Start(why)) if why.contains("Socket Mode")),
        "{ended:?}"
    );
    // What was only told to end does so when its turn comes.
    let rest = async {
        while tasks.num_alive_tasks() > before {
            yield_now().await;
        }
    };
    let rest = timeout(PATIENCE, rest).await;
    assert!(rest.is_ok(), "{} tasks are left of {before}", tasks.num_alive_tasks());
}
