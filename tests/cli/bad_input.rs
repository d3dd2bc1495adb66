//! Input, models and command lines that can't work: one sentence, the exit code of their class, never a panic.

use std::fs;
use std::io::Read;

use super::{Desk, make, talk, text};

#[test]
fn what_is_no_input_has_its_own_exit_code_and_one_sentence() {
    let desk = Desk::new();
    desk.file("notes.mp4", "this is no video, whatever its name says");
    desk.file("latin.srt", b"1\n00:00:01,000 --> 00:00:02,000\ncaf\xe9\n");
    desk.file("talk.srt", talk());
    assert!(desk.fails(3, &["gone.mp4"]).contains("there is no file gone.mp4"));
    assert!(desk.fails(3, &["notes.mp4"]).contains("notes.mp4"));
    assert!(desk.fails(3, &["latin.srt"]).contains("not UTF-8"));
    assert!(desk.fails(3, &["warez://host/file"]).contains("warez://"));
    assert!(desk.fails(2, &["talk.srt", "--transcript", "talk.srt"]).contains("a transcript already"));
    assert!(desk.fails(2, &["talk.srt", "-o", "chapters"]).contains("--format"));
    assert!(desk.fails(6, &["talk.srt", "-o", "no/such/dir/x.vtt"]).contains("no/such/dir/x.vtt"));
    assert!(desk.fails(6, &["talk.srt", "--json", "no/such/dir/x"]).contains("no/such/dir/x"));
}

#[test]
fn a_picture_of_sound_alone_is_refused_when_sound_is_not_to_be_listened_to() {
    let desk = Desk::new();
    let audio = desk.path("beep.wav");
    make(&format!("audiotestsrc num-buffers=10 ! wavenc ! filesink location={}", audio.display()));
    assert!(desk.fails(3, &["beep.wav", "--no-speech"]).contains("has no picture"));
    // Listening needs the speech model, which this desk lacks.
    assert!(desk.fails(4, &["beep.wav"]).contains("streamgist model pull whisper-base"));
}

#[test]
fn a_camera_that_refuses_is_named_without_its_password() {
    let desk = Desk::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("port").port();
    let said = desk.fails(3, &[&format!("rtsp://admin:hunter2@127.0.0.1:{port}/cam")]);
    assert!(said.contains(&format!("rtsp://127.0.0.1:{port}/cam")), "{said}");
    assert!(!said.contains("hunter2") && !said.contains("admin"), "{said}");
}

#[test]
fn a_model_that_is_not_there_is_said_with_the_command_that_fetches_it() {
    let desk = Desk::new();
    desk.file("talk.srt", talk());
    let said = desk.ends(4, &["chapters", "talk.srt"]);
    assert!(said.contains("streamgist model pull qwen2.5-coder-1.5b"), "{said}");
    let said = desk.ends(4, &["chapters", "talk.srt", "--model", "./gone.gguf"]);
    assert!(said.contains("gone.gguf"), "{said}");
    desk.ends(4, &["model", "verify", "whisper-base"]);
}

/// A GGUF header of so many tensors, with this architecture and nothing else.
fn gguf(architecture: &str, tensors: u64) -> Vec<u8> {
    let string = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend([tensors, 1].map(u64::to_le_bytes).concat());
    bytes.extend(string("general.architecture"));
    bytes.extend(8u32.to_le_bytes());
    bytes.extend(string(architecture));
    bytes
}

