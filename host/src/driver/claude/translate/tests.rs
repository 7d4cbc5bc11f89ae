//! Recorded lines (shortened) and what becomes of them.
