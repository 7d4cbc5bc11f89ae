//! What an adapter in Rust is written with: the interface's types, the host's services, a trait with defaults, and
//! [`export!`].
//!
//! Implement [`Adapter`] for a unit struct and export it; with a connection of its own, implement [`Link`] too and
//! use [`export_link!`]. Off wasm the macros expand to nothing, so that an adapter's pure parts are tested with
//! plain `cargo test`.

pub mod bounds;
pub mod digest;
pub mod http;
pub mod json;
pub mod link;
pub mod split;

/// Everything generated from `wit/v1`.
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/v1",
        world: "adapter",
        pub_export_macro: true,
        export_macro_name: "export_adapter_world",
        default_bindings_module: "botyard_sdk::bindings",
        additional_derives: [PartialEq],
    });

    /// What a link has besides.
    pub mod linked {
        wit_bindgen::generate!({
            inline: "package botyard:sdk;
                world linked {
                    import botyard:adapter/socket@1.0.0;
                    import botyard:adapter/events@1.0.0;
                    import botyard:adapter/link-call@1.0.0;
                    export botyard:adapter/link@1.0.0;
                }",
            path: "../../wit/v1",
            world: "botyard:sdk/linked",
            generate_all,
            pub_export_macro: true,
            export_macro_name: "export_linked_world",
            default_bindings_module: "botyard_sdk::bindings::linked",
            additional_derives: [PartialEq],
            with: {
                "botyard:adapter/types@1.0.0": crate::bindings::botyard::adapter::types,
                "botyard:adapter/manifest@1.0.0": crate::bindings::botyard::adapter::manifest,
            },
        });
    }
}

/// What `describe` answers.
pub use bindings::botyard::adapter::manifest;
/// Shared records: conversations, persons, events, errors.
pub use bindings::botyard::adapter::types;
/// Services of the host.
pub use bindings::botyard::adapter::{crypto, files, host, http as raw_http, memory, store};
/// What ingress, interaction, delivery, account and history exchange with the host.
pub use bindings::exports::botyard::adapter::{
    account, attachments, delivery, describe, history, ingress, interaction,
};
/// Services for links.
pub use bindings::linked::botyard::adapter::{events, link_call, socket};

pub use serde_json;

use manifest::About;
use types::{Answer, Attachment, Conversation, Error, Event, FileRef, Origin, Person};

/// An adapter: stateless, every call comes in a fresh instance.
pub trait Adapter {
    /// What it is and what it needs; without any service.
    fn describe() -> About;

    /// One raw event into items. No http.
    fn translate(event: Event) -> Result<ingress::Translated, Error>;

    /// Shows the view: posts what is not there yet, changes what is.
    fn show(view: delivery::View, target: delivery::Target) -> Result<Option<u32>, Error>;

    /// The immediate word to whoever pressed. None: what `translate` answered stands.
    fn respond(_to: Origin, _verdict: interaction::Verdict) -> Result<Option<Answer>, Error> {
        Ok(None)
    }

    /// Brings a file of the vendor's into the host's keeping.
    fn fetch(_attachment: Attachment) -> Result<FileRef, Error> {
        Err(Error::Rejected("this adapter takes no files".into()))
    }

    /// Who the bot itself is.
    fn me() -> Result<Person, Error>;

    /// What of tokens, scopes and subscriptions is missing.
    fn check() -> Result<Vec<account::Finding>, Error> {
        Ok(Vec::new())
    }

    /// Once per start: commands, webhook URLs.
    fn announce(_commands: Vec<account::CommandSpec>) -> Result<(), Error> {
        Ok(())
    }

    /// A person's name and locale.
    fn who(id: String, _conversation: Conversation) -> Result<Person, Error> {
        Err(Error::Gone(format!("`{id}` is not known")))
    }

    /// What was said before, oldest first.
    fn before(
        _conversation: Conversation,
        _message: Option<String>,
        _at_most: u32,
    ) -> Result<Vec<history::Said>, Error> {
        Ok(Vec::new())
    }
}

/// An adapter that holds a connection of its own.
pub trait Link: Adapter {
    /// Runs until the host says stop. When it returns, the host starts it again by its back-off.
    fn run() -> Result<(), Error>;
}

/// Exports an [`Adapter`] as the component.
#[macro_export]
macro_rules! export {
    ($adapter:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Exported;
            use $crate::bindings::exports::botyard::adapter as e;
            use $crate::types as t;
            impl e::describe::Guest for Exported {
                fn describe() -> $crate::manifest::About {
                    <$adapter as $crate::Adapter>::describe()
                }
            }
            impl e::ingress::Guest for Exported {
                fn translate(event: t::Event) -> Result<e::ingress::Translated, t::Error> {
                    <$adapter as $crate::Adapter>::translate(event)
                }
            }
            impl e::delivery::Guest for Exported {
                fn show(view: e::delivery::View, target: e::delivery::Target) -> Result<Option<u32>, t::Error> {
                    <$adapter as $crate::Adapter>::show(view, target)
                }
            }
            impl e::interaction::Guest for Exported {
                fn respond(to: t::Origin, verdict: e::interaction::Verdict) -> Result<Option<t::Answer>, t::Error> {
                    <$adapter as $crate::Adapter>::respond(to, verdict)
                }
            }
            impl e::attachments::Guest for Exported {
                fn fetch(attachment: t::Attachment) -> Result<t::FileRef, t::Error> {
                    <$adapter as $crate::Adapter>::fetch(attachment)
                }
            }
            impl e::account::Guest for Exported {
                fn me() -> Result<t::Person, t::Error> {
                    <$adapter as $crate::Adapter>::me()
                }
                fn check() -> Result<Vec<e::account::Finding>, t::Error> {
                    <$adapter as $crate::Adapter>::check()
                }
                fn announce(commands: Vec<e::account::CommandSpec>) -> Result<(), t::Error> {
                    <$adapter as $crate::Adapter>::announce(commands)
                }
                fn who(id: String, conversation: t::Conversation) -> Result<t::Person, t::Error> {
                    <$adapter as $crate::Adapter>::who(id, conversation)
                }
            }
            impl e::history::Guest for Exported {
                fn before(
                    conversation: t::Conversation,
                    message: Option<String>,
                    at_most: u32,
                ) -> Result<Vec<e::history::Said>, t::Error> {
                    <$adapter as $crate::Adapter>::before(conversation, message, at_most)
                }
            }
    $crate::bindings::export_adapter_world!(Exported with_types_in $crate::bindings);
        };
    };
}

/// Exports a [`Link`] (and so an [`Adapter`]) as the component.
#[macro_export]
macro_rules! export_link {
    ($adapter:ty) => {
        $crate::export!($adapter);
        #[cfg(target_family = "wasm")]
        const _: () = {
            struct ExportedLink;
            impl $crate::bindings::linked::exports::botyard::adapter::link::Guest for ExportedLink {
                fn run() -> Result<(), $crate::types::Error> {
                    <$adapter as $crate::Link>::run()
                }
            }
    $crate::bindings::linked::export_linked_world!(ExportedLink with_types_in $crate::bindings::linked);
        };
    };
}
