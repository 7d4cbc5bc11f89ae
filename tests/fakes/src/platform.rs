//! What a suite needs of any vendor: to act as a person does, to read as a person reads, and to make it misbehave.
//! Each fake that an adapter is tested against has one; the suite itself knows no vendor.

mod discord;
mod feishu;
mod slack;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::watch;

pub use discord::DiscordPlatform;
pub use feishu::FeishuPlatform;
pub use slack::SlackPlatform;

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where a person speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Alone with the bot.
    Direct,
    /// A room with others, the bot among them.
    Channel,
    /// The thread of this message in that room.
    Thread(String),
}

/// Who acts. The bot's other self is for what it must not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    Person,
    /// Another program.
    OtherBot,
    /// The bot itself, as the platform tells of its own messages.
    Itself,
}

/// What somebody does. `message` is the vendor's id of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    Say {
        place: Place,
        by: Actor,
        text: String,
        /// The bot is named in it, as people name it there.
        mention: bool,
        /// Name and bytes of files that hang on it.
        files: Vec<(String, Vec<u8>)>,
    },
    /// The vendor sends its last event once more, as it does when it heard no answer.
    Again,
    Edit {
        place: Place,
        message: String,
        text: String,
    },
    Delete {
        place: Place,
        message: String,
    },
    /// A thumb down on a message.
    React {
        place: Place,
        message: String,
    },
    /// A button of the newest message that has one with this token.
    Press {
        place: Place,
        token: String,
    },
    /// Fills the form that was opened last, by the names of its fields, and sends it.
    Submit {
        place: Place,
        values: Vec<(String, String)>,
    },
    /// A command of the platform's own, where it has them: the name without a slash.
    Command {
        place: Place,
        name: String,
        arguments: String,
    },
    /// An event of a kind that nobody knows yet, and one that breaks off in the middle.
    Noise,
}

/// What came of an act.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Acted {
    /// The vendor's id of what was said.
    pub message: Option<String>,
    /// The platform has no such thing.
    pub impossible: bool,
    /// Some event was not acknowledged as the vendor wants it.
    pub refused: Option<String>,
}

/// A message of the bot's as it stands there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub id: String,
    /// Everything that a person reads, in order; what formatting hides is not in it.
    pub text: String,
    /// Label and token of what can be pressed.
    pub buttons: Vec<(String, String)>,
    /// Whom it calls: ids of persons, or names of groups (`everyone`).
    pub pings: Vec<String>,
    /// Only this person sees it.
    pub whispered: bool,
}

/// How one call of the adapter's goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Refused for this long, as the vendor does; nothing is done.
    RateLimited(Duration),
    /// A server error; nothing is done.
    Failing,
    /// It is done, then a server error is answered.
    FailingAfter,
    /// The connection is cut; nothing is done.
    CutBefore,
    /// It is done, and the connection is cut.
    CutAfter,
    /// It is done, and the answer never comes.
    Hanging,
}

/// A vendor, with one bot, one person and one room.
pub trait Platform: Send + Sync {
    /// What belongs into `api_base`.
    fn api_base(&self) -> String;
    /// By the names of the built-in adapter.
    fn secrets(&self) -> Vec<(&'static str, String)>;
    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
    /// Origins besides the api-base, to be granted.
    fn hosts(&self) -> Vec<String> {
        Vec::new()
    }
    /// The built-in adapter's mode that the suite runs in; none: its first.
    fn mode(&self) -> Option<&'static str> {
        None
    }
    /// Where this bot's webhooks are taken: without a trailing slash.
    fn attach(&self, hook: &str);
    /// The next event is held back until the one after it went; it counts as answered then.
    fn hold_next(&self);
    /// Comes back when the vendor has its answer, or does not wait for one.
    fn act<'a>(&'a self, act: Act) -> BoxFuture<'a, io::Result<Acted>>;
    /// The bot's messages in that place, oldest first.
    fn seen(&self, place: &Place) -> Vec<Seen>;
    /// Files that the bot gave: name and bytes.
    fn files(&self) -> Vec<(String, Vec<u8>)>;
    /// The names of the fields of the form that was opened last.
    fn form(&self) -> Option<Vec<String>>;
    /// Calls that the adapter made so far: those that faults count.
    fn calls(&self) -> usize;
    /// The `nth` call from now on (1 is the next) goes wrong.
    fn fault(&self, nth: usize, fault: Fault);
    /// What was to go wrong and did not is forgotten; what hangs is answered or cut. True: all of it went wrong.
    fn heal(&self) -> bool;
    /// The bot's credentials are refused from now on.
    fn revoke(&self);
    /// Somebody else removes this message of the bot's.
    fn remove(&self, place: &Place, message: &str);
    /// Rises when something happened.
    fn changes(&self) -> watch::Receiver<u64>;
}
