//! One bot: the only place where adapter and session meet.
