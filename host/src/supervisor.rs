//! Starts bots, keeps them apart, stops them.
