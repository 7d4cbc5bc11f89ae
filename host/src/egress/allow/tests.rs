use super::*;

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|t| (*t).to_owned()).collect()
}

fn list() -> AllowList {
    let asked = texts(&[
        "https://files.example.com",
        "https://*.cdn.example",
        "wss://socket.example:8443",
    ]);
    AllowList::new(
        "https://api.example.com/v1/",
        false,
        &asked,
        &texts(&["https://10.0.0.7:*"]),
    )
    .unwrap()
}

fn read(text: &str) -> Result<String, NotAllowed> {
    list().read(text).map(|allowed| allowed.url.to_string())
}

#[test]
fn urls_within_the_list_are_normalised_and_allowed() {
    for (asked, called) in [
        ("/chat.postMessage", "https://api.example.com/v1/chat.postMessage"),
        ("/", "https://api.example.com/v1/"),
        ("/a?b=/../c#frag", "https://api.example.com/v1/a?b=/../c"),
        ("/a%2Fb/c", "https://api.example.com/v1/a%2Fb/c"),
        ("/...", "https://api.example.com/v1/..."),
        ("https://api.example.com/other", "https://api.example.com/other"),
        ("HTTPS://API.Example.COM:443/x", "https://api.example.com/x"),
        ("https://files.example.com/f", "https://files.example.com/f"),
        ("wss://files.example.com/f", "wss://files.example.com/f"),
        ("https://a.cdn.example/f", "https://a.cdn.example/f"),
        ("https://a.b.cdn.example/f", "https://a.b.cdn.example/f"),
        ("wss://socket.example:8443/", "wss://socket.example:8443/"),
        ("https://10.0.0.7:9000/x", "https://10.0.0.7:9000/x"),
        ("https://0xa000007/x", "https://10.0.0.7/x"),
    ] {
        assert_eq!(read(asked).as_deref(), Ok(called), "{asked}");
    }
}

#[test]
fn hosts_outside_the_list_are_refused_however_they_are_written() {
    for asked in [
        "https://evil.example/",
        "https://example.com/",
        "https://api.example.com.evil.example/",
        "https://xapi.example.com/",
        "https://cdn.example/",
        "https://evilcdn.example/",
        "https://.cdn.example/",
        "https://api.example.com./v1/",
        "https://api.example.com:444/v1/",
        "https://api.example.com%2eevil.example/",
        "https://files.example.com:8443/",
        "wss://socket.example/",
        "http://api.example.com/v1/",
        "ws://socket.example:8443/",
        "https://аpi.example.com/",
        "https://api.example。com.evil.example/",
        "https://10.0.0.8/",
        "https://[::ffff:10.0.0.7]/",
    ] {
        let refused = read(asked);
        assert!(
            matches!(refused, Err(NotAllowed::Host(_) | NotAllowed::Malformed(_))),
            "{asked}: {refused:?}"
        );
    }
}

#[test]
fn what_two_programs_could_read_differently_is_refused() {
    for asked in [
        "",
        "chat.postMessage",
        "//evil.example/x",
        "/\\evil.example",
        "/..",
        "/../admin",
        "/a/../../admin",
        "/./a",
        "/%2e%2e/admin",
        "/.%2E/admin",
        "/a/..%2f..%2fadmin",
        "/a/..%5cadmin",
        "/a%2f..%2f..%2fadmin",
        "/%252e%252e/admin",
        "/%25252525252e/admin",
        "/..;x=1/admin",
        "/..\\admin",
        "/a b",
        "/a\tb",
        "/a\nHost: evil",
        "/a%00b",
        "https:evil.example",
        "https:///evil.example",
        "https://\\evil.example",
        "https://api.example.com\\@evil.example/",
        "https://api.example.com@evil.example/",
        "https://user:pw@api.example.com/v1/",
        "https://@api.example.com/",
        "https://api.example.com/v1/../admin",
        "file:///etc/passwd",
        "ftp://api.example.com/",
        "javascript://api.example.com/",
        "https://",
    ] {
        let refused = read(asked);
        assert!(matches!(refused, Err(NotAllowed::Malformed(_))), "{asked}: {refused:?}");
    }
}

#[test]
fn private_addresses_are_known_in_every_notation() {
    for address in [
        "127.0.0.1",
        "127.9.9.9",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.100.100.200",
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "192.0.0.192",
        "198.18.0.1",
        "168.63.129.16",
        "192.0.2.1",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001::1",
        "2001:db8::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "100::1",
        "::ffff:0:10.0.0.1",
    ] {
        assert!(is_private(address.parse().unwrap()), "{address}");
    }
    for address in [
        "1.1.1.1",
        "8.8.8.8",
        "172.15.0.1",
        "172.32.0.1",
        "100.63.0.1",
        "100.128.0.1",
        "169.253.0.1",
        "198.20.0.1",
        "2606:4700::1111",
        "2a00:1450:4001::1",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::",
        "2001:4860::1",
    ] {
        assert!(!is_private(address.parse().unwrap()), "{address}");
    }
}

