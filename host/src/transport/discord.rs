//! Discord: the gateway.

use super::Managed;
use crate::chat::Health;

/// Holds the connection until `managed.stop`.
pub async fn run(managed: Managed) {
    managed.inlet.report(Health::Refused {
        why: "this transport is not there yet".to_owned(),
    });
}
