//! What the fake takes and refuses.
