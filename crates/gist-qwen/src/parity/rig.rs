//! A model of a fixture folder, and what is seen while it computes.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::Value;

use super::files::Result;
use crate::checkpoint::Checkpoint;
use crate::decoder::{Scratch, Want};
use crate::kv::{Cache, KvType, Layout, Pool, SinkPositions, Target};
use crate::path::{AnyDecoder, AnyTower, ComputeDevice};
use crate::rolling::Encode;
use crate::sequence::{Chunk, Sequence};
use crate::vision::Encoded;

/// Named results, each one the rows of several chunks or pictures after each other.
#[derive(Debug, Default)]
pub(super) struct Taps(BTreeMap<String, Vec<f32>>);

impl Taps {
    pub(super) fn add(&mut self, name: &str, values: &[f32]) {
        self.0.entry(name.into()).or_default().extend_from_slice(values);
    }

    pub(super) fn get(&self, name: &str) -> Option<&[f32]> {
        self.0.get(name).map(Vec::as_slice)
    }
}

/// A loaded model.
pub(super) struct Rig {
    pub(super) decoder: AnyDecoder,
    tower: Option<AnyTower>,
    scratch: RefCell<Scratch>,
    /// What [`Encode::encode`] computes is told to these.
    pub(super) taps: RefCell<Taps>,
}

impl Rig {
    pub(super) fn load(path: &Path, mmproj: Option<&Path>, device: &ComputeDevice) -> Result<Self> {
        let checkpoint = Checkpoint::open(path, mmproj).map_err(|e| e.to_string())?;
        let mut ignore = |_| ();
        let told = |e: crate::LoadError| e.to_string();
        let tower = match (&checkpoint.vision, &checkpoint.pictures) {
            (Some(vision), Some(weights)) => {
                Some(AnyTower::read(&**weights, vision.clone(), device, &mut ignore).map_err(told)?)
            }
            _ => None,
        };
        let decoder =
            AnyDecoder::read(&*checkpoint.text, checkpoint.config, device, &mut ignore).map_err(told)?;
        Ok(Self { decoder, tower, scratch: RefCell::default(), taps: RefCell::default() })
    }

    /// Encodes a picture of `grid` patches.
    pub(super) fn see(
        &self,
        rows: &[f32],
        grid: (usize, usize),
        tap: &mut dyn FnMut(&str, &[f32]),
    ) -> Result<Encoded> {
        let tower = self.tower.as_ref().ok_or("the model has no vision tower")?;
        Ok(tower.encode(rows, grid, Some(tap)))
    }

    pub(super) fn cache(&self) -> Cache {
        Cache::new(&Pool::new(Layout::of(self.decoder.config(), KvType::F32), 0), SinkPositions::Keep)
    }

    /// Encodes `sequence`, cut before the tokens `cuts`, and tells everything.
    pub(super) fn feed(&self, sequence: &Sequence, cuts: &[usize], cache: &mut Cache) -> Taps {
        let mut taps = Taps::default();
        let mut from = 0;
        for to in cuts.iter().copied().chain([sequence.len()]).filter(|to| *to <= sequence.len()) {
            if to > from {
                self.chunk(&sequence.chunk(from..to), cache, Target::Window, &mut taps);
                from = to;
            }
        }
        taps
    }

    /// Encodes one chunk; returns nothing but what `taps` see.
    fn chunk(&self, chunk: &Chunk<'_>, cache: &mut Cache, target: Target, taps: &mut Taps) {
        let mut tap = |name: &str, values: &[f32]| taps.add(name, values);
        let want = Want::Everything(&mut tap);
        self.decoder.forward(chunk, cache, target, &mut self.scratch.borrow_mut(), want);
    }

    /// Encodes one token and returns the logits behind it.
    pub(super) fn step(&self, token: u32, cache: &mut Cache) -> Vec<f32> {
        let taps = self.feed(&Sequence::text(&[token]), &[], cache);
        taps.get("text.logits").unwrap_or_default().to_vec()
    }
}

impl Encode for Rig {
    fn encode(&self, tokens: &Sequence, cache: &mut Cache, target: Target) {
        self.chunk(&tokens.chunk(0..tokens.len()), cache, target, &mut self.taps.borrow_mut());
    }
}

/// The models of a folder, each loaded when it is first needed.
pub(super) struct Rigs {
    folder: PathBuf,
    device: ComputeDevice,
    loaded: HashMap<String, Rc<Rig>>,
}

impl Rigs {
    pub(super) fn new(folder: &Path, device: &ComputeDevice) -> Self {
        Self { folder: folder.into(), device: device.clone(), loaded: HashMap::new() }
    }

    /// Where the weights of a case lie: its folder, and the pair of GGUF files with the same weights if there is one.
    pub(super) fn models(&self, about: &Value) -> Vec<String> {
        let name = about["model"].as_str().unwrap_or_default();
        let gguf = format!("gguf/{name}-f16.gguf");
        let mut models = vec![format!("models/{name}")];
        models.extend(self.folder.join(&gguf).is_file().then_some(gguf));
        models
    }

    pub(super) fn get(&mut self, model: &str) -> Result<Rc<Rig>> {
        if let Some(rig) = self.loaded.get(model) {
            return Ok(Rc::clone(rig));
        }
        let path = self.folder.join(model);
        let mmproj = model.strip_prefix("gguf/").map(|file| self.folder.join(format!("gguf/mmproj-{file}")));
        let rig = Rc::new(Rig::load(&path, mmproj.as_deref(), &self.device)?);
        self.loaded.insert(model.into(), Rc::clone(&rig));
        Ok(rig)
    }
}