#[test]
fn a_language_model_that_is_cut_off_or_of_another_kind_is_refused() {
    let desk = Desk::new();
    desk.file("talk.srt", talk());
    let refused = |model: &str| {
        let said = desk.ends(4, &["chapters", "talk.srt", "--model", model]);
        assert!(said.contains(model), "{said}");
        said
    };
    desk.file("llama.gguf", gguf("llama", 0));
    let said = refused("llama.gguf");
    assert!(said.contains("`llama`") && said.contains("qwen2"), "{said}");
    desk.file("notes.gguf", "no model at all");
    assert!(refused("notes.gguf").contains("not a GGUF"));
    desk.file("header.gguf", b"GGUF\x03\0\0\0");
    assert!(refused("header.gguf").contains("cut off"));

    // One tensor of 64 floats, of which a part is there.
    let mut bytes = gguf("qwen2", 1);
    bytes.extend(
        [&17u64.to_le_bytes()[..], b"token_embd.weight", &1u32.to_le_bytes(), &64u64.to_le_bytes()].concat(),
    );
    bytes.extend([&0u32.to_le_bytes()[..], &0u64.to_le_bytes()].concat());
    bytes.resize(bytes.len() + 100, 0);
    desk.file("small.gguf", bytes);
    assert!(refused("small.gguf").contains("cut off"));

    // A real one, as a download leaves it that stopped somewhere in the weights.
    let real = gist_models::locate("qwen2.5-coder-0.5b");
    let real = real.expect("`streamgist model pull qwen2.5-coder-0.5b` fetches the model of the tests");
    let mut beginning = Vec::new();
    let file = fs::File::open(real).expect("open");
    file.take(24 << 20).read_to_end(&mut beginning).expect("read");
    desk.file("real.gguf", beginning);
    let said = refused("real.gguf");
    assert!(said.contains("cut off") && said.contains("tensor"), "{said}");
}

#[test]
fn a_pulled_model_with_a_wrong_checksum_is_refused_with_the_command_that_mends_it() {
    let desk = Desk::new();
    make(&format!(
        "audiotestsrc num-buffers=10 ! wavenc ! filesink location={}",
        desk.path("beep.wav").display()
    ));
    let models = ["whisper-tiny.en", "qwen2.5-coder-0.5b"];
    for model in models {
        let model = gist_models::find(model).expect("known");
        let dir = desk.path("models").join(&model.name);
        fs::create_dir_all(&dir).expect("mkdir");
        for file in &model.files {
            // The right size takes no room: there is nothing in it.
            let place = fs::File::create(dir.join(&file.name)).expect("create");
            place.set_len(file.size).expect("length");
        }
    }
    let said = desk.fails(4, &["beep.wav", "--speech-model", models[0]]);
    assert!(
        said.contains("wrong checksum") && said.contains("streamgist model pull whisper-tiny.en"),
        "{said}"
    );
    desk.file("talk.srt", talk());
    let said = desk.ends(4, &["chapters", "talk.srt", "--model", models[1]]);
    assert!(said.contains("wrong checksum") && said.contains("streamgist model pull qwen"), "{said}");
}

/// It was once said to be a broken pipeline.
#[test]
fn a_corrupt_speech_model_is_a_fault_of_the_model() {
    let desk = Desk::new();
    make(&format!(
        "audiotestsrc num-buffers=10 ! wavenc ! filesink location={}",
        desk.path("beep.wav").display()
    ));
    fs::create_dir(desk.path("mine")).expect("mkdir");
    for (content, why) in
        [(&b"\x06\0\0\0\x0c\0WhisperSpec\0"[..], "truncated"), (b"no model", "not a CTranslate2 model")]
    {
        desk.file("mine/model.bin", content);
        let said = desk.fails(4, &["beep.wav", "--speech-model", "mine"]);
        assert!(said.contains("model.bin") && said.contains(why), "{said}");
    }
    fs::remove_file(desk.path("mine/model.bin")).expect("remove");
    assert!(desk.fails(4, &["beep.wav", "--speech-model", "mine"]).contains("no Whisper model here"));
}

