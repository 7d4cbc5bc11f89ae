//! The guard: whatever a CLI started is gone when the CLI is gone, when it is told to, and when the host is gone.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use botyard::driver::process::{Ended, Process, Program, SpawnError, set_guard_program};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(20);

fn use_our_guard() {
    set_guard_program(PathBuf::from(env!("CARGO_BIN_EXE_botyard")));
}

fn shell(script: &str, folder: &Path) -> Program {
    Program {
        program: "/bin/sh".into(),
        args: vec![OsString::from("-c"), OsString::from(script)],
        env: vec![("PATH".into(), "/usr/bin:/bin".into())],
        folder: folder.to_owned(),
    }
}

async fn start(script: &str, folder: &Path) -> Process {
    use_our_guard();
    timeout(LIMIT, Process::start(shell(script, folder)))
        .await
        .unwrap()
        .unwrap()
}

async fn line(process: &mut Process) -> Option<String> {
    let line = timeout(LIMIT, process.stdout.next()).await.unwrap().unwrap()?;
    Some(String::from_utf8(line.to_vec()).unwrap())
}

async fn ended(process: &mut Process) -> Ended {
    timeout(LIMIT, process.control.ended()).await.unwrap()
}

/// A zombie counts as gone: it only waits for whoever is its parent.
fn alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

async fn wait_until_gone(pids: &[String]) {
    let begin = Instant::now();
    while pids.iter().any(|pid| alive(pid)) {
        assert!(begin.elapsed() < LIMIT, "still there: {pids:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Three descendants that get away from a group kill: another session, a daemon whose parent is gone, and a child of
/// that one which ignores every signal it can. Each says its id.
const RUNAWAYS: &str = r#"
setsid sh -c 'echo $$; exec sleep 1000' &
(setsid sh -c 'echo $$; (trap "" TERM INT HUP; echo $(sh -c "echo \$PPID"); sleep 1000) & exec sleep 1000' &)
"#;

#[tokio::test]
async fn lines_go_both_ways_and_the_exit_code_comes_with_the_end_of_stderr() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"read word; echo "got $word in $PWD"; echo "env: $(env | cut -d= -f1 | sort | tr '\n' ' ')"; echo oops >&2; exit 3"#;
    let mut process = start(script, folder.path()).await;
    process.stdin.as_mut().unwrap().write_all(b"hello\n").await.unwrap();
    assert_eq!(
        line(&mut process).await,
        Some(format!("got hello in {}", folder.path().display()))
    );
    assert_eq!(line(&mut process).await.as_deref(), Some("env: PATH PWD "));
    assert_eq!(line(&mut process).await, None);
    assert_eq!(ended(&mut process).await, Ended::Exited(3));
    process.stderr.closed().await;
    assert_eq!(process.stderr.tail(), "oops");
}

#[tokio::test]
async fn only_the_end_of_a_long_stderr_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let script = "i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i+1)); done; kill -TERM $$";
    let mut process = start(script, folder.path()).await;
    assert_eq!(ended(&mut process).await, Ended::Signalled(15));
    process.stderr.closed().await;
    let tail = process.stderr.tail();
    assert!(
        tail.ends_with("line 2998\nline 2999") && tail.len() <= 8192 && tail.len() > 8000,
        "{}",
        tail.len()
    );
}

#[tokio::test]
async fn a_flood_on_stderr_blocks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    // A pipe holds 64 KiB: who writes more waits for whoever reads.
    let script = "head -c 1000000 /dev/zero | tr '\\0' e >&2; echo done; echo the end >&2";
    let mut process = start(script, folder.path()).await;
    assert_eq!(line(&mut process).await.as_deref(), Some("done"));
    assert_eq!(ended(&mut process).await, Ended::Exited(0));
    process.stderr.closed().await;
    assert!(
        process.stderr.tail().ends_with("eeethe end"),
        "{}",
        process.stderr.tail()
    );
}

