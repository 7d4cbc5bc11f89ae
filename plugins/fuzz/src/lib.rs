//! What the targets have in common: an event of any bytes, and what must hold of whatever is made of it.

use botyard_sdk::bounds::fits;
use botyard_sdk::ingress::Translated;
use botyard_sdk::types::{Error, Event};

/// A way in which an adapter hears.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    pub transport: &'static str,
    /// Of the event, or of the webhook's route.
    pub name: &'static str,
    pub headers: &'static [(&'static str, &'static str)],
}

/// The first byte, from `0`, says in which of these ways the others come. None: there is no byte.
pub fn event(ways: &[Way], data: &[u8]) -> Option<Event> {
    let (first, payload) = data.split_first()?;
    let way = ways[usize::from(first.wrapping_sub(b'0')) % ways.len()];
    let headers = way.headers.iter();
    Some(Event {
        transport: way.transport.into(),
        name: way.name.into(),
        method: "POST".into(),
        query: String::new(),
        headers: headers
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        payload: payload.to_vec(),
        received: 1_800_000_000,
    })
}

/// Whatever comes is an event that can be read, or is refused by name; and the host takes every item.
///
/// # Panics
/// It is not so.
pub fn hold(made: Result<Translated, Error>) {
    match made {
        Ok(translated) => {
            for item in &translated.items {
                assert!(fits(item), "{item:?}");
            }
        }
        Err(Error::Malformed(_) | Error::Unauthorized(_)) => {}
        Err(error) => panic!("{error:?}"),
    }
}
