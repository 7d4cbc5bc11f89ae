//! Who may talk, and who may decide. Nobody is served who was not let in.

mod pace;

use crate::chat::{Conversation, Person};
use crate::config::{BotConfig, Refuse};

pub use pace::{PerUserPace, RefusalPace};

/// Whether a person may talk to a bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Allowed,
    /// `say`: they may be told so, if they were not told lately.
    Refused {
        say: bool,
    },
}

/// May this person talk to the bot here? By `allow`: person ids, `group:NAME`, `tenant:ID`, `*`; empty means nobody.
/// Another bot only by its own id, and it is never told anything: two bots that answer each other never end.
pub fn admit(config: &BotConfig, person: &Person, conversation: &Conversation) -> Admission {
    let tenant = person.tenant.as_deref().or(conversation.tenant.as_deref());
    if listed(&config.allow, person, tenant) {
        return Admission::Allowed;
    }
    Admission::Refused {
        say: !person.bot && config.refuse == Refuse::Politely,
    }
}

/// May this person decide what `asker` asked for? The asker, if the bot says so: they were let in when they asked (a
/// press often tells less of a person than a message, so groups are not asked for again). And whoever `approvers`
/// names.
pub fn may_decide(config: &BotConfig, asker: &str, person: &Person) -> bool {
    let asked = !person.bot && !asker.is_empty() && person.id == asker;
    (config.asker_approves && asked) || listed(&config.approvers, person, person.tenant.as_deref())
}

fn listed(words: &[String], person: &Person, tenant: Option<&str>) -> bool {
    words.iter().any(|word| {
        let by_id = !person.id.is_empty() && *word == person.id;
        if person.bot || by_id {
            return by_id;
        }
        if let Some(group) = word.strip_prefix("group:") {
            person.groups.iter().any(|one| one == group)
        } else if let Some(id) = word.strip_prefix("tenant:") {
            tenant == Some(id)
        } else {
            word == "*"
        }
    })
}

#[cfg(test)]
mod tests;
