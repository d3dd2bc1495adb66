//! Reads pictures drawn by ffmpeg.

use gist_screen::{Format, Options, Picture, ScreenReader, ScreenText};
use std::process::Command;

const SECOND: u64 = 1_000_000_000;
const SIZE: (usize, usize) = (1280, 720);

/// Runs ffmpeg with `arguments` (a source and its filters) and takes its raw grey frames.
fn ffmpeg(arguments: &[&str], (width, height): (usize, usize)) -> Vec<Picture> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error"])
        .args(arguments)
        .args(["-f", "rawvideo", "-pix_fmt", "gray", "-"])
        .output()
        .expect("ffmpeg runs; install it with: apt-get install ffmpeg");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let frames = output.stdout.chunks_exact(width * height);
    let picture =
        |frame| Picture::from_plane(Format::Gray8, width, height, width, frame).expect("a whole frame");
    frames.map(picture).collect()
}

/// A slide with a heading and lines below it, as an ffmpeg filter.
fn slide(heading: &str, lines: &[&str]) -> String {
    let draw = |text: &str, size: usize, y: usize| {
        format!("drawtext=font=DejaVu Sans:text='{text}':fontsize={size}:fontcolor=0x202020:x=90:y={y}")
    };
    let mut filters = vec![draw(heading, 60, 80)];
    filters.extend(lines.iter().enumerate().map(|(i, line)| draw(line, 34, 220 + 80 * i)));
    filters.join(",")
}

/// One picture of a slide.
fn drawn(filter: &str) -> Picture {
    let source = format!("color=white:s={}x{}", SIZE.0, SIZE.1);
    ffmpeg(&["-f", "lavfi", "-i", &source, "-frames:v", "1", "-vf", filter], SIZE).remove(0)
}

/// Shows each picture for some looks, one a second.
fn show<'a>(
    reader: &mut ScreenReader,
    shown: impl IntoIterator<Item = (&'a Picture, u64)>,
) -> Vec<ScreenText> {
    let looks = shown.into_iter().flat_map(|(picture, times)| (0..times).map(move |_| picture));
    let mut read = Vec::new();
    for (second, picture) in (0..).zip(looks) {
        read.extend(reader.look(second * SECOND, picture).expect("it is read"));
    }
    read
}

fn reader() -> ScreenReader {
    ScreenReader::new(Options::default()).expect("Tesseract loads")
}

#[test]
fn slides_are_read_once_each_and_an_added_line_alone() {
    let burning = slide("Why burn coins", &["The alternatives are worse", "Somebody has to burn them"]);
    let uses = slide("Use Cases", &["Coloured coins"]);
    let more = slide("Use Cases", &["Coloured coins", "Decentralised names"]);
    let [burning, uses, more] = [burning, uses, more].map(|filter| drawn(&filter));
    let mut reader = reader();
    let read = show(&mut reader, [(&burning, 6), (&uses, 5), (&more, 4), (&burning, 4)]);
    let text = |text: &str, since: u64, heading: &str, full| ScreenText {
        since: since * SECOND,
        settled: (since + 1) * SECOND,
        heading: Some(heading.into()),
        text: text.into(),
        full,
    };
    let whole = "Why burn coins\nThe alternatives are worse\nSomebody has to burn them";
    assert_eq!(
        read,
        [
            text(whole, 0, "Why burn coins", true),
            text("Use Cases\nColoured coins", 6, "Use Cases", true),
            text("Decentralised names", 11, "Use Cases", false),
            text(whole, 15, "Why burn coins", true),
        ]
    );
    assert_eq!(reader.readings(), 4);
    reader.reset();
    assert_eq!(show(&mut reader, [(&uses, 3)]).len(), 1, "after a reset everything is new");
}

