//! The exported files, read back by the programs they are for.

use std::path::Path;
use std::process::Command;

use gist_core::ChapterEvent;
use gist_core::export::{Format, Outline, render};
use proptest::prelude::*;
use serde_json::{Value, json};

/// `(start, end, title)` with times in milliseconds.
type Item = (u64, u64, String);

fn event(index: u64, (start, end, title): &Item) -> ChapterEvent {
    let seconds = |ms: u64| ms as f64 / 1000.0;
    serde_json::from_value(json!({
        "schema": "gist-chapters-v1", "sequence": index, "type": "closed", "id": format!("s-{index}"),
        "index": index, "revision": 0, "running-time": start * 1_000_000, "stream-time": start * 1_000_000,
        "duration": (end - start) * 1_000_000, "start": seconds(*start), "end": seconds(*end),
        "emitted-at": 0, "prompt-revision": 0, "title": title, "summary": title, "conclusion": title,
        "points": [{ "text": title, "start": seconds(*start), "end": seconds(*end) }],
        "keywords": [title], "language": "Chinese",
    }))
    .expect("a chapter")
}

fn outline(items: &[Item]) -> Outline {
    (0..).zip(items).map(|(index, item)| event(index, item)).collect()
}

/// Titles that break naive writers of each format.
fn nasty() -> Vec<Item> {
    let titles = [
        "Plain words",
        "a=b;c#d\\ [CHAPTER] ;FFMETADATA1",
        "00:00:01.000 --> 00:00:02.000 & <b>bold</b>",
        "]]> <!-- \"quotes\" 'and' &amp;",
        "第三章：核心观点 👩\u{200d}🔬",
        "ends with a backslash\\",
    ];
    (0..).zip(titles).map(|(n, title)| (n * 15_250, (n + 1) * 15_250, title.into())).collect()
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("the program is installed");
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Chapters of a media file as ffprobe sees them.
fn probe(file: &Path) -> Vec<Item> {
    let json = run(Command::new("ffprobe").args(["-v", "error", "-of", "json", "-show_chapters"]).arg(file));
    let json: Value = serde_json::from_str(&json).expect("ffprobe writes JSON");
    let ms = |time: &Value| {
        let seconds: f64 = time.as_str().and_then(|time| time.parse().ok()).expect("a time");
        (seconds * 1000.0).round() as u64
    };
    let chapters = json["chapters"].as_array().expect("chapters");
    let title = |chapter: &Value| chapter["tags"]["title"].as_str().unwrap_or("").to_owned();
    chapters.iter().map(|c| (ms(&c["start_time"]), ms(&c["end_time"]), title(c))).collect()
}

#[test]
fn ffmpeg_puts_ffmetadata_into_mkv_and_mp4() {
    let dir = tempfile::tempdir().expect("a directory");
    let (video, chapters) = (dir.path().join("in.mkv"), dir.path().join("chapters.ffmeta"));
    std::fs::write(&chapters, render(Format::FfMetadata, &outline(&nasty()))).expect("written");
    let source = "color=black:size=32x32:rate=1:duration=95";
    run(Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", source, "-c:v", "mpeg4"])
        .arg(&video));
    for container in ["mkv", "mp4"] {
        let out = dir.path().join(format!("out.{container}"));
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-i"]).arg(&video).arg("-i").arg(&chapters);
        run(ffmpeg.args(["-map_metadata", "1", "-map_chapters", "1", "-c", "copy"]).arg(&out));
        // A line may not end with a backslash, escaped or not, so the writer puts a space behind it.
        let found: Vec<Item> =
            probe(&out).into_iter().map(|(s, e, title)| (s, e, title.trim_end().into())).collect();
        assert_eq!(found, nasty(), "{container}");
    }
}

#[test]
fn gstreamer_and_ffmpeg_read_the_webvtt() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("chapters.vtt");
    std::fs::write(&file, render(Format::WebVtt, &outline(&nasty()))).expect("written");
    let entries = ["-v", "error", "-of", "json", "-show_entries", "packet=pts_time,duration_time"];
    let json: Value = serde_json::from_str(&run(Command::new("ffprobe").args(entries).arg(&file)))
        .expect("ffprobe writes JSON");
    let packets = json["packets"].as_array().expect("packets");
    let starts: Vec<_> = packets.iter().map(|p| p["pts_time"].as_str().expect("a time")).collect();
    assert_eq!(starts, ["0.000000", "15.250000", "30.500000", "45.750000", "61.000000", "76.250000"]);
    assert!(packets.iter().all(|packet| packet["duration_time"] == "15.250000"), "{packets:?}");

    let location = format!("location={}", file.display());
    let plain = run(Command::new("gst-launch-1.0")
        .args(["-q", "filesrc", &location, "!", "subparse", "!", "text/x-raw,format=pango-markup", "!"])
        .args(["fdsink", "fd=1"]));
    // Its parser shows character references as they are written (1.22), so only titles without any are compared.
    for (_, _, title) in nasty().into_iter().filter(|item| !item.2.contains(['&', '<', '>'])) {
        assert!(plain.contains(&title), "{title:?} is not in {plain:?}");
    }
    let decoded = run(Command::new("ffmpeg").args(["-v", "error", "-i"]).arg(&file).args(["-f", "srt", "-"]));
    for (_, _, title) in nasty() {
        assert!(decoded.contains(&format!("\n{title}\n")), "{title:?} is not in {decoded:?}");
    }
}