/// Where the speech model of the tests lies; the desk itself has none.
fn whisper() -> String {
    let path = gist_models::locate("whisper-tiny.en");
    let path = path.expect("`streamgist model pull whisper-tiny.en` fetches the model of the tests");
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn a_language_that_the_speech_model_does_not_know_is_a_fault_of_the_command_line() {
    let desk = Desk::new();
    make(&format!(
        "audiotestsrc num-buffers=10 ! wavenc ! filesink location={}",
        desk.path("beep.wav").display()
    ));
    let said = desk.fails(2, &["beep.wav", "--speech-model", &whisper(), "--speech-language", "tlh"]);
    assert!(said.contains("\"tlh\""), "{said}");
}

#[test]
fn a_worker_that_crashes_is_no_fault_of_the_model_and_no_success() {
    let desk = Desk::new();
    desk.file("talk.srt", talk());
    let output = desk.chapters(&["talk.srt", "--model", "panic-at=1"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("this is a bug"), "{said}");
}

/// GStreamer tells neither the end nor an error of some of these; the program waited for ever.
#[test]
fn a_file_without_a_single_frame_is_no_input() {
    let desk = Desk::new();
    let nothing = "videotestsrc num-buffers=0 ! video/x-raw,width=64,height=48 ! x264enc !";
    let path = |name: &str| desk.path(name).display().to_string();
    make(&format!("{nothing} matroskamux ! filesink location={}", path("a.mkv")));
    make(&format!("{nothing} mp4mux ! filesink location={}", path("a.mp4")));
    make(&format!("audiotestsrc num-buffers=0 ! wavenc ! filesink location={}", path("a.wav")));
    // The header of a good file, up to where its samples would begin.
    make(&format!(
        "videotestsrc num-buffers=5 ! video/x-raw,width=64,height=48 ! x264enc ! matroskamux ! filesink location={}",
        path("whole.mkv")
    ));
    let whole = fs::read(desk.path("whole.mkv")).expect("read");
    let cluster = whole.windows(4).position(|id| id == [0x1f, 0x43, 0xb6, 0x75]).expect("a cluster");
    desk.file("head.mkv", &whole[..cluster]);
    std::thread::scope(|scope| {
        for name in ["a.mkv", "a.mp4", "a.wav", "head.mkv"] {
            let desk = &desk;
            scope.spawn(move || {
                let output = desk.chapters(&[name, "--speech-model", &whisper()]);
                let said = text(&output.stderr);
                assert_eq!(output.status.code(), Some(3), "{name}: {said}");
                assert!(said.contains(name) && !said.contains("panicked"), "{said}");
            });
        }
    });
}

#[test]
fn pictures_without_times_are_said_to_have_none() {
    let desk = Desk::new();
    make(&format!(
        "videotestsrc num-buffers=20 ! video/x-raw,width=64,height=48 ! jpegenc ! filesink location={}",
        desk.path("raw.mjpg").display()
    ));
    let output = desk.chapters(&["raw.mjpg"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("raw.mjpg have no times"), "{said}");
    // Words have times of their own.
    desk.file("talk.srt", talk());
    let output = desk.chapters(&["raw.mjpg", "--transcript", "talk.srt"]);
    assert!(output.status.success() && text(&output.stderr).contains("Warning"), "{}", text(&output.stderr));
}

#[test]
fn numbers_that_no_element_takes_are_refused_and_no_panic() {
    let desk = Desk::new();
    // Ten digits of hours were more than a clock can count.
    desk.file("far.srt", "1\n00:00:01,000 --> 99999999999999:00:00,000\nhello\n");
    assert!(desk.fails(3, &["far.srt"]).contains("no timed lines"));
    desk.file("talk.srt", talk());
    for args in [["--max-pixels", "0"], ["--fps", "65535"], ["--fps", "1/4000"]] {
        let output = desk.chapters(&[&["talk.srt"][..], &args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", text(&output.stderr));
    }
    assert!(desk.ends(2, &["chapters", "talk.srt", "--backend", "abacus"]).contains("abacus"));
}

#[test]
fn what_is_read_is_not_written_over() {
    let desk = Desk::new();
    let path = desk.file("talk.srt", talk());
    for args in [["--json", "talk.srt"], ["--markdown", "./talk.srt"]] {
        assert!(desk.fails(2, &[&["talk.srt"][..], &args].concat()).contains("written over"));
    }
    assert_eq!(fs::read_to_string(path).expect("read"), talk());
}

#[test]
fn measuring_has_the_same_exit_codes() {
    let desk = Desk::new();
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/chapters/screenshare.jsonl");
    assert!(desk.ends(3, &["eval", "gone.jsonl", "--boundaries-only"]).contains("gone.jsonl"));
    desk.file("bad.jsonl", "{}\n");
    assert!(desk.ends(3, &["eval", "bad.jsonl", "--boundaries-only"]).contains("line 1"));
    desk.file("cut.gguf", b"GGUF\x03\0\0\0");
    let output = desk.command(&["eval", data, "--model", "cut.gguf"]).output().expect("runs");
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
}

/// `streamgist model list | head -1` panicked.
#[test]
fn a_reader_that_went_away_is_no_failure() {
    let desk = Desk::new();
    let (reader, writer) = std::io::pipe().expect("pipe");
    drop(reader);
    let output = desk.command(&["model", "list"]).stdout(writer).output().expect("runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
}
