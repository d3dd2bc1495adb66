//! One slide, as `render` and `colour` of models/nano-vl/train_nano.py draw it, but for JPEG's artefacts.

use std::path::Path;
use std::sync::Arc;

use ab_glyph::{Font, FontVec, Glyph, PxScale, ScaleFont, point};
use anyhow::{Context, Result, ensure};
use gist_core::picture::Pair;

use crate::Random;

/// Width and height: the largest size of the model's training, in which most titles have two or three words.
pub const SIZE: (usize, usize) = (320, 192);

/// Where fonts-dejavu-core puts its fonts.
const FOLDER: &str = "/usr/share/fonts/truetype/dejavu";
/// Those of them that the model was trained on.
const FONTS: [&str; 4] =
    ["DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSansCondensed-Bold.ttf"];

/// What slides are made of.
pub struct Artist {
    fonts: Vec<FontVec>,
    words: Vec<String>,
}

/// A slide without its noise, which is another in each frame.
#[derive(Clone, Debug)]
pub struct Slide {
    /// One to three words in title case.
    pub title: String,
    pixels: Vec<[u8; 3]>,
    noise: f32,
}

impl Artist {
    /// Titles are made of the words in `words`, one a line.
    ///
    /// # Errors
    /// When there are too few words or the fonts are not installed.
    pub fn new(words: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(words).with_context(|| format!("cannot read {}", words.display()))?;
        let words: Vec<String> = text.split_whitespace().map(String::from).collect();
        ensure!(words.len() > 100, "there are too few words to make titles of");
        let font = |name| {
            let path = Path::new(FOLDER).join(name);
            let bytes = std::fs::read(&path).with_context(|| {
                format!("cannot read {}; install it with: apt-get install fonts-dejavu-core", path.display())
            })?;
            FontVec::try_from_vec(bytes).with_context(|| format!("{} is no font", path.display()))
        };
        Ok(Self { fonts: FONTS.into_iter().map(font).collect::<Result<_>>()?, words })
    }

    /// Draws the next slide.
    pub fn draw(&self, random: &mut Random) -> Slide {
        let (width, height) = SIZE;
        let font = random.choose(&self.fonts);
        let (title, size) = self.title(font, random);
        let mut mask = Mask(vec![0; width * height]);
        let (ascent, line) = metrics(font, size);
        let length = advance(font, size, &title);
        let free = width - 4 - length;
        let x = 3 + if random.percent(30) { free / 2 } else { random.below(free.min(40) + 1) };
        let y = random.among(1..=(height * 3 / 10).min(height - line - 2));
        self.body(&mut mask, font, (x, y + line), length, random);
        mask.text(font, size, &title, (x, y + ascent), 255);
        let dark = random.percent(50);
        let (low, high) = (0..=79, 175..=255);
        let mut colour = |light: bool| {
            [0; 3].map(|_: u8| random.among(if light { high.clone() } else { low.clone() }) as f32)
        };
        let (ground, ink) = (colour(!dark), colour(dark));
        let blend = |share: u8| {
            [0, 1, 2].map(|i| (ground[i] + (ink[i] - ground[i]) * (f32::from(share) / 255.0)).round() as u8)
        };
        let noise = if random.percent(60) { random.below(800) as f32 / 100.0 } else { 0.0 };
        Slide { title, pixels: mask.0.into_iter().map(blend).collect(), noise }
    }

    /// A title, and a size of 15 to 30 pixels at which it fits.
    fn title(&self, font: &FontVec, random: &mut Random) -> (String, usize) {
        let room = SIZE.0 - 10;
        loop {
            let count = *random.choose(&[1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3]);
            let mut words: Vec<&str> = Vec::new();
            while words.len() < count {
                let word = random.choose(&self.words).as_str();
                if !words.contains(&word) {
                    words.push(word);
                }
            }
            let title = words.join(" ");
            let largest = random.among(16..=30);
            let fitting = (15..=largest).rev().find(|size| advance(font, *size, &title) <= room);
            if let Some(size) = fitting {
                return (title, size);
            }
        }
    }

