//! Tesseract.

use crate::page::Line;
use crate::threads::stay_on_this_thread;
use crate::{Error, Picture};
use std::ffi::CString;
use tesseract_plumbing::TessBaseApi;

/// Words below this confidence are dropped from their line.
const WORD: f32 = 25.0;

/// A loaded OCR engine.
pub(crate) struct Ocr(TessBaseApi);

impl Ocr {
    /// Loads Tesseract for `languages`, such as `eng+chi_sim`.
    pub(crate) fn new(languages: &str) -> Result<Self, Error> {
        // Tesseract is content with any one of several languages, so each is tried by itself.
        for language in languages.split('+') {
            load(language)?;
        }
        load(languages).map(Self)
    }

    /// Reads all lines of a picture, top to bottom within each block of the layout.
    pub(crate) fn read(&mut self, picture: &Picture) -> Result<Vec<Line>, Error> {
        let failed = |what: &dyn std::fmt::Display| Error::Ocr(what.to_string());
        let side = |side: usize| i32::try_from(side).map_err(|e| failed(&e));
        let (width, height) = (side(picture.width)?, side(picture.height)?);
        stay_on_this_thread();
        self.0.set_image(&picture.pixels, width, height, 1, width).map_err(|e| failed(&e))?;
        self.0.recognize().map_err(|e| failed(&e))?;
        let tsv = self.0.get_tsv_text(0).map_err(|e| failed(&e))?;
        Ok(lines(&tsv.as_ref().to_string_lossy()))
    }
}

fn load(languages: &str) -> Result<TessBaseApi, Error> {
    let missing = || Error::Language {
        language: languages.to_string(),
        package: format!("tesseract-ocr-{}", languages.replace('_', "-")),
    };
    let mut api = TessBaseApi::create();
    // The path of a script (`script/Latin`) or of anything else is not a language.
    if languages.is_empty() || !languages.chars().all(|c| c.is_ascii_alphanumeric() || "_+".contains(c)) {
        return Err(missing());
    }
    // Tesseract's complaints would go to standard error; ours say what to do.
    set(&mut api, "debug_file", "/dev/null")?;
    let code = CString::new(languages).map_err(|_| missing())?;
    api.init_2(None, Some(&code)).map_err(|_| missing())?;
    // Automatic layout: slides have columns, boxes and pictures.
    set(&mut api, "tessedit_pageseg_mode", "3")?;
    set(&mut api, "user_defined_dpi", "150")?;
    Ok(api)
}

fn set(api: &mut TessBaseApi, name: &str, value: &str) -> Result<(), Error> {
    let text = |text: &str| CString::new(text).map_err(|e| Error::Ocr(e.to_string()));
    api.set_variable(&text(name)?, &text(value)?).map_err(|_| Error::Ocr(format!("cannot set {name}")))
}

/// The lines of Tesseract's TSV: level, page, block, paragraph, line, word, left, top, width, height, confidence,
/// text. Level 4 is a line, followed by its words at level 5.
fn lines(tsv: &str) -> Vec<Line> {
    let mut lines: Vec<(Line, f32)> = Vec::new();
    for row in tsv.lines() {
        let fields: Vec<&str> = row.splitn(12, '\t').collect();
        let number = |field: usize| fields.get(field).and_then(|f| f.parse::<f32>().ok()).unwrap_or(0.0);
        match (fields.first(), lines.last_mut()) {
            (Some(&"4"), _) => {
                let height = number(9) as u32;
                lines.push((Line { text: String::new(), height, confidence: 0.0 }, 0.0));
            }
            (Some(&"5"), Some((line, words))) if number(10) >= WORD => {
                if !line.text.is_empty() {
                    line.text.push(' ');
                }
                line.text.push_str(fields.get(11).unwrap_or(&""));
                line.confidence += number(10);
                *words += 1.0;
            }
            _ => {}
        }
    }
    let mean = |(mut line, words): (Line, f32)| {
        line.confidence /= words.max(1.0);
        line
    };
    lines.into_iter().map(mean).filter(|line| !line.text.trim().is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_tsv() {
        let tsv = "1\t1\t0\t0\t0\t0\t0\t0\t99\t99\t-1\t\n4\t1\t1\t1\t1\t0\t5\t5\t90\t31\t-1\t\n\
            5\t1\t1\t1\t1\t1\t5\t5\t40\t30\t90.0\tHello\n5\t1\t1\t1\t1\t2\t5\t5\t40\t30\t70.0\tworld\n\
            5\t1\t1\t1\t1\t3\t5\t5\t40\t30\t3.0\t#%\n4\t1\t1\t1\t2\t0\t5\t50\t90\t31\t-1\t\n5\tbroken\n\u{fffd}";
        let expected = Line { text: "Hello world".into(), height: 31, confidence: 80.0 };
        assert_eq!(lines(tsv), [expected]);
    }

    #[test]
    fn a_missing_language_names_its_package() {
        for (languages, package) in [("eng+xyz_abc", "tesseract-ocr-xyz-abc"), ("../../etc", "")] {
            let error = Ocr::new(languages).err().expect("is not installed").to_string();
            assert!(error.contains("apt-get install") && error.contains(package), "{error}");
        }
    }
}
