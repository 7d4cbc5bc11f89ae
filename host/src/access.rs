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

/// It is a program: the platform says so, or the operator.
pub fn is_bot(config: &BotConfig, person: &Person) -> bool {
    person.bot || config.allow_bots.contains(&person.id)
}

/// May this person talk to the bot here? By `allow`: person ids, `group:NAME`, `tenant:ID`, `*`; empty means nobody.
/// Another bot only by `allow_bots`, and it is never told that it may not: two bots that answer each other never end.
pub fn admit(config: &BotConfig, person: &Person, conversation: &Conversation) -> Admission {
    let bot = is_bot(config, person);
    let tenant = person.tenant.as_deref().or(conversation.tenant.as_deref());
    let allowed = if bot {
        !person.id.is_empty() && config.allow_bots.contains(&person.id)
    } else {
        listed(&config.allow, person, tenant)
    };
    if allowed {
        return Admission::Allowed;
    }
    Admission::Refused {
        say: !bot && config.refuse == Refuse::Politely,
    }
}

/// May this person decide what `asker` asked for? The asker, if the bot says so: they were let in when they asked (a
/// press often tells less of a person than a message, so groups are not asked for again). And whoever `approvers`
/// names. Never a program.
pub fn may_decide(config: &BotConfig, asker: &str, person: &Person) -> bool {
    let asked = !asker.is_empty() && person.id == asker;
    let may = (config.asker_approves && asked) || listed(&config.approvers, person, person.tenant.as_deref());
    may && !is_bot(config, person)
}

fn listed(words: &[String], person: &Person, tenant: Option<&str>) -> bool {
    words.iter().any(|word| {
        if !person.id.is_empty() && *word == person.id {
            true
        } else if let Some(group) = word.strip_prefix("group:") {
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