    /// What may stand below a title: a line, some points, a bar at the bottom.
    fn body(
        &self,
        mask: &mut Mask,
        font: &FontVec,
        (x, y): (usize, usize),
        length: usize,
        random: &mut Random,
    ) {
        let (width, height) = SIZE;
        let mut y = y + random.among(4..=14);
        let (size, ink) = (random.among(8..=11), random.among(110..=230) as u8);
        if random.percent(30) {
            mask.fill((x, y - 4), (length, 2), ink);
        }
        let left = x + random.among(0..=12);
        let font = if random.percent(50) { font } else { &self.fonts[0] };
        for _ in 0..random.among(0..=5) {
            if y + size > height - 2 {
                break;
            }
            let count = random.among(1..=4);
            let words: Vec<String> = (0..count).map(|_| random.choose(&self.words).to_lowercase()).collect();
            mask.fill((left, y + size / 2 - 1), (3, 3), ink);
            mask.text(font, size, &words.join(" "), (left + 8, y + metrics(font, size).0), ink);
            y += size + random.among(3..=8);
        }
        if random.percent(20) {
            let bar = random.among(2..=8);
            mask.fill((0, height - bar), (width, bar), random.among(40..=200) as u8);
        }
    }
}

impl Slide {
    /// The slide as red, green and blue of each pixel, with its noise.
    pub fn frame(&self, random: &mut Random) -> Vec<u8> {
        let mut frame = Vec::with_capacity(3 * self.pixels.len());
        for pixel in &self.pixels {
            let noise = if self.noise > 0.0 { random.normal() * self.noise } else { 0.0 };
            frame.extend(pixel.map(|value| (f32::from(value) + noise).round().clamp(0.0, 255.0) as u8));
        }
        frame
    }

    /// Two frames that show the slide.
    pub fn pair(&self, random: &mut Random) -> Pair {
        let frames = [(); 2].map(|()| Arc::from(self.frame(random)));
        Pair { width: SIZE.0, height: SIZE.1, frames }
    }
}

/// How much of each pixel is ink.
struct Mask(Vec<u8>);

impl Mask {
    fn fill(&mut self, (x, y): (usize, usize), (width, height): (usize, usize), ink: u8) {
        for y in y..(y + height).min(SIZE.1) {
            for x in x..(x + width).min(SIZE.0) {
                self.0[y * SIZE.0 + x] = ink;
            }
        }
    }

    /// Writes a line that begins at `x` on the baseline `y`; what is too long is cut off.
    fn text(&mut self, font: &FontVec, size: usize, text: &str, (x, y): (usize, usize), ink: u8) {
        for mut glyph in layout(font, size, text).0 {
            glyph.position += point(x as f32, y as f32);
            let Some(outline) = font.outline_glyph(glyph) else { continue };
            let bounds = outline.px_bounds();
            outline.draw(|dx, dy, share| {
                let (x, y) = (bounds.min.x as i64 + i64::from(dx), bounds.min.y as i64 + i64::from(dy));
                let inside = (0..SIZE.0 as i64).contains(&x) && (0..SIZE.1 as i64).contains(&y);
                if inside {
                    let at = &mut self.0[y as usize * SIZE.0 + x as usize];
                    *at = (*at).max((share.min(1.0) * f32::from(ink)).round() as u8);
                }
            });
        }
    }
}

/// Glyphs in a line at whole pixels, as the renderer of the training placed them, and the length of the line.
fn layout(font: &FontVec, size: usize, text: &str) -> (Vec<Glyph>, usize) {
    let scale = scale(font, size);
    let scaled = font.as_scaled(scale);
    let (mut glyphs, mut x) = (Vec::new(), 0.0);
    for character in text.chars() {
        let id = scaled.glyph_id(character);
        glyphs.push(id.with_scale_and_position(scale, point(x, 0.0)));
        x += scaled.h_advance(id).round();
    }
    (glyphs, x as usize)
}

fn advance(font: &FontVec, size: usize, text: &str) -> usize {
    layout(font, size, text).1
}

/// Pixels above the baseline and of the whole line.
fn metrics(font: &FontVec, size: usize) -> (usize, usize) {
    let scaled = font.as_scaled(scale(font, size));
    let (ascent, descent) = (scaled.ascent().ceil(), (-scaled.descent()).ceil());
    (ascent as usize, (ascent + descent) as usize)
}

/// A size is that of the em square; the library counts from the highest to the lowest point.
fn scale(font: &FontVec, size: usize) -> PxScale {
    PxScale::from(size as f32 * font.height_unscaled() / font.units_per_em().unwrap_or(1000.0))
}
