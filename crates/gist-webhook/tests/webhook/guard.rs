//! Which addresses may be reached.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gist_webhook::Guard;
use gist_webhook::guard::{GuardError, Lookup, StreamSource, refusal};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

/// Answers one lookup after the other, and stands by the last answer.
pub(crate) struct Names(Mutex<VecDeque<Vec<IpAddr>>>);

impl Names {
    pub(crate) fn new(answers: &[&[&str]]) -> Arc<Self> {
        let answer = |addresses: &&[&str]| addresses.iter().map(|a| a.parse().unwrap()).collect();
        Arc::new(Self(Mutex::new(answers.iter().map(answer).collect())))
    }
}

impl Lookup for Names {
    fn lookup(&self, _host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let mut answers = self.0.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Ok(answer.unwrap_or_default().into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }
}

fn refused(address: &str) -> bool {
    refusal(address.parse().unwrap(), &[]).is_some()
}

#[test]
fn only_public_addresses_are_reached() {
    for inside in [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::8.8.8.8",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001:0:808:808::ffff:ffff",
        "2001:0:7f00:1:0:0:f7f7:f7f7",
        "2001:0:808:808:0:0:80ff:fffe",
        "2001:db8::1",
        "2001:2::1",
        "3fff::1",
        "100::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "4000::1",
    ] {
        assert!(refused(inside), "{inside}");
    }
    for public in [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "198.17.0.1",
        "223.255.255.255",
        "2606:4700::1111",
        "2a00:1450::1",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
    ] {
        assert!(!refused(public), "{public}");
    }
}

#[test]
fn the_operator_may_allow_networks_in_any_form_they_are_written() {
    let allowed = ["192.168.1.0/24".parse().unwrap(), "fd00::/8".parse().unwrap()];
    for (address, ok) in [
        ("192.168.1.9", true),
        ("::ffff:192.168.1.9", true),
        ("64:ff9b::192.168.1.9", true),
        ("fd00::9", true),
        ("192.168.2.9", false),
        ("::ffff:192.168.2.9", false),
        ("127.0.0.1", false),
    ] {
        assert_eq!(refusal(address.parse().unwrap(), &allowed).is_none(), ok, "{address}");
    }
}

#[test]
fn hosts_are_what_they_resolve_to_however_they_are_written() {
    let guard = Guard::default();
    for address in [
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://017700000001/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://127.0.0.1./",
        "http://127。0。0。1/",
        "http://%31%32%37.0.0.1/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http:\\\\127.0.0.1\\",
        "http:127.0.0.1",
    ] {
        let error = guard.webhook(address).unwrap_err();
        assert!(matches!(error, GuardError::Address { .. }), "{address}: {error}");
        let stream = address.replacen("http:", "rtsp:", 1);
        assert!(guard.stream(&stream, SECOND).is_err(), "{stream}");
    }
    for address in
        ["http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://", "http://a b/", "nonsense"]
    {
        assert!(matches!(guard.webhook(address), Err(GuardError::Unreadable(_))), "{address}");
    }
    for address in ["file:///etc/passwd", "gopher://h/", "ftp://h/", "javascript:1", "rtsp://h/"] {
        assert!(matches!(guard.webhook(address), Err(GuardError::Scheme { .. })), "{address}");
    }
    let names = Guard::default().with_lookup(Names::new(&[&["127.0.0.1"]]));
    for name in ["http://localhost/", "http://localhost./", "http://LOCALHOST:80", "http://cdn.example/"] {
        let url = names.webhook(name).unwrap();
        assert!(matches!(names.resolve(&url, SECOND), Err(GuardError::Address { .. })), "{name}");
    }
}

#[test]
fn one_address_inside_is_one_too_many() {
    let guard = Guard::default().with_lookup(Names::new(&[&["8.8.8.8", "2606:4700::1", "10.0.0.1"]]));
    let url = guard.webhook("https://mixed.example/").unwrap();
    let error = guard.resolve(&url, SECOND).unwrap_err().to_string();
    assert!(error.contains("10.0.0.1/32") && error.contains("operator"), "{error}");
    let none = Guard::default().with_lookup(Names::new(&[&[]]));
    assert!(matches!(none.resolve(&url, SECOND), Err(GuardError::Lookup { .. })));
}

#[test]
fn ports_of_public_hosts_are_listed_and_those_of_allowed_networks_are_not() {
    let lan = vec!["192.168.0.0/16".parse().unwrap()];
    let outside = Guard::new(lan.clone()).with_lookup(Names::new(&[&["8.8.8.8"]]));
    let inside = Guard::new(lan).with_lookup(Names::new(&[&["192.168.0.9"]]));
    let url = |port: u16| outside.webhook(&format!("http://h.example:{port}/")).unwrap();
    assert_eq!(outside.resolve(&url(443), SECOND).unwrap(), ["8.8.8.8:443".parse().unwrap()]);
    assert!(matches!(outside.resolve(&url(25), SECOND), Err(GuardError::Port { port: 25, .. })));
    inside.resolve(&url(8123), SECOND).unwrap();
    let strict = Guard::default().webhook("http://h.example:25/");
    assert!(matches!(strict, Err(GuardError::Port { .. })), "known before the name is resolved");
    outside.clone().with_ports(vec![25]).resolve(&url(25), SECOND).unwrap();
    outside.clone().with_ports(Vec::new()).resolve(&url(9), SECOND).unwrap();
}

#[test]
fn errors_show_neither_passwords_nor_queries() {
    let guard = Guard::default();
    let errors = [
        guard.webhook("http://admin:hunter2@a.example/?token=hunter2").unwrap_err(),
        guard.webhook("ftp://admin:hunter2@a.example/?token=hunter2").unwrap_err(),
        guard.webhook("http://127.0.0.1/hunter2?token=hunter2").unwrap_err(),
        guard.webhook("http://[hunter2?token=hunter2").unwrap_err(),
        guard.stream("rtsp://admin:hunter2@127.0.0.1/?token=hunter2", SECOND).unwrap_err(),
        guard.stream("rtsp://admin:p/hunter2@127.0.0.1/cam", SECOND).unwrap_err(),
        guard.stream("file:///hunter2", SECOND).unwrap_err(),
    ];
    for error in errors {
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn streams_may_be_cameras_with_passwords_on_any_port() {
    let lan = vec!["10.0.0.0/8".parse().unwrap()];
    let guard = Guard::new(lan).with_lookup(Names::new(&[&["10.0.0.7"], &["169.254.169.254"]]));
    let source = guard.stream("rtsp://admin:p%40ss@cam.example:8554/1?ch=2", SECOND).unwrap();
    let StreamSource::Network { url, addresses } = &source else { panic!("a network source") };
    assert_eq!(url.as_str(), "rtsp://admin:p%40ss@cam.example:8554/1?ch=2");
    assert_eq!(addresses, &["10.0.0.7:8554".parse().unwrap()]);
    assert_eq!(source.pinned().unwrap().as_str(), "rtsp://admin:p%40ss@10.0.0.7:8554/1?ch=2");
    assert!(guard.stream("rtsp://cam.example/1", SECOND).is_err(), "it moved to another address");
    assert!(matches!(guard.stream("udp://10.0.0.7:5000", SECOND), Err(GuardError::Scheme { .. })));
    let tricky = guard.stream("rtsp://x@10.0.0.7/@127.0.0.1/", SECOND);
    assert!(matches!(tricky, Err(GuardError::Ambiguous)));
    let default = guard.stream("rtsps://10.0.0.7/1", SECOND).unwrap();
    let StreamSource::Network { addresses, .. } = default else { panic!("a network source") };
    assert_eq!(addresses[0].port(), 322);
}

#[test]
fn files_are_streams_only_from_directories_that_are_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let (videos, other) = (dir.path().join("videos"), dir.path().join("videos-private"));
    for folder in [&videos, &other] {
        std::fs::create_dir(folder).unwrap();
        std::fs::write(folder.join("a.mkv"), "x").unwrap();
    }
    std::os::unix::fs::symlink(other.join("a.mkv"), videos.join("link.mkv")).unwrap();
    let guard = Guard::default().with_directories(vec![videos.clone()]);
    let stream = |path: &str| guard.stream(&format!("file://{path}"), SECOND);
    let (videos, other) = (videos.to_str().unwrap(), other.to_str().unwrap());
    stream(&format!("{videos}/a.mkv")).unwrap();
    let refused = [
        format!("{videos}/../videos-private/a.mkv"),
        format!("{videos}/%2e%2e/videos-private/a.mkv"),
        format!("{videos}/link.mkv"),
        format!("{other}/a.mkv"),
        format!("{videos}/none.mkv"),
        format!("host.example{videos}/a.mkv"),
        videos.to_owned(),
        "/etc/passwd".to_owned(),
    ];
    for path in refused {
        assert!(matches!(stream(&path), Err(GuardError::File(_))), "{path}");
    }
    assert!(Guard::default().stream(&format!("file://{videos}/a.mkv"), SECOND).is_err());
}

proptest! {
    #[test]
    fn what_carries_an_inner_address_is_as_inner(bits in any::<u32>(), noise in any::<u64>()) {
        let v4 = Ipv4Addr::from(bits);
        let inside = refusal(v4.into(), &[]).is_some();
        let [a, b] = [(bits >> 16) as u16, bits as u16];
        let low = u128::from(noise);
        let forms = [
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a, b),
            Ipv6Addr::from((0x2002_u128 << 112) | (u128::from(bits) << 80) | low),
            Ipv6Addr::new(0x2001, 0, 0x808, 0x808, 0, 0, !a, !b),
            Ipv6Addr::new(0x2001, 0, a, b, 0, 0, !0x808, !0x808),
        ];
        for form in forms {
            prop_assert_eq!(refusal(form.into(), &[]).is_some(), inside, "{}", form);
        }
        prop_assert!(refusal(v4.to_ipv6_mapped().into(), &[]).is_some());
        prop_assert!(refusal(v4.to_ipv6_compatible().into(), &[]).is_some());
    }

    #[test]
    fn an_ipv4_host_is_the_same_in_every_notation(bits in any::<u32>()) {
        let guard = Guard::default();
        let plain = guard.webhook(&format!("http://{}/", Ipv4Addr::from(bits))).is_ok();
        let [a, b, c, d] = bits.to_be_bytes();
        let rest = bits & 0xff_ffff;
        for form in [
            format!("{bits}"), format!("{bits:#x}"), format!("0{bits:o}"), format!("{a}.{rest}"),
            format!("0{a:o}.{b:#x}.{c}.{d}"), format!("{a}.{b}.{c}.{d}."),
        ] {
            prop_assert_eq!(guard.webhook(&format!("http://{form}/")).is_ok(), plain, "{}", form);
        }
    }

    #[test]
    fn no_address_makes_the_guard_panic(text in ".{0,60}", scheme in "(http|rtsp|file|https)?:?/{0,3}") {
        let guard = Guard::default().with_lookup(Names::new(&[&["127.0.0.1"]]));
        let address = format!("{scheme}{text}");
        if let Ok(addresses) = guard.webhook(&address).and_then(|url| guard.resolve(&url, SECOND)) {
            prop_assert!(addresses.iter().all(|a| refusal(a.ip(), &[]).is_none()));
        }
        if let Ok(source) = guard.stream(&address, SECOND) {
            let StreamSource::Network { addresses, .. } = source else { panic!("no file is allowed") };
            prop_assert!(addresses.iter().all(|a| refusal(a.ip(), &[]).is_none()));
        }
    }
}