#[test]
fn codec_noise_and_a_moving_cursor_are_not_read_again() {
    let filter = format!("{},noise=alls=14:allf=t", slide("A quiet slide", &["Nothing moves here"]));
    let source = format!("color=white:s={}x{}:r=1", SIZE.0, SIZE.1);
    let graph = format!(
        "[0]{filter}[slide];[slide][1]overlay=x='200+mod(t*170,800)':y='150+mod(t*90,400)':eval=frame,format=yuv420p"
    );
    let file = tempfile::Builder::new().suffix(".mkv").tempfile().unwrap();
    let path = file.path().to_str().unwrap();
    let encode = ["-f", "lavfi", "-i", &source, "-f", "lavfi", "-i", "color=black:s=14x22:r=1", "-t", "20"];
    let options = ["-filter_complex", &graph, "-c:v", "libx264", "-crf", "34", "-g", "5", "-y", path];
    let status = Command::new("ffmpeg").args(["-v", "error"]).args(encode).args(options).status().unwrap();
    assert!(status.success());
    let frames = ffmpeg(&["-i", path], SIZE);
    assert_eq!(frames.len(), 20);
    let mut reader = reader();
    let read = show(&mut reader, frames.iter().map(|frame| (frame, 1)));
    assert_eq!(read.len(), 1, "{read:?}");
    assert_eq!(reader.readings(), 1);
}

#[test]
fn chinese_is_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/chinese.png");
    let picture = ffmpeg(&["-i", path], (640, 240)).remove(0);
    let read = show(&mut reader(), [(&picture, 2)]);
    assert_eq!(read[0].text, "机器学习的核心观点\n神经网络需要大量数据\n总结与建议");
    assert_eq!(read[0].heading.as_deref(), Some("机器学习的核心观点"));
}

#[test]
fn light_text_on_a_dark_ground_is_read() {
    let picture = drawn(&format!("{},negate", slide("Dark mode", &["Easy on the eyes"])));
    assert_eq!(show(&mut reader(), [(&picture, 2)])[0].text, "Dark mode\nEasy on the eyes");
}

#[test]
fn a_film_is_read_seldom_and_a_smooth_one_never() {
    let mut reader = reader();
    let film = ffmpeg(&["-f", "lavfi", "-i", "mandelbrot=s=320x180:r=1", "-t", "60"], (320, 180));
    show(&mut reader, film.iter().map(|frame| (frame, 1)));
    assert!(reader.readings() <= 8, "{} readings in a minute", reader.readings());
    let mut reader = self::reader();
    let smooth = ffmpeg(&["-f", "lavfi", "-i", "gradients=s=320x180:r=1:speed=0.2", "-t", "60"], (320, 180));
    show(&mut reader, smooth.iter().map(|frame| (frame, 1)));
    assert_eq!(reader.readings(), 0);
}

#[test]
fn the_last_slide_of_a_stream_is_read_though_it_had_no_time_to_settle() {
    let [one, two] = [slide("First things", &["One"]), slide("Last words", &["Good bye"])].map(|f| drawn(&f));
    let mut reader = reader();
    assert_eq!(show(&mut reader, [(&one, 5), (&two, 1)]).len(), 1);
    let last = reader.flush().unwrap().unwrap();
    assert_eq!((last.text.as_str(), last.since), ("Last words\nGood bye", 5 * SECOND));
    assert_eq!(reader.flush().unwrap(), None);
}

#[test]
fn hostile_sizes_do_no_harm() {
    let mut reader = reader();
    for (width, height) in [(0, 0), (0, 9), (1, 1), (1, 4000), (4000, 1), (33, 16000), (16384, 33), (31, 31)]
    {
        let pixels: Vec<u8> = (0..width * height).map(|i| (i * 7919 % 256) as u8).collect();
        for time in 0..3 {
            reader.look(time * SECOND, &Picture { width, height, pixels: pixels.clone() }).unwrap();
        }
    }
    let lie = Picture { width: 100, height: 100, pixels: vec![0; 9] };
    assert!(reader.look(0, &lie).is_err());
}
