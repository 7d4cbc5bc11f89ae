//! What arrived: stored before it is acknowledged, once by key, worked on after.
