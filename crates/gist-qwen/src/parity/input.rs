//! Inputs of cases: token ids, and pictures already cut into rows.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::files::{Expected, Result, ids, integers, json, sizes};
use super::rig::{Rig, Taps};
use crate::sequence::Sequence;

/// An input and what the vision tower made of its pictures.
pub(super) struct Input {
    pub(super) sequence: Sequence,
    pub(super) segments: Vec<std::ops::Range<usize>>,
    /// Intermediate results of the tower, all pictures one after the other.
    pub(super) vision: Taps,
}

/// Pictures of one kind in the order of the prompt: grids in patches, and where their rows lie.
struct Pictures {
    rows: Vec<f32>,
    places: Vec<(usize, usize)>,
    grids: Vec<(usize, usize)>,
    used: usize,
}

impl Pictures {
    fn read(about: &Value, tensors: Option<&Expected>, kind: &str, places: &str) -> Result<Self> {
        let tensor = format!("{kind}_rows_u8");
        let rows = match tensors {
            Some(tensors) if tensors.names().any(|name| name == tensor) => {
                tensors.floats(&tensor)?.into_iter().map(|x| (x - 127.5) / 127.5).collect()
            }
            _ => Vec::new(),
        };
        let pairs = about[places].as_array().into_iter().flatten().map(sizes);
        let places = pairs.filter_map(|p| Some((*p.first()?, *p.get(1)?))).collect();
        let mut grids = Vec::new();
        for grid in about[format!("{kind}_grid_thw")].as_array().into_iter().flatten().map(sizes) {
            let [t, h, w] = grid[..] else { return Err(format!("{kind}_grid_thw is no list of triples")) };
            grids.extend(std::iter::repeat_n((h, w), t));
        }
        Ok(Self { rows, places, grids, used: 0 })
    }

    fn next(&mut self) -> Result<(&[f32], (usize, usize))> {
        let missing = || "there are fewer pictures than places for them".to_owned();
        let (first, rows) = *self.places.get(self.used).ok_or_else(missing)?;
        let grid = *self.grids.get(self.used).ok_or_else(missing)?;
        self.used += 1;
        let width = crate::picture::PATCH_VALUES;
        let range = first * width..(first + rows) * width;
        Ok((self.rows.get(range).ok_or_else(missing)?, grid))
    }
}

impl Input {
    pub(super) fn read(folder: &Path, name: &str, rig: &Rig) -> Result<Self> {
        Self::without(folder, name, rig, &[])
    }

    /// The input without the picture tokens at the places `dropped`.
    pub(super) fn without(folder: &Path, name: &str, rig: &Rig, dropped: &[usize]) -> Result<Self> {
        let about = json(&folder.join("inputs").join(format!("{name}.json")))?;
        let tensors = about["pixels"].as_str().map(|file| Expected::read(&folder.join("inputs").join(file)));
        let tensors = tensors.transpose()?;
        let mut images = Pictures::read(&about, tensors.as_ref(), "image", "image_rows")?;
        let mut videos = Pictures::read(&about, tensors.as_ref(), "video", "pair_rows")?;
        let (tokens, kinds) = (ids(&about["input_ids"]), integers(&about["mm_token_type_ids"]));
        if tokens.len() != kinds.len() {
            return Err("there are not as many token kinds as tokens".into());
        }
        let mut input = Self { sequence: Sequence::default(), segments: Vec::new(), vision: Taps::default() };
        let mut at = 0;
        while at < tokens.len() {
            let run = kinds[at..].iter().take_while(|kind| **kind == kinds[at]).count();
            if kinds[at] == 0 {
                input.sequence.push_text(&tokens[at..at + run]);
                at += run;
                continue;
            }
            let (kind, pictures) =
                if kinds[at] == 1 { ("image", &mut images) } else { ("video", &mut videos) };
            let (rows, grid) = pictures.next()?;
            let vision = &mut input.vision;
            let mut tap = |name: &str, values: &[f32]| vision.add(&format!("vit.{kind}.{name}"), values);
            let encoded = rig.see(rows, grid, &mut tap)?;
            let count = grid.0 * grid.1 / 4;
            if count == 0 || run < count {
                return Err("a picture has not as many tokens as its grid".into());
            }
            let kept: Vec<usize> = (0..count).filter(|token| !dropped.contains(&(at + token))).collect();
            let kept = (kept.len() < count).then_some(&kept[..]);
            input.sequence.push_pair(tokens[at], Arc::new(encoded), kept);
            at += count;
        }
        for segment in about["segments"].as_array().into_iter().flatten() {
            let number = |key: &str| segment[key].as_u64().unwrap_or_default() as usize;
            let end = number("start") + number("len");
            input.segments.push(number("start")..end.min(input.sequence.len()));
        }
        Ok(input)
    }
}
