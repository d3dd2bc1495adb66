//! `streamgist describe`: a picture that is read as it should be, and pictures that are none.

use std::path::PathBuf;
use std::process::Command;

use super::{Desk, sentence, text};

fn nano(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models/nano-vl").join(file)
}

#[test]
fn a_slide_is_read_aloud() {
    let (desk, slide, model) = (Desk::new(), nano("examples/slide2.png"), nano(""));
    let args =
        ["describe", slide.to_str().unwrap(), "--model", model.to_str().unwrap(), "--prompt", "title?"];
    let output = desk.command(&args).output().unwrap();
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(text(&output.stdout), "{\"title\":\"Pressure Outlook Trees\"}\n");
    assert!(said.contains("MiB of memory: weights"), "what it takes is told before it is loaded: {said}");
}

/// A PNG that claims to be of this size and holds next to nothing.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let body = [&kind[..], data].concat();
        [&(data.len() as u32).to_be_bytes()[..], &body, &crc(&body).to_be_bytes()].concat()
    };
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 6, 0, 0, 0]].concat();
    // An empty zlib stream.
    let data = chunk(b"IDAT", &[0x78, 0x9C, 0x03, 0, 0, 0, 0, 1]);
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &header), data, chunk(b"IEND", &[])].concat()
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |mut crc, byte| {
        crc ^= u32::from(*byte);
        (0..8).for_each(|_| crc = if crc & 1 == 1 { 0xEDB8_8320 ^ (crc >> 1) } else { crc >> 1 });
        crc
    })
}

#[test]
fn what_is_no_picture_is_refused_within_bounded_memory() {
    let desk = Desk::new();
    let good = std::fs::read(nano("examples/slide0.png")).unwrap();
    desk.file("cut.png", &good[..good.len() / 2]);
    desk.file("text.png", "not a picture at all");
    desk.file("empty.png", "");
    desk.file("bomb.png", bomb(60_000, 60_000));
    desk.file("line.png", bomb(0, 7));
    desk.file("clip.png", b"GIF89a\x01\0\x01\0");
    let model = nano("");
    for name in ["cut.png", "text.png", "empty.png", "bomb.png", "line.png", "clip.png", "gone.png"] {
        let args = ["describe", name, "--model", model.to_str().unwrap()];
        let mut limited = Command::new("bash");
        // 3 GB of address space, libraries included.
        limited.args(["-c", "ulimit -v 3000000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_streamgist")]);
        let output = limited.args(args).current_dir(desk.path("")).output().unwrap();
        assert!(sentence(3, &args, &output).contains(name));
    }
}
