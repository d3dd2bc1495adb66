//! A hub on this machine: one repository, its files in large storage on another server, and the faults real ones have.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use gist_models::checksum;
use serde_json::json;

/// What it does wrong. A name is a file's.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    /// Answers requests whose path holds this with that status.
    pub(crate) status: Option<(&'static str, u16)>,
    /// Of this file, serves nothing behind so many bytes.
    pub(crate) cut: Option<(&'static str, usize)>,
    /// Serves this file with another byte, so many times.
    pub(crate) corrupt: Option<(&'static str, usize)>,
    /// Says this as the list of files.
    pub(crate) listing: Option<String>,
    /// Says that the list goes on there.
    pub(crate) next: Option<String>,
}

/// A request, as the server saw it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    /// `hub` or `storage`.
    pub(crate) server: &'static str,
    pub(crate) path: String,
    pub(crate) range: String,
    pub(crate) authorization: String,
}

struct State {
    id: String,
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    commit: Mutex<String>,
    faults: Mutex<Faults>,
    seen: Mutex<Vec<Seen>>,
    hub: String,
    storage: String,
}

/// Running until the test ends.
#[derive(Clone)]
pub(crate) struct Hub {
    state: Arc<State>,
}

impl Hub {
    /// Serves `files` as the repository `id`.
    pub(crate) fn start(id: &str, files: BTreeMap<String, Vec<u8>>) -> Self {
        let listen = || TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = |l: &TcpListener| format!("http://{}", l.local_addr().expect("address"));
        let (hub, storage) = (listen(), listen());
        let state = Arc::new(State {
            id: id.into(),
            files: Mutex::new(files),
            commit: Mutex::new("c0ffee".repeat(7)[..40].into()),
            faults: Mutex::default(),
            seen: Mutex::default(),
            hub: address(&hub),
            storage: address(&storage),
        });
        for (server, listener) in [("hub", hub), ("storage", storage)] {
            let state = Arc::clone(&state);
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    // The client hangs up when it likes.
                    let _ = state.serve(stream, server);
                }
            });
        }
        Self { state }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.state.hub
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.state.faults.lock().expect("lock")
    }

    /// The repository gets a commit that changes a file.
    pub(crate) fn commit(&self, commit: &str, name: &str, content: &[u8]) {
        *self.state.commit.lock().expect("lock") = commit.repeat(40)[..40].into();
        self.state.files.lock().expect("lock").insert(name.into(), content.into());
    }

    /// The requests since the last call.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.seen.lock().expect("lock"))
    }

    /// The files asked for since the last call, with the byte each was asked from, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        let seen = self.seen().into_iter().filter(|seen| seen.server == "hub");
        let asked = seen.filter_map(|seen| {
            Some(format!("{} {}", seen.path.split_once("/resolve/")?.1.split_once('/')?.1, seen.range))
        });
        asked.map(|asked| asked.trim().to_owned()).collect()
    }

    /// The list of files as it is when nothing is wrong.
    pub(crate) fn listing(&self) -> Vec<serde_json::Value> {
        self.state.listing()
    }
}

fn is_large(name: &str) -> bool {
    name.ends_with(".safetensors") || name.ends_with(".gguf")
}

impl State {
    fn listing(&self) -> Vec<serde_json::Value> {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("x");
        let files = self.files.lock().expect("lock");
        let entries = files.iter().map(|(name, content)| {
            std::fs::write(&path, content).expect("write");
            let git = checksum::git_blob(&path).expect("sum");
            let mut entry = json!({ "type": "file", "path": name, "size": content.len(), "oid": git });
            if is_large(name) {
                let sha256 = checksum::sha256(&path).expect("sum");
                entry["lfs"] = json!({ "oid": sha256, "size": content.len(), "pointerSize": 134 });
            }
            entry
        });
        [json!({ "type": "directory", "path": "onnx", "size": 0, "oid": "" })]
            .into_iter()
            .chain(entries)
            .collect()
    }

    fn serve(&self, mut stream: TcpStream, server: &'static str) -> io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        let (mut range, mut authorization) = (String::new(), String::new());
        for line in lines {
            let line = line?;
            match line.to_lowercase().split_once(": ") {
                Some(("range", value)) => range = value.trim_start_matches("bytes=").into(),
                Some(("authorization", value)) => authorization = value.into(),
                _ if line.is_empty() => break,
                _ => {}
            }
        }
        let seen = Seen { server, path: path.clone(), range: range.clone(), authorization };
        self.seen.lock().expect("lock").push(seen);

        let faults = self.faults.lock().expect("lock").clone();
        if let Some((_, status)) = faults.status.filter(|(part, _)| path.contains(part)) {
            return answer(&mut stream, &status.to_string(), "", b"");
        }
        let name = Path::new(&path).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let commit = self.commit.lock().expect("lock").clone();
        let api = format!("/api/models/{}", self.id);
        let file = self.files.lock().expect("lock").get(&name).cloned();
        if server == "hub" && path.starts_with(&format!("{api}/revision/")) {
            answer(
                &mut stream,
                "200 OK",
                "",
                json!({ "sha": commit, "private": false }).to_string().as_bytes(),
            )
        } else if server == "hub" && path.starts_with(&format!("{api}/tree/{commit}?recursive=true")) {
            self.answer_with_page(&mut stream, &path, &faults)
        } else if server == "hub"
            && path == format!("/{}/resolve/{commit}/{name}", self.id)
            && is_large(&name)
        {
            let location = format!("Location: {}/{name}?signature=secret\r\n", self.storage);
            answer(&mut stream, "302 Found", &location, b"")
        } else if let Some(mut content) = file.or_else(|| {
            let stored = name.split('?').next()?;
            self.files.lock().expect("lock").get(stored).cloned()
        }) {
            if let Some((_, left)) = faults.corrupt.filter(|(name, left)| path.contains(name) && *left > 0) {
                if let Some(fault) = &mut self.faults.lock().expect("lock").corrupt {
                    fault.1 = left - 1;
                }
                content[7] ^= 1;
            }
            let end = match faults.cut {
                Some((name, end)) if path.contains(name) => end,
                _ => content.len(),
            };
            let start: usize = range.trim_end_matches('-').parse().unwrap_or(0);
            if start >= end {
                return Ok(());
            }
            let status = if range.is_empty() { "200 OK" } else { "206 Partial Content" };
            let length = content.len() - start;
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
            stream.write_all(&content[start..end])
        } else {
            answer(&mut stream, "404 Not Found", "", b"")
        }
    }

    /// Four files a page.
    fn answer_with_page(&self, stream: &mut TcpStream, path: &str, faults: &Faults) -> io::Result<()> {
        if let Some(listing) = &faults.listing {
            return answer(stream, "200 OK", "", listing.as_bytes());
        }
        let all = self.listing();
        let at: usize = path.split_once("&cursor=").and_then(|(_, at)| at.parse().ok()).unwrap_or(0);
        let end = all.len().min(at + 4);
        let page = json!(all[at..end]).to_string();
        let (first, _) = path.split_once("&cursor=").unwrap_or((path, ""));
        let here = (end < all.len()).then(|| format!("{}{first}&cursor={end}", self.hub));
        let next = faults.next.clone().or(here);
        let link = next.map_or_else(String::new, |next| format!("Link: <{next}>; rel=\"next\"\r\n"));
        answer(stream, "200 OK", &link, page.as_bytes())
    }
}

fn answer(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(body)
}
