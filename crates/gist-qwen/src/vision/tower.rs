//! The tower: patches, positions, blocks, mergers; f32 activations in plain slices.
//!
//! The formulas are those of `modeling_qwen3_vl` of Hugging Face transformers; [`super::reference`] has them as they
//! read.

use std::fmt::Display;

use super::Encoded;
use super::block::{Block, Scratch};
use super::config::VisionConfig;
use super::layers::Affine;
use super::merger::{MERGED, Merger};
use super::positions::{Rope, add_learned};
use crate::error::LoadError;
use crate::picture::{MERGE_SIZE, PATCH_VALUES};
use crate::weights::Weights;
use gist_kernels::attention;

/// Sees what lies between the stages, by the names of the parity fixtures: `patch_embed`, `with_pos_embed`,
/// `rope_cos`, `rope_sin`, `block{i}`, `deepstack{j}`, `merger`; rows in the order of the patches.
pub(crate) type Tap<'a> = &'a mut dyn FnMut(&str, &[f32]);

/// The weights of a vision tower.
pub(crate) struct VisionTower {
    pub(crate) config: VisionConfig,
    pub(super) patch_embed: Affine,
    /// `[side * side, hidden]`
    pub(super) positions: Vec<f32>,
    pub(super) blocks: Vec<Block>,
    pub(super) merger: Merger,
    /// In the order of `config.deepstack`.
    pub(super) deepstack: Vec<Merger>,
}

/// Whether a shape makes sense, before anything is read by it.
pub(super) fn check(weights: &dyn Weights, config: &VisionConfig) -> Result<(), LoadError> {
    let VisionConfig { hidden, depth, heads, intermediate, out_hidden, side, .. } = *config;
    if [hidden, depth, heads, intermediate, out_hidden, side].contains(&0) {
        return Err(weights.invalid("a size of the vision tower is zero".into()));
    }
    if hidden % heads != 0 || (hidden / heads) % 4 != 0 {
        let what = format!("a vision tower {hidden} wide cannot have {heads} attention heads");
        return Err(weights.invalid(what));
    }
    let deepstack = &config.deepstack;
    if deepstack.iter().any(|layer| *layer >= depth) || !deepstack.is_sorted_by(|a, b| a < b) {
        let what = format!("deepstack layers {deepstack:?} do not fit {depth} blocks of the vision tower");
        return Err(weights.invalid(what));
    }
    Ok(())
}

impl VisionTower {
    /// Reads the weights; `progress` gets 0 to 1.
    ///
    /// # Errors
    /// When a tensor is missing, of another shape or damaged.
    pub(crate) fn read(
        weights: &dyn Weights,
        config: VisionConfig,
        progress: &mut (dyn FnMut(f32) + Send),
    ) -> Result<Self, LoadError> {
        check(weights, &config)?;
        let VisionConfig { hidden, side, .. } = config;
        // A merger is about as large as two blocks.
        let steps = (config.depth + 2 * (1 + config.deepstack.len())) as f32;
        let mut done = 0.0;
        let mut step = |size: f32| {
            done += size;
            progress(done / steps);
        };
        let patch_embed = Affine::read(weights, "v.patch_embd", hidden, PATCH_VALUES)?;
        let positions = weights.floats("v.position_embd.weight", &[side * side, hidden])?;
        let blocks = (0..config.depth)
            .map(|i| Block::read(weights, i, &config).inspect(|_| step(1.0)))
            .collect::<Result<_, LoadError>>()?;
        let deepstack = config
            .deepstack
            .iter()
            .map(|layer| Merger::deepstack(weights, &config, *layer).inspect(|_| step(2.0)))
            .collect::<Result<_, LoadError>>()?;
        let merger = Merger::last(weights, &config)?;
        step(2.0);
        Ok(Self { config, patch_embed, positions, blocks, merger, deepstack })
    }

    /// The same with matrices of halves in integers of 14 bits, where that is faster. Their rounding moves features about as
    /// much as that of f16.
    pub(crate) fn in_integers(mut self) -> Self {
        let blocks = self.blocks.iter_mut().flat_map(|block| {
            [&mut block.qkv, &mut block.output, &mut block.feed.first, &mut block.feed.second]
        });
        let mergers = self.deepstack.iter_mut().chain([&mut self.merger]);
        let mergers = mergers.flat_map(|merger| [&mut merger.feed.first, &mut merger.feed.second]);
        for affine in blocks.chain(mergers).chain([&mut self.patch_embed]) {
            if let Some(wide) = affine.matrix.wide() {
                affine.matrix = wide;
            }
        }
        self
    }

