//! The host's side of every import: checks the export's grant, turns words, asks the part of the host that does it.

mod crypto;
mod http;
mod link;
mod own;

use super::sandbox::State;
use super::v1;

impl v1::types::Host for State {}
impl v1::manifest_wit::Host for State {}
