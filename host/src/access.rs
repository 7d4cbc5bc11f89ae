//! Who may talk, and who may decide. Nobody is served who was not let in.
