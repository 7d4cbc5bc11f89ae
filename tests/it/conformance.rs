//! The adapter of each platform that has a fake in the suite, so far Slack's, passes what `botyard adapter test` runs for
//! anybody's; one that breaks its promises does not.

use std::collections::BTreeMap;

use botyard::conformance::{self, Finding, Plan, Verdict};
use botyard::plugin::Runtime;
use botyard::supervisor;

async fn suite(adapter: &str, platform: &str, mode: Option<&str>) -> Vec<Finding> {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = Runtime::new(&folder.path().join("cache")).expect("a runtime");
    let component = supervisor::load(&runtime, adapter).await.expect("it loads");
    let plan = Plan {
        runtime,
        component,
        platform: platform.to_owned(),
        mode: mode.map(str::to_owned),
        secrets: BTreeMap::new(),
        settings: BTreeMap::new(),
        only: None,
        folder: folder.path().join("suite"),
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
