//! Serves the Slack fake and prints where, for clients in other languages. Ends when stdin closes.

use std::io::Read as _;

use botyard_fakes::slack::Slack;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "who started it reads the URL")]
async fn main() {
    let slack = Slack::start().await;
    println!("{}", slack.url());
    let closed = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()).map(|_| ()));
    if let Ok(Err(error)) = closed.await {
        panic!("stdin: {error}");
    }
    slack.stop().await;
}
