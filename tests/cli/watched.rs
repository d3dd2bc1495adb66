//! `streamgist webhooks` and `streamgist sessions` beside `streamgist watch`, with the model of the tests.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use serde_json::Value;

use super::receiver::Inbox;
use super::{Desk, make, text};

/// A desk with a secret, and what is done on it.
struct Studio {
    desk: Desk,
    inbox: Inbox,
}

impl Studio {
    fn new() -> Self {
        let studio = Self { desk: Desk::new(), inbox: Inbox::start(200, "thank you\nand more") };
        let secret = studio.says(&["webhooks", "secret"]);
        studio.desk.file("team.secret", secret);
        studio
    }

    /// A configuration of one stream from there.
    fn config(&self, name: &str, source: &str, more: &str) -> PathBuf {
        let url = &self.inbox.url;
        let config = format!(
            "store = \"kept/streamgist.db\"\nmetrics = \"127.0.0.1:0\"\nallow-networks = [\"127.0.0.0/8\"]\n\
             [[stream]]\nname = \"hall-1\"\nsource = {source:?}\nbackend = \"mock\"\nspeech = false\n\
             [[endpoint]]\nname = \"team\"\nurl = {url:?}\nsecret-files = [\"team.secret\"]\nevents = [\"*\"]\n{more}"
        );
        self.desk.file(name, config)
    }

    /// Watches a talk of one slide, from its beginning to its end.
    fn watch_a_talk(&self) -> PathBuf {
        let slide = concat!(env!("CARGO_MANIFEST_DIR"), "/models/nano-vl/examples/slide2.png");
        make(&format!(
            "filesrc location={slide} ! pngdec ! videoconvert ! videoscale ! video/x-raw,width=1280,height=720 ! \
             imagefreeze num-buffers=20 ! video/x-raw,framerate=1/1 ! jpegenc ! matroskamux ! filesink location={}",
            self.desk.path("talk.mkv").display()
        ));
        let config = self.config("talk.toml", "talk.mkv", "");
        self.says(&["watch", "talk.toml"]);
        config
    }

    /// What it prints, when all is well.
    fn says(&self, args: &[&str]) -> String {
        let output = self.desk.command(args).output().expect("runs");
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// The deliveries that `webhooks list` tells with these arguments, and the endpoints before them.
    fn list(&self, args: &[&str]) -> (Vec<Value>, Vec<Value>) {
        let all = [&["webhooks", "list", "talk.toml", "--json"], args].concat();
        lines(&self.says(&all)).into_iter().partition(|line| line["kind"] == "delivery")
    }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn ids(deliveries: &[Value]) -> BTreeSet<String> {
    deliveries.iter().map(|delivery| delivery["id"].as_str().expect("an id").to_owned()).collect()
}

/// Ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_test_message_tells_what_the_receiver_answered() {
    let studio = Studio::new();
    // Neither a stream that can't be watched now nor a store that is not there yet is in the way.
    studio.config("new.toml", "later.mkv", "[[endpoint]]\nname = \"down\"\nurl = \"http://127.0.0.1:9/\"\n");
    let said = studio.says(&["webhooks", "test", "new.toml", "team"]);
    assert!(said.starts_with("team: status 200 after ") && said.ends_with(" ms: thank you\n"), "{said}");
    let message = studio.inbox.next();
    assert_eq!(message.body["type"], "endpoint.test");
    assert_eq!(message.body["data"]["endpoint"], "team");
    assert!(message.signature.starts_with("v1,"), "{message:?}");

    studio.inbox.answers(500, "\u{1b}[31mno");
    let output = studio.desk.command(&["webhooks", "test", "new.toml"]).output().expect("runs");
    let (said, why) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(6), "{why}");
    assert!(said.contains("ms: [31mno\n  the receiver answered 500: look into the log"), "{said}");
    assert!(said.contains("down: no answer") && said.contains("check that the receiver runs"), "{said}");
    assert!(why.contains("2 of 2 endpoints"), "{why}");

    assert!(studio.desk.ends(2, &["webhooks", "test", "new.toml", "tame"]).contains("but team, down"));
    assert!(studio.desk.ends(2, &["webhooks", "test", "gone.toml"]).contains("gone.toml"));
    assert_eq!(studio.inbox.rest().len(), 1, "one message each time");
}