    /// Encodes a pair: `patches` is `[h * w, 1536]` in the order of the processor (2 × 2 blocks of patches one after
    /// the other), `grid` the height and width in patches, both even. `tap` sees each stage.
    ///
    /// # Panics
    /// When the grid is empty or odd, or `patches` of another length.
    pub(crate) fn encode(&self, patches: &[f32], grid: (usize, usize), mut tap: Option<Tap<'_>>) -> Encoded {
        let VisionConfig { hidden, side, .. } = self.config;
        let rows = grid.0 * grid.1;
        assert!(
            rows > 0 && grid.0.is_multiple_of(MERGE_SIZE) && grid.1.is_multiple_of(MERGE_SIZE),
            "no whole tokens"
        );
        assert_eq!(patches.len(), rows * PATCH_VALUES, "patches for another grid");
        let mut see = |name: &dyn Display, values: &[f32]| {
            if let Some(tap) = &mut tap {
                tap(&name.to_string(), values);
            }
        };

        let mut x = vec![0.0; rows * hidden];
        self.patch_embed.forward(patches, rows, &mut x);
        see(&"patch_embed", &x);
        add_learned(&self.positions, side, grid, hidden, &mut x);
        see(&"with_pos_embed", &x);
        let head_dim = hidden / self.config.heads;
        let rope = Rope::new(grid, head_dim);
        see(&"rope_cos", &Rope::doubled(&rope.cos, head_dim));
        see(&"rope_sin", &Rope::doubled(&rope.sin, head_dim));

        let mut scratch = Scratch::new(rows, &self.config);
        let mut deepstack = Vec::with_capacity(self.deepstack.len());
        for (i, block) in self.blocks.iter().enumerate() {
            block.forward(&mut x, &rope, &mut scratch);
            see(&format_args!("block{i}"), &x);
            if let Some(j) = self.config.deepstack.iter().position(|layer| *layer == i) {
                let features = self.deepstack[j].forward(&x);
                see(&format_args!("deepstack{j}"), &features);
                deepstack.push(features);
            }
        }
        let merged = self.merger.forward(&x);
        see(&"merger", &merged);
        Encoded { grid: (grid.0 / MERGE_SIZE, grid.1 / MERGE_SIZE), rows: merged, deepstack }
    }

    /// Bytes of the weights as held.
    pub(crate) fn bytes(&self) -> u64 {
        let blocks: u64 = self.blocks.iter().map(Block::bytes).sum();
        let mergers: u64 = self.deepstack.iter().map(Merger::bytes).sum();
        let positions = 4 * self.positions.len() as u64;
        self.patch_embed.bytes() + positions + blocks + mergers + self.merger.bytes()
    }
}

impl VisionConfig {
    /// Bytes that [`VisionTower::encode`] takes at most besides the weights and the patches, its result included.
    pub(crate) fn scratch_bytes(&self, grid: (usize, usize)) -> u64 {
        let VisionConfig { hidden, heads, out_hidden, .. } = *self;
        let patches = grid.0 * grid.1;
        // The stream, the two narrow activations and the wide one, which a product holds twice while it puts its
        // blocks together.
        let blocks = patches * (3 * hidden + 2 * Scratch::width(self));
        let mergers = patches / MERGED * out_hidden * (1 + self.deepstack.len());
        let scores = attention::scratch_bytes(patches, heads);
        4 * (blocks + mergers) as u64 + scores
    }

    /// Floating-point operations of the products in [`VisionTower::encode`], two for a multiplication with its addition.
    pub(crate) fn flops(&self, grid: (usize, usize)) -> u64 {
        let VisionConfig { hidden, depth, intermediate, out_hidden, .. } = *self;
        let patches = grid.0 * grid.1;
        let block = 4 * hidden * hidden + 2 * hidden * intermediate + 2 * patches * hidden;
        let width = MERGED * hidden;
        let mergers = (1 + self.deepstack.len()) * (width * width + width * out_hidden);
        let each = |n: usize, products: usize| 2 * n as u64 * products as u64;
        each(patches, PATCH_VALUES * hidden + depth * block) + each(patches / MERGED, mergers)
    }
}
