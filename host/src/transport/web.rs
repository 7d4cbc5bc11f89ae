//! The managed transport `web`: it is the vendor of the local web chat. Keeps its messages, streams them to the
//! page, takes what people type and press, and offers the API that the adapter `web` posts to.
