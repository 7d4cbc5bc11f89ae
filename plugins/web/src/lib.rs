//! A link adapter for tests.
use botyard_sdk::{Adapter, delivery, ingress, manifest::*, types::*};
#[derive(Debug)]
pub struct Echo;
impl Adapter for Echo {
    fn describe() -> About {
        unimplemented!()
    }
    fn translate(_e: Event) -> Result<ingress::Translated, Error> {
        Err(Error::Gone(String::new()))
    }
    fn show(_v: delivery::View, _t: delivery::Target) -> Result<Option<u32>, Error> {
        Ok(None)
    }
    fn me() -> Result<Person, Error> {
        Err(Error::Gone(String::new()))
    }
}
botyard_sdk::export!(Echo);
