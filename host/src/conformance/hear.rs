//! What people do, and what the adapter makes of it.

use botyard_fakes::platform::{Act, Actor, Place};

use super::bench::{Bench, say, says};
use super::{Outcome, failed, not_applicable};
use crate::chat::{Item, Message, Part, ViewState, What};
use crate::manifest::Ability;

fn messages(items: &[Item]) -> Vec<(&Item, &Message)> {
    let told = items.iter().filter_map(|item| match &item.what {
        What::Message(message) => Some((item, message)),
        _ => None,
    });
    told.collect()
}

pub(super) async fn direct(bench: &Bench) -> Outcome {
    let Some((acted, items)) = bench.heard(say(Place::Direct, "hello there, bot")).await? else {
        return not_applicable("nobody speaks to a bot alone here");
    };
    let [(item, message)] = messages(&items)[..] else {
        return failed(format!("one message was said, and these items came: {items:?}"));
    };
    if !says(message, "hello there, bot") {
        return failed(format!("it reads `{}`", message.text));
    }
    if !item.origin.conversation.direct {
        return failed("the conversation is not `direct`");
    }
    if acted.message.is_some_and(|id| id != message.id) {
        return failed(format!("the message's id is `{}`", message.id));
    }
    if item.origin.sender.bot || item.origin.sender.id.is_empty() {
        return failed(format!("the sender is {:?}", item.origin.sender));
    }
    Ok(())
}

pub(super) async fn mention(bench: &Bench) -> Outcome {
    let act = Act::Say {
        place: Place::Channel,
        by: Actor::Person,
        text: "please look at this".to_owned(),
        mention: true,
        files: Vec::new(),
    };
    let Some((_, items)) = bench.heard(act).await? else {
        return not_applicable("there are no rooms");
    };
    let [(item, message)] = messages(&items)[..] else {
        return failed(format!("one message was said, and these items came: {items:?}"));
    };
    if !says(message, "please look at this") {
        return failed(format!("it reads `{}`", message.text));
    }
    if !message.addressed || item.origin.conversation.direct {
        return failed(format!(
            "addressed: {}, direct: {}",
            message.addressed, item.origin.conversation.direct
        ));
    }
    Ok(())
}

pub(super) async fn overheard(bench: &Bench) -> Outcome {
    let Some((_, items)) = bench.heard(say(Place::Channel, "not for you")).await? else {
        return not_applicable("there are no rooms");
    };
    match messages(&items).iter().find(|(_, message)| message.addressed) {
        Some(_) => failed("it is told as said to the bot"),
        None => Ok(()),
    }
}

pub(super) async fn again(bench: &Bench) -> Outcome {
    let first = bench.heard(say(Place::Direct, "said once")).await?;
    let Some((_, first)) = first else {
        return not_applicable("nobody speaks to a bot alone here");
    };
    let acted = bench.act(say(Place::Direct, "said twice")).await?;
    let Some((_, second)) = bench.heard(Act::Again).await? else {
        return not_applicable("the vendor sends nothing twice");
    };
    let twice: Vec<_> = messages(&second)
        .into_iter()
        .filter(|(_, message)| acted.message.as_ref().is_none_or(|id| message.id == *id))
        .collect();
    if twice.len() != 1 {
        return failed(format!("what came twice has {} keys", twice.len()));
    }
    let first = messages(&first);
    match first.first() {
        Some((item, _)) if item.origin.key != twice[0].0.origin.key => Ok(()),
        _ => failed("two messages have the same key"),
    }
}

pub(super) async fn programs(bench: &Bench) -> Outcome {
    for by in [Actor::Itself, Actor::OtherBot] {
        for place in [Place::Direct, Place::Channel] {
            let act = Act::Say {
                place,
                by,
                text: "I am a program".to_owned(),
                mention: by == Actor::OtherBot,
                files: Vec::new(),
            };
            let Some((_, items)) = bench.heard(act).await? else {
                continue;
            };
            if messages(&items).iter().any(|(item, _)| !item.origin.sender.bot) {
                return failed(format!("what {by:?} said is told as a person's"));
            }
        }
    }
    Ok(())
}

pub(super) async fn noise(bench: &Bench) -> Outcome {
    let before = bench.adapter.failures().0;
    let Some((_, items)) = bench.heard(Act::Noise).await? else {
        return not_applicable("the platform cannot make any");
    };
    let (after, last) = bench.adapter.failures();
    if after != before {
        return failed(format!("it traps: {}", last.unwrap_or_default()));
    }
    match items.iter().find(|item| !matches!(item.what, What::Other(_))) {
        Some(item) => failed(format!("it was taken for {item:?}")),
        None => Ok(()),
    }
}

