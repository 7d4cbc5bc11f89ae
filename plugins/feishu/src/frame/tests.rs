//! The bytes that the official SDKs write and read, and what arrives in parts.

use proptest::prelude::*;

use super::*;

fn event(id: &str, sum: usize, seq: usize, payload: &str) -> Frame {
    let header = |name: &str, value: String| (name.to_owned(), value);
    Frame {
        service: 7,
        method: DATA,
        headers: vec![
            header("type", "event".into()),
            header("message_id", id.into()),
            header("sum", sum.to_string()),
            header("seq", seq.to_string()),
        ],
        payload: payload.as_bytes().to_vec(),
        ..Frame::default()
    }
}

#[test]
fn a_ping_is_what_the_official_clients_send() {
    let bytes = Frame::ping(33_554_678).encode();
    let mut expected = vec![
        0x08, 0, 0x10, 0, 0x18, 0xf6, 0x81, 0x80, 0x10, 0x20, 0, 0x2a, 12, 0x0a, 4,
    ];
    expected.extend_from_slice(b"type");
    expected.extend_from_slice(&[0x12, 4]);
    expected.extend_from_slice(b"ping");
    assert_eq!(bytes, expected);
    assert_eq!(Frame::decode(&bytes), Ok(Frame::ping(33_554_678)));
}

#[test]
fn parts_are_joined_in_their_order_whatever_the_order_of_their_coming() {
    let mut fragments = Fragments::default();
    assert_eq!(fragments.join(&event("b", 2, 0, "x"), 0), None);
    assert_eq!(fragments.join(&event("a", 3, 2, "c"), 0), None);
    assert_eq!(fragments.join(&event("a", 3, 0, "a"), 1), None);
    assert_eq!(fragments.join(&event("a", 3, 0, "a"), 1), None);
    assert_eq!(fragments.join(&event("a", 3, 1, "b"), 2).as_deref(), Some(&b"abc"[..]));
    assert_eq!(
        fragments.join(&event("c", 1, 0, "whole"), 2).as_deref(),
        Some(&b"whole"[..])
    );
    assert_eq!(fragments.join(&event("b", 2, 1, "y"), 3).as_deref(), Some(&b"xy"[..]));
}

#[test]
fn parts_that_stay_alone_are_forgotten() {
    let mut fragments = Fragments::default();
    assert_eq!(fragments.join(&event("a", 2, 0, "a"), 1_000), None);
    assert_eq!(fragments.join(&event("a", 2, 1, "b"), 1_000 + EXPIRE_MS), None);
    assert_eq!(fragments.waiting.len(), 1);
    // A part beyond the number of parts, or of far too many, is none.
    assert_eq!(fragments.join(&event("z", 2, 2, "a"), 6_000), None);
    assert_eq!(fragments.join(&event("z", 999, 2, "a"), 6_000), None);
    assert_eq!(fragments.waiting.len(), 1);
}

#[test]
fn of_events_that_never_become_whole_the_oldest_are_forgotten() {
    let mut fragments = Fragments::default();
    for number in 0..=WAITING_MAX {
        assert_eq!(fragments.join(&event(&number.to_string(), 2, 0, "a"), 0), None);
    }
    assert_eq!(fragments.waiting.len(), WAITING_MAX);
    assert_eq!(fragments.join(&event("0", 2, 1, "b"), 0), None);
    assert_eq!(fragments.join(&event("9", 2, 1, "b"), 0).as_deref(), Some(&b"ab"[..]));
}

#[test]
fn unknown_fields_are_passed_over_and_torn_frames_are_errors() {
    let mut bytes = event("a", 1, 0, "{}").encode();
    bytes.extend_from_slice(&[0x79, 0, 0, 0, 0, 0, 0, 0, 0, 0x7d, 0, 0, 0, 0, 0x82, 0x01, 1, b'x']);
    assert_eq!(Frame::decode(&bytes), Ok(event("a", 1, 0, "{}")));
    bytes.pop();
    assert!(matches!(Frame::decode(&bytes), Err(Error::Malformed(_))));
    assert!(matches!(Frame::decode(&[0xff; 11]), Err(Error::Malformed(_))));
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        seq_id: u64, log_id: u64, service: i32, method: i32,
        headers in proptest::collection::vec(("[a-z_]{0,9}", ".{0,20}"), 0..6),
        payload: Vec<u8>,
    ) {
        let frame = Frame { seq_id, log_id, service, method, headers, payload, ..Frame::default() };
        prop_assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = Frame::decode(&bytes);
    }

    #[test]
    fn changed_bytes_are_another_frame_or_none(
        flips in proptest::collection::vec(any::<(prop::sample::Index, u8)>(), 1..6),
        end: prop::sample::Index,
    ) {
        let mut bytes = event("message", 3, 1, "{\"a\":1}").encode();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for bytes in [&bytes[..], &bytes[..end.index(bytes.len())]] {
            match Frame::decode(bytes) {
                Ok(frame) => drop(Fragments::default().join(&frame, 0)),
                Err(error) => prop_assert!(matches!(error, Error::Malformed(_))),
            }
        }
    }

    #[test]
    fn events_in_parts_come_out_whole_and_once(
        (sizes, order) in proptest::collection::vec(1usize..6, 1..12).prop_flat_map(|sizes| {
            let parts: Vec<_> = sizes.iter().enumerate().flat_map(|(id, &sum)| (0..sum).map(move |seq| (id, sum, seq))).collect();
            (Just(sizes), Just(parts).prop_shuffle())
        }),
    ) {
        let mut fragments = Fragments::default();
        let mut whole = Vec::new();
        for (id, sum, seq) in order {
            let frame = event(&id.to_string(), sum, seq, &format!("[{id}.{seq}]"));
            whole.extend(fragments.join(&frame, 0).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
        }
        whole.sort();
        let all = sizes.iter().enumerate().map(|(id, &sum)| (0..sum).map(|seq| format!("[{id}.{seq}]")).collect::<String>());
        let mut all: Vec<String> = all.collect();
        all.sort();
        prop_assert_eq!(whole, all);
        prop_assert!(fragments.waiting.is_empty());
    }
}