#[test]
fn matroska_xml_is_well_formed_and_complete() {
    let file = render(Format::MatroskaXml, &outline(&nasty()));
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let tree = roxmltree::Document::parse_with_options(&file, options).expect("well-formed");
    let all = |name: &str| -> Vec<String> {
        let named = tree.descendants().filter(|node| node.has_tag_name(name));
        named.map(|node| node.text().unwrap_or("").to_owned()).collect()
    };
    assert_eq!(all("ChapterString"), nasty().into_iter().map(|item| item.2).collect::<Vec<_>>());
    assert_eq!(all("ChapterTimeStart")[1], "00:00:15.250000000");
    assert_eq!(all("ChapterTimeEnd")[5], "00:01:31.500000000");
    assert!(all("ChapterLanguage").iter().all(|language| language == "chi"));
    assert!(all("ChapLanguageIETF").iter().all(|language| language == "zh"));
}

#[test]
fn podcast_json_has_the_fields_of_version_1_2() {
    let file: Value = serde_json::from_str(&render(Format::PodcastJson, &outline(&nasty()))).expect("JSON");
    assert_eq!(file["version"], "1.2.0");
    let chapters = file["chapters"].as_array().expect("chapters");
    for ((start, end, title), chapter) in nasty().into_iter().zip(chapters) {
        let (start, end) = (start as f64 / 1000.0, end as f64 / 1000.0);
        assert_eq!(*chapter, json!({"startTime": start, "endTime": end, "title": title, "toc": true}));
    }
}

#[test]
fn json_lines_come_back_as_the_same_events() {
    let events: Vec<_> = (0..).zip(&nasty()).map(|(index, item)| event(index, item)).collect();
    let file = render(Format::JsonLines, &events.iter().cloned().collect());
    let back: Vec<ChapterEvent> =
        file.lines().map(|line| serde_json::from_str(line).expect("an event a line")).collect();
    assert_eq!(back, events);
}

