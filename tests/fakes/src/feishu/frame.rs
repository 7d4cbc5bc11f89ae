//! A frame of the long connection: `pbbp2.Frame`, as both official SDKs have it (@larksuiteoapi/node-sdk 1.74.0,
//! lark-oapi 1.7.5).

use prost::Message;

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Header {
    #[prost(string, required, tag = "1")]
    pub(crate) key: String,
    #[prost(string, required, tag = "2")]
    pub(crate) value: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Frame {
    #[prost(uint64, required, tag = "1")]
    pub(crate) seq_id: u64,
    #[prost(uint64, required, tag = "2")]
    pub(crate) log_id: u64,
    #[prost(int32, required, tag = "3")]
    pub(crate) service: i32,
    #[prost(int32, required, tag = "4")]
    pub(crate) method: i32,
    #[prost(message, repeated, tag = "5")]
    pub(crate) headers: Vec<Header>,
    #[prost(string, optional, tag = "6")]
    pub(crate) payload_encoding: Option<String>,
    #[prost(string, optional, tag = "7")]
    pub(crate) payload_type: Option<String>,
    #[prost(bytes = "vec", optional, tag = "8")]
    pub(crate) payload: Option<Vec<u8>>,
    #[prost(string, optional, tag = "9")]
    pub(crate) log_id_new: Option<String>,
}

impl Frame {
    pub(crate) fn header(&self, key: &str) -> &str {
        let mut all = self.headers.iter();
        all.find(|header| header.key == key)
            .map_or("", |header| header.value.as_str())
    }

    pub(crate) fn new(service: i32, method: i32, headers: &[(&str, &str)], payload: Vec<u8>) -> Self {
        let headers = headers.iter().map(|(key, value)| Header {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        });
        Self {
            service,
            method,
            headers: headers.collect(),
            payload: Some(payload),
            ..Self::default()
        }
    }
}
