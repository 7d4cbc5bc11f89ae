//! Components that tests load.

/// Holds a websocket and echoes through it; see `echo/src/lib.rs`.
pub const ECHO: &[u8] = include_bytes!(env!("GUEST_ECHO"));
/// Misbehaves as its input says; see `hostile/src/lib.rs`.
pub const HOSTILE: &[u8] = include_bytes!(env!("GUEST_HOSTILE"));
/// Does what a test says, on a platform of plain JSON; see `room/src/lib.rs`.
pub const ROOM: &[u8] = include_bytes!(env!("GUEST_ROOM"));
/// The same, where nothing can be pressed.
pub const MUTE: &[u8] = include_bytes!(env!("GUEST_MUTE"));
/// The smallest adapter with a vendor of its own.
pub const PLAIN: &[u8] = include_bytes!(env!("GUEST_PLAIN"));