pub(super) async fn changes(bench: &Bench) -> Outcome {
    let Some((acted, items)) = bench.heard(say(Place::Direct, "first words")).await? else {
        return not_applicable("nobody speaks to a bot alone here");
    };
    let [(_, said)] = messages(&items)[..] else {
        return failed("a message was not heard");
    };
    let id = acted.message.unwrap_or_else(|| said.id.clone());
    let mut possible = 0;
    let edit = Act::Edit {
        place: Place::Direct,
        message: id.clone(),
        text: "second words".to_owned(),
    };
    if let Some((_, items)) = bench.heard(edit).await? {
        possible += 1;
        let right = |item: &Item| matches!(&item.what, What::Edited(now) if now.id == id && says(now, "second words"));
        if items.len() != 1 || !items.iter().all(right) {
            return failed(format!("an edit is told as {items:?}"));
        }
    }
    let delete = Act::Delete {
        place: Place::Direct,
        message: id.clone(),
    };
    if let Some((_, items)) = bench.heard(delete).await? {
        possible += 1;
        if items.len() != 1 || !items.iter().all(|item| item.what == What::Deleted(id.clone())) {
            return failed(format!("a deletion is told as {items:?}"));
        }
    }
    if bench.can(Ability::Reactions) {
        let mut reply = bench.asked(Place::Direct).await?;
        reply
            .parts(bench, ViewState::Done, vec![Part::Text("an answer".to_owned())])
            .await?;
        let posted = bench.platform.seen(&reply.place).pop();
        let Some(posted) = posted else {
            return failed("an answer is not there");
        };
        let react = Act::React {
            place: reply.place.clone(),
            message: posted.id.clone(),
        };
        if let Some((_, items)) = bench.heard(react).await? {
            possible += 1;
            let right = |item: &Item| matches!(&item.what, What::Reacted(r) if r.id == posted.id && r.added);
            if items.len() != 1 || !items.iter().all(right) {
                return failed(format!("a reaction is told as {items:?}"));
            }
        }
    }
    if possible == 0 {
        return not_applicable("the platform tells of none of them");
    }
    Ok(())
}

/// Vendors promise no order: whoever deletes or edits at once may be heard first. The host puts it right by the message's
/// id and channel, so they must be told alike.
pub(super) async fn overtaken(bench: &Bench) -> Outcome {
    let mut possible = 0;
    for edits in [true, false] {
        bench.platform.hold_next();
        let said = bench.act(say(Place::Direct, "first words")).await?;
        let Some(message) = said.message else {
            return not_applicable("what is said here has no id");
        };
        let act = if edits {
            Act::Edit {
                place: Place::Direct,
                message,
                text: "second words".to_owned(),
            }
        } else {
            Act::Delete {
                place: Place::Direct,
                message,
            }
        };
        // Where there is no such thing, what ends the scene overtakes it.
        let Some((_, items)) = bench.heard(act).await? else {
            continue;
        };
        possible += 1;
        let told: Vec<&What> = items.iter().map(|item| &item.what).collect();
        let right = match told[..] {
            [What::Edited(_), What::Message(_)] => edits,
            [What::Deleted(_), What::Message(_)] => !edits,
            _ => false,
        };
        if !right {
            return failed(format!("a message after its change is told as {items:?}"));
        }
        let stored = match bench.stored(items).await {
            Ok(stored) => stored,
            Err(error) => return failed(format!("our own store: {error}")),
        };
        let last = stored.last();
        let stands = last.filter(|one| one.fresh).map(|one| &one.item.what);
        let right = match stands {
            Some(What::Message(message)) => edits && says(message, "second words"),
            _ => !edits,
        };
        if !right {
            return failed(format!("the change is not of its message: {stored:?}"));
        }
    }
    if possible == 0 {
        return not_applicable("the platform tells of neither");
    }
    Ok(())
}

pub(super) async fn command(bench: &Bench) -> Outcome {
    if !bench.can(Ability::Commands) {
        return not_applicable("it does not claim `commands`");
    }
    let act = Act::Command {
        place: Place::Direct,
        name: "status".to_owned(),
        arguments: String::new(),
    };
    let Some((_, items)) = bench.heard(act).await? else {
        return not_applicable("the platform has no commands");
    };
    let right = |item: &Item| match &item.what {
        What::Command(command) => command.name == "status" || command.arguments.trim() == "status",
        _ => false,
    };
    if items.len() == 1 && items.iter().all(right) {
        Ok(())
    } else {
        failed(format!("it is told as {items:?}"))
    }
}

pub(super) async fn file(bench: &Bench) -> Outcome {
    if !bench.can(Ability::FilesIn) || !bench.adapter.offers().attachments {
        return not_applicable("it does not claim `files-in`");
    }
    let bytes: Vec<u8> = (0..70_000u32).map(|n| n.to_le_bytes()[0] ^ 0x5a).collect();
    let act = Act::Say {
        place: Place::Direct,
        by: Actor::Person,
        text: "look at this".to_owned(),
        mention: false,
        files: vec![("table.bin".to_owned(), bytes.clone())],
    };
    let Some((_, items)) = bench.heard(act).await? else {
        return not_applicable("nobody sends files here");
    };
    let attached: Vec<_> = messages(&items)
        .iter()
        .flat_map(|(_, message)| message.attachments.clone())
        .collect();
    let [attachment] = &attached[..] else {
        return failed(format!("{} attachments are told", attached.len()));
    };
    let file = match bench.adapter.fetch(attachment).await {
        Ok(file) => file,
        Err(error) => return failed(format!("it cannot be fetched: {error}")),
    };
    let kept = bench.adapter.files().path(&file.id).ok().map(std::fs::read);
    match kept {
        Some(Ok(kept)) if kept == bytes => Ok(()),
        Some(Ok(kept)) => failed(format!("{} bytes of {} arrived, or others", kept.len(), bytes.len())),
        _ => failed("the file is not there"),
    }
}
