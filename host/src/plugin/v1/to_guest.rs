//! The host's words for a guest.

use std::time::Duration;

use super::{account, delivery, interaction, types};
use crate::chat;

/// Milliseconds, at most what the interface can say.
pub(in crate::plugin) fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// Seconds since 1970 of the host's milliseconds.
pub(in crate::plugin) fn unix_time(at: chat::UnixMillis) -> u32 {
    u32::try_from(at.max(0) / 1000).unwrap_or(u32::MAX)
}

pub(in crate::plugin) fn conversation(c: &chat::Conversation) -> types::Conversation {
    types::Conversation {
        tenant: c.tenant.clone(),
        channel: c.channel.clone(),
        thread: c.thread.clone(),
        direct: c.direct,
    }
}

pub(in crate::plugin) fn person(p: &chat::Person) -> types::Person {
    types::Person {
        id: p.id.clone(),
        name: p.name.clone(),
        handle: p.handle.clone(),
        tenant: p.tenant.clone(),
        groups: p.groups.clone(),
        locale: p.locale.clone(),
        bot: p.bot,
    }
}

pub(in crate::plugin) fn file(f: &chat::FileRef) -> types::FileRef {
    types::FileRef {
        id: f.id.clone(),
        name: f.name.clone(),
        media_type: f.media_type.clone(),
        size_bytes: f.size_bytes,
    }
}

pub(in crate::plugin) fn attachment(a: &chat::Attachment) -> types::Attachment {
    types::Attachment {
        name: a.name.clone(),
        media_type: a.media_type.clone(),
        size_bytes: a.size_bytes,
        source: a.source.clone(),
    }
}

pub(in crate::plugin) fn event(e: &chat::Event) -> types::Event {
    types::Event {
        transport: e.transport.clone(),
        name: e.name.clone(),
        method: e.method.clone(),
        query: e.query.clone(),
        headers: e.headers.clone(),
        payload: e.payload.clone(),
        received: unix_time(e.received),
    }
}

pub(in crate::plugin) fn answer(a: chat::Answer) -> types::Answer {
    types::Answer {
        status: a.status,
        headers: a.headers,
        body: a.body,
    }
}

pub(in crate::plugin) fn origin(o: &chat::Origin) -> types::Origin {
    types::Origin {
        key: o.key.clone(),
        conversation: conversation(&o.conversation),
        sender: person(&o.sender),
        sent: o.sent.map(unix_time),
        reply_to: o.reply_to.clone(),
        extra: Vec::new(),
    }
}

fn option_item(o: &chat::OptionItem) -> types::OptionItem {
    types::OptionItem {
        label: o.label.clone(),
        description: o.description.clone(),
        value: o.value.clone(),
    }
}

fn form(f: &chat::Form) -> types::Form {
    let options = |list: &[chat::OptionItem]| list.iter().map(option_item).collect();
    types::Form {
        token: f.token.0.clone(),
        title: f.title.clone(),
        fields: f
            .fields
            .iter()
            .map(|field| types::Field {
                name: field.name.clone(),
                label: field.label.clone(),
                kind: match &field.kind {
                    chat::FieldKind::Line => types::FieldKind::Line,
                    chat::FieldKind::Paragraph => types::FieldKind::Paragraph,
                    chat::FieldKind::OneOf(list) => types::FieldKind::OneOf(options(list)),
                    chat::FieldKind::SomeOf(list) => types::FieldKind::SomeOf(options(list)),
                },
                value: field.value.clone(),
                placeholder: field.placeholder.clone(),
                required: field.required,
            })
            .collect(),
        submit: f.submit.clone(),
    }
}

pub(in crate::plugin) fn verdict(v: &chat::Verdict) -> interaction::Verdict {
    match v {
        chat::Verdict::Taken(text) => interaction::Verdict::Taken(text.clone()),
        chat::Verdict::Refused(text) => interaction::Verdict::Refused(text.clone()),
        chat::Verdict::Open(f) => interaction::Verdict::Open(form(f)),
        chat::Verdict::Later(private) => interaction::Verdict::Later(*private),
        chat::Verdict::Correct(fields) => interaction::Verdict::Correct(fields.clone()),
    }
}

fn step(s: &chat::Step) -> delivery::Step {
    delivery::Step {
        kind: s.kind.clone(),
        title: s.title.clone(),
        detail: s.detail.clone(),
        output: s.output.clone(),
        state: match s.state {
            chat::StepState::Waiting => delivery::StepState::Waiting,
            chat::StepState::Running => delivery::StepState::Running,
            chat::StepState::Done => delivery::StepState::Done,
            chat::StepState::Failed => delivery::StepState::Failed,
            chat::StepState::Denied => delivery::StepState::Denied,
        },
        elapsed_ms: s.elapsed.map(millis),
    }
}

