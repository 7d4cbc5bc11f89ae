//! A step that takes a while, in which the CLI listens.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Cli, Stop, spoken};

/// How often it looks whether something came.
const LOOK: Duration = Duration::from_millis(10);

impl Cli {
    /// Its step lasts until a message comes that need not wait for its turn; that is merged behind the step's result.
    pub(super) fn work(&mut self) -> Result<Option<Stop>, String> {
        let (message, call) = (self.start_message(), self.number());
        let input = json!({"command": "make"});
        self.assistant(
            &message,
            &json!({"type": "tool_use", "id": call, "name": "Bash", "input": input}),
        );
        while self.queue.iter().all(|message| message["priority"] == "later") {
            if let Err(stop) = self.wait(Some(LOOK))? {
                return Ok(Some(stop));
            }
        }
        self.tool_result(&call, "done", false);
        let (merged, later) = std::mem::take(&mut self.queue)
            .into_iter()
            .partition::<VecDeque<Value>, _>(|message| message["priority"] != "later");
        self.queue = later;
        let mut said = "worked".to_owned();
        for message in &merged {
            let mut replay = message.clone();
            replay["isReplay"] = json!(true);
            self.say(&json!({"type": "command_lifecycle", "command_uuid": message["uuid"], "state": "started"}));
            self.say(&replay);
            let text = message["message"]["content"][0]["text"].as_str().unwrap_or_default();
            self.history.push(text.to_owned());
            said.push_str(&format!(", and heard: {}", spoken(text)));
        }
        self.answer(&said);
        for message in &merged {
            self.say(&json!({"type": "command_lifecycle", "command_uuid": message["uuid"], "state": "completed"}));
        }
        Ok(None)
    }
}
