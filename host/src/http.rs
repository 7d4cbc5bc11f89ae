//! The host's own port: webhooks, health, the local web chat. The only module that names axum.
