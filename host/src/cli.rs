//! The command line: run, check, status, outbox, adapter. The only module that prints.
