//! What is loaded, what is refused, and what the cache keeps.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use botyard_test_guests::{ECHO, HOSTILE};
use tempfile::TempDir;

use super::Plan;
use crate::plugin::imports::refused;
use crate::plugin::{Offers, Runtime};

fn entries(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("the cache")
        .map(|e| e.expect("an entry").path())
        .collect();
    paths.sort();
    paths
}

#[tokio::test]
async fn a_component_says_what_it_is() {
    let folder = TempDir::new().expect("a folder");
    let runtime = Runtime::new(folder.path()).expect("a runtime");
    let echo = runtime.load("echo", ECHO).await.expect("it loads");
    assert_eq!(echo.about().platform, "echo");
    assert_eq!(
        echo.offers(),
        Offers {
            interaction: true,
            attachments: true,
            account: true,
            history: true,
            link: true,
        }
    );
    assert!(
        echo.imports().contains(&"botyard:adapter/link-call@1.0.0".to_owned()),
        "{:?}",
        echo.imports()
    );
}

#[tokio::test]
async fn compiled_code_and_manifest_are_kept_and_a_damaged_file_is_made_again() {
    let folder = TempDir::new().expect("a folder");
    let cache = folder.path().join("cache");
    fs::create_dir(&cache).expect("made");
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o755)).expect("open to all");
    let load = async || {
        let runtime = Runtime::new(&cache).expect("a runtime");
        runtime
            .load("hostile", HOSTILE)
            .await
            .expect("it loads")
            .about()
            .clone()
    };
    let first = load().await;
    let paths = entries(&cache);
    assert_eq!(paths.len(), 2, "{paths:?}");
    assert_eq!(fs::metadata(&cache).expect("there").permissions().mode() & 0o777, 0o700);
    let code = paths
        .iter()
        .find(|p| p.extension().is_some_and(|e| e == "cwasm"))
        .expect("code");
    let beside = paths
        .iter()
        .find(|p| p.extension().is_some_and(|e| e == "json"))
        .expect("a manifest");
    assert_eq!(fs::metadata(code).expect("there").permissions().mode() & 0o777, 0o600);

    // The second start reads it: what stands in the kept manifest is believed.
    let changed = fs::read_to_string(beside)
        .expect("text")
        .replace("Misbehaves for longer.", "From the cache.");
    fs::write(beside, changed).expect("written");
    let second = load().await;
    assert_eq!(second.modes[1].purpose, "From the cache.");

    // A damaged file is not run, in the pool neither, and replaced. What stands there instead would trap.
    let mut bytes = fs::read(code).expect("code");
    let (from, to) = (bytes.len() / 4, bytes.len() / 4 * 3);
    bytes[from..to]
        .chunks_exact_mut(2)
        .for_each(|pair| pair.copy_from_slice(&[0x0f, 0x0b]));
    fs::write(code, &bytes).expect("damaged");
    let runtime = Runtime::new(&cache).expect("a runtime");
    let component = runtime.load("hostile", HOSTILE).await.expect("it loads");
    assert_eq!(*component.about(), first);
    assert_ne!(fs::read(code).expect("code"), bytes);
    let bench = Plan::hostile().with(runtime, component);
    assert!(bench.component.seat()._place.is_some());
    bench.works().await;
    assert_eq!(entries(&cache), paths);

    fs::write(beside, "{").expect("damaged");
    assert_eq!(load().await, first);
}

