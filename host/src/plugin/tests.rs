//! The sandbox as a whole.