#[test]
fn a_private_host_needs_the_operator() {
    // What a manifest asks for is no grant of an address inside.
    for host in [
        "127.0.0.1",
        "0x7f.1",
        "2130706433",
        "017700000001",
        "[::1]",
        "[::ffff:7f00:1]",
        "localhost",
        "a.localhost",
        "169.254.169.254",
        "LOCALHOST",
    ] {
        let pattern = format!("https://{host}");
        let asking = AllowList::new("https://api.example.com/", false, std::slice::from_ref(&pattern), &[]).unwrap();
        let refused = asking.read(&format!("https://{host}/x")).map(|a| a.url.to_string());
        assert!(matches!(refused, Err(NotAllowed::Private(_))), "{host}: {refused:?}");
        let granted = AllowList::new("https://api.example.com/", false, &[], &[pattern]).unwrap();
        assert!(granted.read(&format!("https://{host}/x")).unwrap().private, "{host}");
    }
    assert!(!list().read("/x").unwrap().private);
}

#[test]
fn the_operators_api_base_may_be_private_and_plain_the_manifests_may_not() {
    let new = |base: &str, by_operator, granted: &[&str]| AllowList::new(base, by_operator, &[], &texts(granted));
    for base in [
        "http://127.0.0.1:8080/api/",
        "https://localhost/",
        "http://intranet.example/",
    ] {
        assert!(new(base, true, &[]).unwrap().read("/x").unwrap().private, "{base}");
        assert_eq!(new(base, false, &[]).unwrap_err().len(), 1, "{base}");
    }
    assert!(new("http://127.0.0.1:8080/api/", false, &["http://127.0.0.1:8080"]).is_ok());
    for base in [
        "https://api.example.com",
        "https://api.example.com/v1",
        "not a url",
        "https://u@h/",
        "ftp://h/",
    ] {
        assert!(!base.is_empty());
        let made = new(base, true, &[]);
        assert_eq!(made.is_ok(), base == "https://api.example.com", "{base}: {made:?}");
    }
}

#[test]
fn wrong_patterns_are_all_reported() {
    let wrong = [
        "files.example.com",
        "https://",
        "https://*",
        "https://*.com",
        "https://a.*.com",
        "https://*.1.2.3.4",
        "https://u@h.example",
        "https://h.example/path",
        "https://h.example?q",
        "ftp://h.example",
        "http://h.example",
        "ws://h.example",
        "https://h example",
    ];
    let problems = AllowList::new("https://api.example.com/", false, &texts(&wrong), &[]).unwrap_err();
    assert_eq!(problems.len(), wrong.len(), "{problems:#?}");
}

#[test]
fn targets_hold_segment_by_segment() {
    let list = list();
    let covers = |target: &str, url: &str| list.target(target).unwrap().unwrap().covers(&Url::parse(url).unwrap());
    for (target, url) in [
        ("/", "https://api.example.com/v1/x"),
        ("/chat.post", "https://api.example.com/v1/chat.post"),
        ("/chat.post", "https://api.example.com/v1/chat.post?a=1"),
        ("/chat", "https://api.example.com/v1/chat/post"),
        ("/chat/", "https://api.example.com/v1/chat/post"),
        ("/ws", "wss://api.example.com/v1/ws"),
        ("https://*.cdn.example/f/", "https://a.cdn.example/f/1"),
        ("https://files.example.com/", "https://files.example.com/any"),
    ] {
        assert!(covers(target, url), "{target} {url}");
    }
    for (target, url) in [
        ("/", "https://api.example.com/v2/x"),
        ("/", "http://api.example.com/v1/x"),
        ("/", "https://api.example.com:8443/v1/x"),
        ("/", "https://files.example.com/v1/x"),
        ("/chat.post", "https://api.example.com/v1/chat.postMessage"),
        ("/chat/", "https://api.example.com/v1/chat"),
        ("https://*.cdn.example/f/", "https://cdn.example/f/1"),
        ("https://*.cdn.example/f/", "https://a.cdn.example/g/1"),
    ] {
        assert!(!covers(target, url), "{target} {url}");
    }
    assert_eq!(list.target("https://elsewhere.example/"), Ok(None));
    assert!(list.target("/../").is_err());
}

#[test]
fn the_own_path_begins_after_the_api_base() {
    assert_eq!(list().read("/a/b").unwrap().own_path, 1);
    assert_eq!(list().read("https://api.example.com/v1/a/b").unwrap().own_path, 0);
}

#[test]
fn redirects_stay_in_the_list() {
    let from = Url::parse("https://api.example.com/v1/a?b").unwrap();
    let follow = |to: &str| list().follow(&from, to).map(|a| a.url.to_string());
    assert_eq!(follow("/x").as_deref(), Ok("https://api.example.com/x"));
    assert_eq!(follow("../x").as_deref(), Ok("https://api.example.com/x"));
    assert_eq!(
        follow("//files.example.com/x").as_deref(),
        Ok("https://files.example.com/x")
    );
    for to in [
        "https://evil.example/",
        "//evil.example",
        "\\\\evil.example",
        "http://api.example.com/v1/a",
        "https://169.254.169.254/",
        "https://u:p@files.example.com/",
        "file:///etc/passwd",
    ] {
        assert!(follow(to).is_err(), "{to}");
    }
}