#[tokio::test]
async fn a_program_that_is_not_there_or_not_executable_is_named() {
    use_our_guard();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "no program").unwrap();
    let program = |path: &Path| Program {
        program: path.to_owned(),
        ..shell("", folder.path())
    };
    let missing = Process::start(program(&folder.path().join("none"))).await;
    assert!(matches!(missing, Err(SpawnError::NotFound(path)) if path.ends_with("none")));
    let refused = Process::start(program(&file)).await;
    assert!(matches!(refused, Err(SpawnError::NotExecutable(path)) if path == file));
}

#[tokio::test]
async fn a_kill_ends_every_descendant() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = start(&format!("{RUNAWAYS} echo $$; exec sleep 1000"), folder.path()).await;
    let mut pids = Vec::new();
    for _ in 0..4 {
        pids.push(line(&mut process).await.unwrap());
    }
    assert!(pids.iter().all(|pid| alive(pid)), "{pids:?}");
    process.control.kill();
    assert_eq!(ended(&mut process).await, Ended::Signalled(9));
    // Told only once they are gone.
    assert!(!pids.iter().any(|pid| alive(pid)), "{pids:?}");
    assert_eq!(line(&mut process).await, None);
}

#[tokio::test]
async fn what_a_cli_leaves_behind_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = start(&format!("{RUNAWAYS} read go; exit 0"), folder.path()).await;
    let mut pids = Vec::new();
    for _ in 0..3 {
        pids.push(line(&mut process).await.unwrap());
    }
    process.stdin = None;
    assert_eq!(ended(&mut process).await, Ended::Exited(0));
    assert!(!pids.iter().any(|pid| alive(pid)), "{pids:?}");
}

#[tokio::test]
async fn dropping_the_process_ends_every_descendant() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = start(&format!("{RUNAWAYS} exec sleep 1000"), folder.path()).await;
    let mut pids = vec![process.pid.to_string()];
    for _ in 0..3 {
        pids.push(line(&mut process).await.unwrap());
    }
    drop(process);
    wait_until_gone(&pids).await;
}

#[tokio::test]
async fn an_endless_forker_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    // Every process only lives to start the next, each in a session of its own.
    std::fs::write(
        folder.path().join("f.sh"),
        "echo $$ >> pids\nsleep 0.01\nsetsid sh f.sh &\n",
    )
    .unwrap();
    let mut process = start("setsid sh f.sh & echo go; exec sleep 1000", folder.path()).await;
    assert_eq!(line(&mut process).await.as_deref(), Some("go"));
    let file = folder.path().join("pids");
    let count = || std::fs::read_to_string(&file).unwrap_or_default().lines().count();
    let begin = Instant::now();
    while count() < 20 {
        assert!(begin.elapsed() < LIMIT);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    process.control.kill();
    assert_eq!(ended(&mut process).await, Ended::Signalled(9));
    let after = std::fs::read_to_string(&file).unwrap();
    assert!(!after.lines().any(alive));
}

/// The host of the next test: starts the CLI, says its ids, and waits to be killed. It runs as a child process: this
/// test binary again, with that one test named.
#[test]
#[ignore = "run by `killing_the_host_ends_every_descendant`"]
fn host_that_will_be_killed() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut process = start(&format!("{RUNAWAYS} exec sleep 1000"), Path::new("/")).await;
        let mut pids = vec![process.pid.to_string()];
        for _ in 0..3 {
            pids.push(line(&mut process).await.unwrap());
        }
        let file = std::env::current_dir().unwrap().join("pids");
        std::fs::write(file.with_extension("new"), pids.join(" ")).unwrap();
        std::fs::rename(file.with_extension("new"), file).unwrap();
        std::future::pending::<()>().await;
    });
}

#[tokio::test]
async fn killing_the_host_ends_every_descendant() {
    let folder = tempfile::tempdir().unwrap();
    let mut host = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "process::host_that_will_be_killed",
            "--ignored",
            "--nocapture",
        ])
        .current_dir(folder.path())
        .process_group(0)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    let pids = loop {
        assert!(begin.elapsed() < LIMIT);
        if let Ok(text) = std::fs::read_to_string(folder.path().join("pids")) {
            break text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(pids.len(), 4);
    assert!(pids.iter().all(|pid| alive(pid)), "{pids:?}");
    // SIGKILL: nothing of the host runs any more.
    host.kill().unwrap();
    host.wait().unwrap();
    wait_until_gone(&pids).await;
}
