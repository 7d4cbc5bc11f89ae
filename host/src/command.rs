//! The table of what people can say to the host itself: new, stop, status, help.