#[test]
fn messages_are_listed_and_sent_again_while_it_watches() {
    let studio = Studio::new();
    studio.inbox.answers(410, "");
    studio.watch_a_talk();
    let (pending, endpoints) = studio.list(&[]);
    assert_eq!(endpoints[0]["pending"], pending.len());
    assert!(endpoints[0]["reason"].as_str().expect("disabled").contains("410"), "{endpoints:?}");
    let refused = pending.iter().find(|delivery| delivery["last-status"] == 410).expect("the first");
    assert!(refused["reason"].as_str().expect("a reason").contains("410"), "{refused}");
    let table = studio.says(&["webhooks", "list", "talk.toml"]);
    assert!(table.starts_with("ENDPOINT ") && table.contains("the endpoint is disabled"), "{table}");
    assert_eq!(studio.inbox.rest().len(), 1, "one was enough");

    // The other stream never comes, so that it is watched for until the end of the test.
    studio.config("live.toml", "rtsp://127.0.0.1:9/live", "");
    let watching =
        studio.desk.command(&["watch", "live.toml"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let _watching = Running(watching.expect("runs"));
    studio.inbox.answers(200, "");
    assert!(
        studio.says(&["webhooks", "enable", "--store", "kept/streamgist.db", "team"]).contains("is enabled")
    );
    let sent: Vec<_> = pending.iter().map(|_| studio.inbox.next()).collect();
    assert_eq!(sent.iter().map(|message| message.id.clone()).collect::<BTreeSet<_>>(), ids(&pending));

    // It comes back as it was, without another start.
    let closed = sent.iter().find(|message| message.body["type"] == "chapter.closed").expect("a chapter");
    let noted = |_| studio.list(&["--state", "delivered"]).0.len() == pending.len();
    assert!((0..5_000).any(noted), "what the receiver has is noted as delivered");
    let id = closed.id[..closed.id.len() - 1].to_lowercase();
    let said = studio.says(&["webhooks", "replay", "talk.toml", "--id", &id]);
    assert!(said.starts_with("1 message is sent again"), "{said}");
    let again = studio.inbox.next();
    assert_eq!((&again.id, &again.body), (&closed.id, &closed.body));
    studio.says(&["webhooks", "replay", "talk.toml", "--since", "1h", "--endpoint", "team"]);
    pending.iter().for_each(|_| drop(studio.inbox.next()));
}

#[test]
fn messages_are_found_by_what_they_are() {
    let studio = Studio::new();
    studio.watch_a_talk();
    let (all, endpoints) = studio.list(&[]);
    let types: Vec<_> = all.iter().map(|delivery| delivery["type"].as_str().expect("a type")).collect();
    assert!(types.contains(&"chapter.closed") && types.contains(&"digest.created"), "{types:?}");
    let delivered =
        |one: &Value| one["state"] == "delivered" && one["last-status"] == 200 && one["attempts"] == 1;
    assert!(all.iter().all(delivered) && endpoints.is_empty(), "{all:?} {endpoints:?}");
    let (some, none) = (all.len(), 0);
    let filters: [(&[&str], usize); 7] = [
        (&["--endpoint", "team", "--state", "delivered", "--since", "1h"], some),
        (&["--endpoint", "other"], none),
        (&["--state", "dead"], none),
        (&["--until", "1h"], none),
        (&["--since", "2000-01-01", "--until", "2999-12-31T23:59:59Z"], some),
        (&["--limit", "2"], 2),
        (&["--id", all[0]["id"].as_str().expect("an id")], 1),
    ];
    for (filter, count) in filters {
        assert_eq!(studio.list(filter).0.len(), count, "{filter:?}");
    }
    assert!(studio.says(&["webhooks", "replay", "talk.toml", "--dead"]).starts_with("0 messages: "));
    assert!(studio.says(&["webhooks", "enable", "talk.toml", "team"]).contains("was not disabled"));

    let refused = |code, args: &[&str]| studio.desk.ends(code, &[&["webhooks"], args].concat());
    assert!(refused(2, &["replay", "talk.toml"]).contains("--since"));
    assert!(refused(3, &["replay", "talk.toml", "--id", "zz"]).contains("webhooks list"));
    assert!(refused(2, &["list", "talk.toml", "--id", "0"]).contains("give more of it"));
    assert!(refused(3, &["enable", "talk.toml", "tame"]).contains("there is team"));
}

#[test]
fn a_session_is_listed_shown_and_exported() {
    let studio = Studio::new();
    studio.watch_a_talk();
    let listed = lines(&studio.says(&["sessions", "list", "talk.toml", "--stream", "hall-1", "--json"]));
    assert_eq!((&listed[0]["chapters"], &listed[0]["note"]), (&1.into(), &"the stream ended".into()));
    assert_eq!(studio.says(&["sessions", "list", "talk.toml", "--stream", "other"]).lines().count(), 1);
    let id = listed[0]["id"].as_str().expect("an id");
    let short = id[..20].to_uppercase();
    let shown = studio.says(&["sessions", "show", "talk.toml", &short]);
    assert!(shown.starts_with(&format!("hall-1, session {id}\nsource talk.mkv\n")), "{shown}");
    assert!(shown.contains("\n0:00 – 0:20  ") && shown.contains("\nDigest of 0:00 – 0:20\n"), "{shown}");
    assert!(shown.contains("Pressure Outlook"), "{shown}");

    let export = |args: &[&str]| {
        let all = [&["sessions", "export", "--store", "kept/streamgist.db", &short], args].concat();
        studio.says(&all)
    };
    assert!(export(&["--format", "json-lines"]).lines().all(|line| line.contains("gist-chapters-v1")));
    assert_eq!(export(&["-o", "talk.vtt"]), "");
    let track = std::fs::read_to_string(studio.desk.path("talk.vtt")).expect("written");
    assert!(track.starts_with("WEBVTT\n") && track.contains("00:00:00.000 --> 00:00:20.000"), "{track}");
    let record = gist_core::Record::parse(&export(&["--format", "record"])).expect("a record");
    assert_eq!(record.events.len(), 3, "opened, closed, digest");
    assert!(record.observations[0].text.contains("Pressure Outlook"), "{record:?}");

    let refused = |code, args: &[&str]| studio.desk.ends(code, &[&["sessions"], args].concat());
    assert!(refused(2, &["export", "talk.toml", id]).contains("--format"));
    assert!(refused(6, &["export", "talk.toml", id, "-o", "gone/talk.vtt"]).contains("gone/talk.vtt"));
    assert!(refused(3, &["show", "talk.toml", "zz"]).contains("sessions list"));
    assert!(refused(3, &["list", "--store", "gone.db"]).contains("there is no store at gone.db"));
    studio.desk.file("notes.db", "a text, and none of ours");
    assert!(refused(6, &["list", "--store", "notes.db"]).contains("notes.db"));
}
