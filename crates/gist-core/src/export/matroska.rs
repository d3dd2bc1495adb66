//! Matroska chapters as mkvmerge reads them (`mkvmerge --chapters`).

use super::outline::{Outline, timecode};
use super::text;

/// Languages by their English name: ISO 639-2 (bibliographic, what ChapterLanguage wants) and BCP 47.
const LANGUAGES: [(&str, &str, &str); 30] = [
    ("arabic", "ara", "ar"),
    ("bulgarian", "bul", "bg"),
    ("chinese", "chi", "zh"),
    ("czech", "cze", "cs"),
    ("danish", "dan", "da"),
    ("dutch", "dut", "nl"),
    ("english", "eng", "en"),
    ("finnish", "fin", "fi"),
    ("french", "fre", "fr"),
    ("german", "ger", "de"),
    ("greek", "gre", "el"),
    ("hebrew", "heb", "he"),
    ("hindi", "hin", "hi"),
    ("hungarian", "hun", "hu"),
    ("indonesian", "ind", "id"),
    ("italian", "ita", "it"),
    ("japanese", "jpn", "ja"),
    ("korean", "kor", "ko"),
    ("norwegian", "nor", "no"),
    ("persian", "per", "fa"),
    ("polish", "pol", "pl"),
    ("portuguese", "por", "pt"),
    ("romanian", "rum", "ro"),
    ("russian", "rus", "ru"),
    ("spanish", "spa", "es"),
    ("swedish", "swe", "sv"),
    ("thai", "tha", "th"),
    ("turkish", "tur", "tr"),
    ("ukrainian", "ukr", "uk"),
    ("vietnamese", "vie", "vi"),
];

pub(super) fn render(outline: &Outline) -> String {
    let mut file = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE Chapters SYSTEM \"matroskachapters.dtd\">\n\
         <Chapters>\n  <EditionEntry>\n",
    );
    for (number, (chapter, span)) in (1_u64..).zip(outline.closed(1)) {
        let (iso, ietf) = language(&chapter.event.language);
        file += &format!(
            "    <ChapterAtom>\n      <ChapterUID>{number}</ChapterUID>\n      \
             <ChapterTimeStart>{}</ChapterTimeStart>\n      <ChapterTimeEnd>{}</ChapterTimeEnd>\n      \
             <ChapterDisplay>\n        <ChapterString>{}</ChapterString>\n        \
             <ChapterLanguage>{iso}</ChapterLanguage>\n        <ChapLanguageIETF>{ietf}</ChapLanguageIETF>\n      \
             </ChapterDisplay>\n    </ChapterAtom>\n",
            timecode(span.start, 9),
            timecode(span.end, 9),
            text::markup(&chapter.title),
        );
    }
    file + "  </EditionEntry>\n</Chapters>\n"
}

/// `und` for a language that is not in the table.
fn language(name: &str) -> (&'static str, &'static str) {
    let name = name.trim().to_ascii_lowercase();
    let known = LANGUAGES.iter().find(|(english, _, ietf)| name == *english || name == *ietf);
    known.map_or(("und", "und"), |&(_, iso, ietf)| (iso, ietf))
}
