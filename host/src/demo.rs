//! The demo agent: `botyard demo-agent` speaks the stream-json protocol on stdin and stdout, without a model.
