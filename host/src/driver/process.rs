//! The only place that spawns. A CLI is started under a guard: this binary again (`botyard guard`), a subreaper
//! that ends every descendant when it is told to and when the host's end of its pipe closes.

pub mod guard;
