//! Version 1 of the interface: the generated bindings, and everything that turns their words into the host's
//! (`chat`, `manifest`) and back. No behaviour: a later major version gets a module of its own beside this one.

pub(super) mod from_guest;
pub(super) mod manifest;
pub(super) mod to_guest;

pub(super) mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit/v1",
        world: "link-adapter",
        imports: { default: async | trappable },
        exports: { default: async },
    });
}

pub(super) use bindings::botyard::adapter::{crypto, events, files, host, http, link_call, memory, socket, store};
pub(super) use bindings::botyard::adapter::{manifest as manifest_wit, types};
pub(super) use bindings::exports::botyard::adapter::{
    account, attachments, delivery, describe, history, ingress, interaction, link,
};

use wasmtime::Store;
use wasmtime::component::{HasSelf, Instance, InstancePre, Linker};

use super::sandbox::State;

/// `botyard:adapter` of this module.
pub(super) const MAJOR: u32 = 1;
pub(super) const MINOR: u32 = 0;

/// Offers the services to guests.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    bindings::LinkAdapter::add_to_linker::<_, HasSelf<State>>(linker, |state| state)
}

/// Where a component's exports are; what it does not offer is none.
pub(super) struct Exports {
    pub(super) describe: describe::GuestIndices,
    pub(super) ingress: ingress::GuestIndices,
    pub(super) delivery: delivery::GuestIndices,
    pub(super) interaction: Option<interaction::GuestIndices>,
    pub(super) attachments: Option<attachments::GuestIndices>,
    pub(super) account: Option<account::GuestIndices>,
    pub(super) history: Option<history::GuestIndices>,
    pub(super) link: Option<link::GuestIndices>,
}

impl Exports {
    /// Fails with a sentence when something required is missing. `offered`: names of the exported interfaces, without
    /// package and version.
    pub(super) fn find(pre: &InstancePre<State>, offered: &[&str]) -> Result<Self, String> {
        let missing: Vec<_> = ["describe", "ingress", "delivery"]
            .into_iter()
            .filter(|name| !offered.contains(name))
            .map(|name| format!("`botyard:adapter/{name}`"))
            .collect();
        if !missing.is_empty() {
            return Err(format!(
                "it does not export {}, which every adapter must",
                missing.join(", ")
            ));
        }
        let wrong = |name: &str| {
            let name = name.to_owned();
            move |error: wasmtime::Error| {
                format!("its export `botyard:adapter/{name}` is not that of version 1: {error:#}")
            }
        };
        macro_rules! optional {
            ($module:ident, $name:literal) => {
                if offered.contains(&$name) {
                    Some($module::GuestIndices::new(pre).map_err(wrong($name))?)
                } else {
                    None
                }
            };
        }
        Ok(Self {
            describe: describe::GuestIndices::new(pre).map_err(wrong("describe"))?,
            ingress: ingress::GuestIndices::new(pre).map_err(wrong("ingress"))?,
            delivery: delivery::GuestIndices::new(pre).map_err(wrong("delivery"))?,
            interaction: optional!(interaction, "interaction"),
            attachments: optional!(attachments, "attachments"),
            account: optional!(account, "account"),
            history: optional!(history, "history"),
            link: optional!(link, "link"),
        })
    }

    /// Compares every function and its types; until a function is called only its name was.
    ///
    /// # Errors
    /// A sentence that names the first export that is another.
    pub(super) fn compare(&self, store: &mut Store<State>, instance: &Instance) -> Result<(), String> {
        macro_rules! same {
            ($($name:literal: $indices:expr),* $(,)?) => {
                $(if let Some(indices) = $indices {
                    indices
                        .load(&mut *store, instance)
                        .map_err(|error| format!("its export `botyard:adapter/{}` is not that of version 1: {error:#}", $name))?;
                })*
            };
        }
        same!(
            "describe": Some(&self.describe),
            "ingress": Some(&self.ingress),
            "delivery": Some(&self.delivery),
            "interaction": self.interaction.as_ref(),
            "attachments": self.attachments.as_ref(),
            "account": self.account.as_ref(),
            "history": self.history.as_ref(),
            "link": self.link.as_ref(),
        );
        Ok(())
    }
}