fn ask(a: &chat::Ask) -> delivery::Ask {
    delivery::Ask {
        title: a.title.clone(),
        text: a.text.clone(),
        choices: a
            .choices
            .iter()
            .map(|c| delivery::Choice {
                label: c.label.clone(),
                description: c.description.clone(),
                token: c.token.0.clone(),
                style: match c.style {
                    chat::Style::Plain => delivery::Style::Plain,
                    chat::Style::Primary => delivery::Style::Primary,
                    chat::Style::Danger => delivery::Style::Danger,
                },
            })
            .collect(),
        selection: a.selection.as_ref().map(|s| delivery::Selection {
            token: s.token.0.clone(),
            options: s.options.iter().map(option_item).collect(),
            submit: s.submit.clone(),
        }),
        settled: a.settled.clone(),
    }
}

fn part(p: &chat::Part) -> delivery::Part {
    match p {
        chat::Part::Text(text) => delivery::Part::Text(text.clone()),
        chat::Part::Thinking(text) => delivery::Part::Thinking(text.clone()),
        chat::Part::Step(s) => delivery::Part::Step(step(s)),
        chat::Part::Plan(items) => delivery::Part::Plan(
            items
                .iter()
                .map(|item| delivery::PlanItem {
                    text: item.text.clone(),
                    state: match item.state {
                        chat::PlanState::Pending => delivery::PlanState::Pending,
                        chat::PlanState::Active => delivery::PlanState::Active,
                        chat::PlanState::Done => delivery::PlanState::Done,
                    },
                })
                .collect(),
        ),
        chat::Part::Ask(a) => delivery::Part::Ask(ask(a)),
        chat::Part::File(f) => delivery::Part::File(file(f)),
        chat::Part::Notice(n) => delivery::Part::Notice(delivery::Notice {
            tone: match n.tone {
                chat::Tone::Info => delivery::Tone::Info,
                chat::Tone::Warning => delivery::Tone::Warning,
                chat::Tone::Error => delivery::Tone::Error,
            },
            text: n.text.clone(),
        }),
    }
}

pub(in crate::plugin) fn view(v: &chat::View) -> delivery::View {
    delivery::View {
        turn: v.turn.0.clone(),
        revision: v.revision,
        state: match &v.state {
            chat::ViewState::Waiting(place) => delivery::State::Waiting(*place),
            chat::ViewState::Running => delivery::State::Running,
            chat::ViewState::Asking => delivery::State::Asking,
            chat::ViewState::Done => delivery::State::Done,
            chat::ViewState::Stopped => delivery::State::Stopped,
            chat::ViewState::Failed(text) => delivery::State::Failed(text.clone()),
        },
        blocks: v
            .blocks
            .iter()
            .map(|b| delivery::Block {
                id: b.id,
                parent: b.parent,
                revision: b.revision,
                part: part(&b.part),
                complete: b.complete,
                extra: Vec::new(),
            })
            .collect(),
        stop_token: v.stop_token.as_ref().map(|t| t.0.clone()),
        footer: v.footer.clone(),
        extra: v.extra.clone(),
    }
}

pub(in crate::plugin) fn target(t: &chat::Target, nonce: &str, memory: Option<Vec<u8>>) -> delivery::Target {
    delivery::Target {
        conversation: conversation(&t.conversation),
        reply_to: t.reply_to.clone(),
        private_to: t.private_to.clone(),
        nonce: nonce.to_owned(),
        memory,
    }
}

pub(in crate::plugin) fn command(c: &chat::CommandSpec) -> account::CommandSpec {
    account::CommandSpec {
        name: c.name.clone(),
        description: c.description.clone(),
        argument: c.argument.as_ref().map(|argument| account::Argument {
            name: argument.name.clone(),
            description: argument.description.clone(),
            required: argument.required,
            choices: argument.choices.clone(),
        }),
    }
}

/// What a service of the host's says to the guest that used it.
pub(in crate::plugin) fn error(e: chat::CallError) -> types::Error {
    use chat::CallError as E;
    match e {
        E::RateLimited(after) => types::Error::RateLimited(after.map(millis)),
        E::Unavailable(text) => types::Error::Unavailable(text),
        E::Unauthorized(text) => types::Error::Unauthorized(text),
        E::Gone(text) => types::Error::Gone(text),
        E::TooLarge(limit) => types::Error::TooLarge(limit),
        E::Ambiguous(text) => types::Error::Ambiguous(text),
        E::Rejected(text) => types::Error::Rejected(text),
        E::Malformed(text) => types::Error::Malformed(text),
        other @ (E::Trapped(_) | E::Missing(_)) => types::Error::Unavailable(other.to_string()),
    }
}