#[tokio::test]
async fn what_is_no_component_is_refused_in_a_sentence() {
    let folder = TempDir::new().expect("a folder");
    let runtime = Runtime::new(folder.path()).expect("a runtime");
    let mut sentences = Vec::new();
    let empty = b"\0asm\x0d\0\x01\0".as_slice();
    for bytes in [b"#!/bin/sh".as_slice(), b"\0asm\x01\0\0\0", empty] {
        sentences.push(runtime.load("x", bytes).await.expect_err("refused").to_string());
    }
    assert_eq!(
        sentences,
        [
            "the adapter `x` cannot be used: it is not WebAssembly",
            "the adapter `x` cannot be used: it is a core module, not a component; build it for wasm32-wasip2",
            "the adapter `x` cannot be used: it does not export `botyard:adapter/describe`, `botyard:adapter/ingress`, \
             `botyard:adapter/delivery`, which every adapter must",
        ]
    );
    assert_eq!(entries(folder.path()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn imports_are_held_against_the_list() {
    let says = |import, functions: &[&str]| refused(import, functions).err().unwrap_or_else(|| "fine".to_owned());
    assert_eq!(says("botyard:adapter/http@1.0.0", &["send", "hold"]), "fine");
    assert_eq!(says("botyard:adapter/http@1.3.0", &["send"]), "fine");
    assert_eq!(says("wasi:cli/environment@0.2.6", &["get-environment"]), "fine");
    assert_eq!(says("botyard:adapter/words@1.2.0", &[]), "fine");
    assert_eq!(
        says("botyard:adapter/http@1.3.0", &["send", "stream"]),
        "it imports `botyard:adapter/http@1.3.0`: `http.stream` needs a host with botyard:adapter 1.3, this one offers 1.0"
    );
    assert_eq!(
        says("botyard:adapter/voice@1.2.0", &["hear"]),
        "it imports `botyard:adapter/voice@1.2.0`: `voice` needs a host with botyard:adapter 1.2, this one offers 1.0"
    );
    assert_eq!(
        says("botyard:adapter/voice@1.0.0", &["hear"]),
        "it imports `botyard:adapter/voice@1.0.0`: botyard:adapter 1.0 has no `voice`"
    );
    assert_eq!(
        says("botyard:adapter/http@2.0.0", &[]),
        "it imports `botyard:adapter/http@2.0.0`: this host offers botyard:adapter 1.0 and has no version 2"
    );
    assert_eq!(
        says("wasi:http/outgoing-handler@0.2.6", &[]),
        "it imports `wasi:http/outgoing-handler@0.2.6`: adapters reach vendors through `botyard:adapter/http` alone"
    );
    assert_eq!(
        says("wasi:cli/environment@0.3.0", &[]),
        "it imports `wasi:cli/environment@0.3.0`, which this host does not offer"
    );
    assert_eq!(says("env", &[]), "it imports `env`, which this host does not offer");
}

/// What imports one empty instance, in the binary format: an empty instance type, which becomes the one with this number,
/// and the import.
fn import_of(name: &str, number: u8) -> Vec<u8> {
    // Type section: one instance type without declarations.
    let mut bytes = vec![7, 3, 1, 0x42, 0];
    let mut import = vec![1, 0x00, u8::try_from(name.len()).expect("short")];
    import.extend(name.as_bytes());
    // LEB128 of at most two bytes.
    import.push(5);
    match number {
        0..0x80 => import.push(number),
        _ => import.extend([number, 1]),
    }
    bytes.extend([10, u8::try_from(import.len()).expect("short")]);
    bytes.extend(import);
    bytes
}

/// A component that imports one empty instance.
fn importing(name: &str) -> Vec<u8> {
    [b"\0asm\x0d\0\x01\0".as_slice(), &import_of(name, 0)].concat()
}

#[tokio::test]
async fn words_of_a_later_version_are_no_reason_to_refuse_what_else_it_can() {
    let folder = TempDir::new().expect("a folder");
    let runtime = Runtime::new(folder.path()).expect("a runtime");
    let name = "botyard:adapter/later-words@1.4.0";
    let mut found = None;
    // How many types it has is not known here: only the right number makes it valid.
    for number in 0..=u8::MAX {
        let bytes = [HOSTILE, &import_of(name, number)].concat();
        if let Ok(component) = runtime.load("x", &bytes).await {
            found = Some(component);
            break;
        }
    }
    let component = found.expect("it loads");
    assert!(
        component.imports().contains(&name.to_owned()),
        "{:?}",
        component.imports()
    );
    assert_eq!(component.about().platform, "hostile");
    let bench = Plan::hostile().with(runtime, component);
    bench.works().await;
}

#[tokio::test]
async fn a_refused_import_is_named_before_anything_runs() {
    let folder = TempDir::new().expect("a folder");
    let runtime = Runtime::new(folder.path()).expect("a runtime");
    let error = runtime
        .load("x", &importing("wasi:http/types@0.2.6"))
        .await
        .expect_err("refused");
    assert_eq!(
        error.to_string(),
        "the adapter `x` cannot be used: it imports `wasi:http/types@0.2.6`: adapters reach vendors through \
         `botyard:adapter/http` alone"
    );
}