/// Titles of any characters, and those that each format gives a meaning to more often than chance would.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        any::<String>(),
        "[\\PC\\pC]{0,8}",
        prop::sample::select(vec![
            "-->",
            "\n",
            "\r\n\r\n",
            "\0",
            "\u{202e}",
            "\u{2028}",
            "&lt;",
            "<c.x>",
            "]]>",
            "=",
            ";",
            "#",
            "\\",
            "[CHAPTER]\n",
            "WEBVTT",
            "0:00 ",
            "](",
            "`",
            "\u{feff}",
            "\u{ffff}",
            "1. ",
            "> ",
            "\t",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(pieces, 0..5).prop_map(|pieces| pieces.concat())
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    let item =
        (0_u64..10_000_000, 0_u64..400_000, hostile()).prop_map(|(at, length, t)| (at, at + length, t));
    prop::collection::vec(item, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn webvtt_has_a_time_and_a_title_line_per_cue_in_order(items in items()) {
        let file = render(Format::WebVtt, &outline(&items));
        let mut blocks = file.trim_end().split("\n\n");
        prop_assert_eq!(blocks.next(), Some("WEBVTT"));
        let mut last_end = String::new();
        for block in blocks {
            let lines: Vec<_> = block.split('\n').collect();
            prop_assert_eq!(lines.len(), 3, "{:?}", block);
            let (start, end) = lines[1].split_once(" --> ").expect("a time line");
            prop_assert!(last_end.as_str() <= start && start < end);
            prop_assert!(!lines[2].contains("-->") && !lines[2].contains(['<', '>', '\0']) && !lines[2].is_empty());
            last_end = end.into();
        }
    }

    #[test]
    fn matroska_xml_is_well_formed_whatever_the_title(items in items()) {
        let file = render(Format::MatroskaXml, &outline(&items));
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        prop_assert!(roxmltree::Document::parse_with_options(&file, options).is_ok(), "{}", file);
    }

    #[test]
    fn ffmetadata_has_five_lines_a_chapter(items in items()) {
        let outline = outline(&items);
        let file = render(Format::FfMetadata, &outline);
        let mut lines = file.lines();
        prop_assert_eq!(lines.next(), Some(";FFMETADATA1"));
        while lines.next().is_some() {
            prop_assert_eq!(lines.next(), Some("[CHAPTER]"));
            prop_assert_eq!(lines.next(), Some("TIMEBASE=1/1000"));
            prop_assert!(lines.next().is_some_and(|line| line.starts_with("START=")));
            prop_assert!(lines.next().is_some_and(|line| line.starts_with("END=")));
            let title = lines.next().and_then(|line| line.strip_prefix("title=")).expect("a title");
            prop_assert!(!title.ends_with('\\'));
            let unescaped = title.replace("\\\\", "").replace("\\=", "").replace("\\;", "").replace("\\#", "");
            prop_assert!(!unescaped.contains(['=', ';', '#', '\\']), "{}", title);
        }
    }

    #[test]
    fn youtube_keeps_every_rule_or_is_empty(items in items()) {
        let file = render(Format::YouTube, &outline(&items));
        let lines: Vec<_> = file.lines().map(|line| line.split_once(' ').expect("time and title")).collect();
        prop_assert!(lines.is_empty() || lines.len() >= 3);
        let colons = lines.first().map_or(0, |line| line.0.matches(':').count());
        let seconds = |time: &str| time.split(':').fold(0, |sum, part| sum * 60 + part.parse::<u64>().expect("a number"));
        for (n, (time, title)) in lines.iter().enumerate() {
            prop_assert_eq!(time.matches(':').count(), colons);
            let earliest = n.checked_sub(1).map_or(0, |before| seconds(lines[before].0) + 10);
            prop_assert!(seconds(time) >= earliest && (n > 0 || seconds(time) == 0));
            prop_assert!(!title.is_empty() && title.chars().count() <= 100);
        }
    }

    #[test]
    fn markdown_has_exactly_the_headings_of_its_chapters(items in items()) {
        let page = render(Format::Markdown, &outline(&items));
        let headings: Vec<_> = page.lines().filter(|line| line.starts_with('#')).collect();
        prop_assert_eq!(headings.len(), items.len() + 1);
        prop_assert!(headings[1..].iter().all(|heading| heading.starts_with("## [")));
        prop_assert!(!page.contains("\n<") && !page.contains("](y)"));
    }

    #[test]
    fn the_order_of_events_does_not_matter(items in items(), seed in any::<u64>()) {
        let mut events: Vec<_> = (0..).zip(&items).map(|(index, item)| event(index, item)).collect();
        let before: Outline = events.iter().cloned().collect();
        events.sort_by_key(|event| event.index.wrapping_mul(seed | 1));
        let after: Outline = events.into_iter().collect();
        for format in Format::ALL {
            prop_assert_eq!(render(format, &before), render(format, &after));
        }
    }
}
