//! What models have in common on the CPU: quantised matrix products, attention, element-wise loops, and the threads all
//! of it runs on.
//!
//! * [`PackedMatrix`], [`QuantizedRows`]: products of weights repacked for vector units and activations in 8 bits.
//!   `units`, `k_units`: the packed layouts and how GGUF blocks get there; `activations`: rows quantised to 8 bits with a
//!   scale each 32 values; `simd`: the vector code weights are unpacked with; `panel`: the loop over the depth; `scalar`,
//!   `avx2`, `avx512`: its inner kernel, chosen at run time by `Cpu`.
//! * [`kv`]: attention's inner loops over packed keys and values; [`attention`]: among rows that all see all.
//! * [`math`]: element-wise loops; [`mod@product`]: f32 matrices.
//! * [`team`]: threads that compute together; [`huge`]: memory for weights, keys and values.
//!
//! The result of a packed product differs from the exact one with the dequantised weights only by the quantisation of
//! the activations, each of which is off by at most `max|block| / 254` (blocks below 1.5e-36 become zero), so
//! `|error| ≤ Σ_blocks (max|x| / 254 + 1.5e-36) * Σ|w|`, plus the rounding of f32 sums; of [`QuantizedRows::fine`] it is
//! `max|x| / 64,000`. Of many rows, `x` is what they differ by from their mean.

mod activations;
pub mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod huge;
mod k_units;
pub mod kv;
pub mod math;
mod output;
mod panel;
pub mod product;
mod scalar;
mod simd;
pub mod team;
mod units;
pub mod wide;

pub use activations::{DRAFT, QuantizedRows};

use activations::{TileBlock, TileSums, Tiles};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use huge::Huge;
use k_units::{Q4K, Q5K, Q6K};
use output::Columns;
use panel::{Scratch, TILES};
use simd::Plain;
use std::sync::OnceLock;
use units::{BLOCK, Block, LANES, Q40, Q50, Q80, Unit};

/// Weight values times rows below which a second thread costs more than it brings (about 20 µs of one core).
const PARALLEL_FROM: usize = 1 << 18;
/// Parts of a product for each thread.
const PARTS: usize = 8;

/// The kernel to use: the best one, or that which the environment variable `STREAMGIST_CPU` names. AVX-VNNI and NEON are
/// not there yet: their variants go here, into `known`, into the `match`es below, and into files next to `avx2.rs`.
#[derive(Clone, Copy, Debug)]
enum Cpu {
    /// Any CPU.
    Portable,
    /// AVX2, FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
    /// AVX-512 with VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512),
}

impl Cpu {
    /// The fastest kernel that this CPU can run.
    fn detect() -> Self {
        static CPU: OnceLock<Cpu> = OnceLock::new();
        *CPU.get_or_init(|| {
            let most = std::env::var("STREAMGIST_CPU").unwrap_or_default();
            let cpus = Self::known();
            let allowed = cpus.iter().position(|cpu| cpu.name() == most).unwrap_or(cpus.len() - 1);
            cpus[allowed]
        })
    }

    /// The kernels that this CPU can run, the fastest last.
    fn known() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut cpus = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            cpus.extend(avx2::Avx2::detect().map(Self::Avx2));
            cpus.extend(avx512::Avx512::detect().map(Self::Avx512));
        }
        cpus
    }

    /// What `STREAMGIST_CPU` calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
        }
    }

    /// How many rows of activations to a tile, of so many.
    fn tile(self, rows: usize) -> usize {
        match self {
            _ if rows <= DRAFT => rows,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => activations::MANY,
            _ => activations::FEW,
        }
    }

    fn panel<U: Unit, const T: usize>(
        self,
        units: &[U],
        x: &[TileBlock<T>],
        sums: &mut [TileSums<T>],
        scratch: &mut Option<Scratch>,
    ) {
        match self {
            Self::Portable => panel::multiply(Plain, units, x, sums, scratch),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(avx2) => avx2.panel(units, x, sums, scratch),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(avx512) => avx512.panel(units, x, sums, scratch),
        }
    }
}

/// Runs `f`, and what is inlined into it, as code for this CPU.
pub fn vectorized<R>(f: impl FnOnce() -> R) -> R {
    match Cpu::detect() {
        Cpu::Portable => f(),
        #[cfg(target_arch = "x86_64")]
        Cpu::Avx2(avx2) => avx2.vectorized(f),
        #[cfg(target_arch = "x86_64")]
        Cpu::Avx512(avx512) => avx512.vectorized(f),
    }
}

/// Panel after panel; a panel is 16 output rows, its units in the order of the depth.
enum Units {
    Q4K(Huge<Q4K>),
    Q5K(Huge<Q5K>),
    Q6K(Huge<Q6K>),
    Q40(Huge<Q40>),
    Q50(Huge<Q50>),
    Q80(Huge<Q80>),
}

/// Runs the expression with the vector of units, whatever its type.
macro_rules! with_units {
    ($units:expr, $name:ident => $body:expr) => {
        match $units {
            Units::Q4K($name) => $body,
            Units::Q5K($name) => $body,
            Units::Q6K($name) => $body,
            Units::Q40($name) => $body,
            Units::Q50($name) => $body,
            Units::Q80($name) => $body,
        }
    };
}

/// A weight matrix `[out_features, in_features]` packed for this CPU.
pub struct PackedMatrix {
    units: Units,
    out_features: usize,
    in_features: usize,
    cpu: Cpu,
}

impl PackedMatrix {
    /// Packs a matrix. `None` when the type is not one of Q4_K, Q5_K, Q6_K, Q4_0, Q5_0, Q8_0, when the tensor is not
    /// a matrix, or when it is not in host memory: the caller keeps its reference path.
    #[must_use]
    pub fn pack(weights: &QTensor) -> Option<Self> {
        let (out_features, in_features) = weights.shape().dims2().ok()?;
        Self::from_bytes(weights.dtype(), &weights.data().ok()?, out_features, in_features)
    }

    /// Packs the row-major GGUF blocks of a matrix. `None` when the type is not supported or the length of `bytes`
    /// is not that of the shape.
    #[must_use]
    pub fn from_bytes(
        dtype: GgmlDType,
        bytes: &[u8],
        out_features: usize,
        in_features: usize,
    ) -> Option<Self> {
        let units = match dtype {
            GgmlDType::Q4K => Units::Q4K(pack_units(bytes, out_features, in_features)?),
            GgmlDType::Q5K => Units::Q5K(pack_units(bytes, out_features, in_features)?),
            GgmlDType::Q6K => Units::Q6K(pack_units(bytes, out_features, in_features)?),
            GgmlDType::Q4_0 => Units::Q40(pack_units(bytes, out_features, in_features)?),
            GgmlDType::Q5_0 => Units::Q50(pack_units(bytes, out_features, in_features)?),
            GgmlDType::Q8_0 => Units::Q80(pack_units(bytes, out_features, in_features)?),
            _ => return None,
        };
        Some(Self { units, out_features, in_features, cpu: Cpu::detect() })
    }

    /// Quantises the floats of a row-major matrix to 8 bits with a scale each 32 values (Q8_0) and packs them. `None`
    /// when rows are no multiple of 32 or `values` is not as long as the shape says.
    #[must_use]
    pub fn quantize(values: Vec<f32>, out_features: usize, in_features: usize) -> Option<Self> {
        let tensor = Tensor::from_vec(values, (out_features, in_features), &Device::Cpu).ok()?;
        Self::pack(&QTensor::quantize(&tensor, GgmlDType::Q8_0).ok()?)
    }

    /// Rows of the weight matrix: values in a row of the output.
    #[must_use]
    pub fn out_features(&self) -> usize {
        self.out_features
    }

    /// Columns of the weight matrix: values in a row of the input.
    #[must_use]
    pub fn in_features(&self) -> usize {
        self.in_features
    }

    /// Size in memory: what one decoded token reads.
    #[must_use]
    pub fn bytes(&self) -> usize {
        with_units!(&self.units, units => size_of_val(&**units))
    }

    /// `out[r, o] = Σ_k x[r, k] * w[o, k]`, with `x` quantised to 8 bits on the way. Row-major: `x` is
    /// `rows * in_features` long, `out` `rows * out_features`. Runs on all threads of the model.
    ///
    /// # Panics
    /// When a length is not that of the shape.
    pub fn forward(&self, x: &[f32], rows: usize, out: &mut [f32]) {
        self.forward_quantized(&QuantizedRows::new(x, rows, self.in_features), out);
    }

    /// [`Self::forward`] with activations that are quantised already, for several matrices with the same input.
    ///
    /// # Panics
    /// When `x` has not `in_features` values a row or `out` is not `rows * out_features` long.
    pub fn forward_quantized(&self, x: &QuantizedRows, out: &mut [f32]) {
        assert_eq!(x.features(), self.in_features, "activations must have in_features values a row");
        assert_eq!(out.len(), x.rows() * self.out_features, "output must be rows × out_features");
        with_units!(&self.units, units => match &x.tiles {
            Tiles::One(tiles) => self.multiply(units, tiles, x, out),
            Tiles::Two(tiles) => self.multiply(units, tiles, x, out),
            Tiles::Three(tiles) => self.multiply(units, tiles, x, out),
            Tiles::Draft(tiles) => self.multiply(units, tiles, x, out),
            Tiles::Few(tiles) => self.multiply(units, tiles, x, out),
            Tiles::Many(tiles) => self.multiply(units, tiles, x, out),
        });
    }

    #[allow(unsafe_code)]
    fn multiply<U: Unit, const T: usize>(
        &self,
        units: &[U],
        tiles: &[TileBlock<T>],
        x: &QuantizedRows,
        out: &mut [f32],
    ) {
        let (rows, planes, lead) = (x.rows(), x.planes, usize::from(x.centred));
        let blocks = self.in_features / BLOCK;
        let depth = blocks / U::BLOCKS;
        if out.is_empty() || depth == 0 {
            out.fill(0.0);
            return;
        }
        let out = Columns::new(out, self.out_features);
        let panel = |sums: &mut [TileSums<T>; TILES], scratch: &mut Option<Scratch>, panel: usize| {
            let column = panel * LANES;
            let width = LANES.min(self.out_features - column);
            let mut common = [0.0; LANES];
            for (batch, x) in tiles.chunks(TILES * blocks).enumerate() {
                let sums = &mut sums[..x.len() / blocks];
                self.cpu.panel(&units[panel * depth..][..depth], x, sums, scratch);
                let places = batch * TILES * T / planes..rows + lead;
                for (at, sums) in places.zip(sums.as_flattened().chunks_exact(planes)) {
                    let Some(row) = at.checked_sub(lead) else {
                        common = sums[0];
                        continue;
                    };
                    let mut values = common;
                    for sum in sums {
                        values.iter_mut().zip(sum).for_each(|(value, sum)| *value += *sum);
                    }
                    // SAFETY: a panel is worked on by one thread, and its columns belong to no other panel.
                    unsafe { out.write(row, column, &values[..width]) }
                }
            }
        };
        let panels = self.out_features.div_ceil(LANES);
        let work = LANES * self.in_features * rows * planes;
        // So many parts that threads finish together though some may be held up, and none too small to be worth it.
        let most = (panels * work / (PARALLEL_FROM / 4)).max(1);
        let parts =
            if panels * work < PARALLEL_FROM { 1 } else { most.min(PARTS * team::threads()).min(panels) };
        team::each(parts, |part| {
            let (mut sums, mut scratch) = ([[[0.0; LANES]; T]; TILES], None);
            (part * panels / parts..(part + 1) * panels / parts)
                .for_each(|i| panel(&mut sums, &mut scratch, i));
        });
    }

    /// Dequantises one row (embedding lookup): what candle's own dequantisation gives (Q5_K: within f32 rounding).
    ///
    /// # Panics
    /// When `index` is not below `out_features` or `out` is not `in_features` long.
    pub fn row(&self, index: usize, out: &mut [f32]) {
        assert!(index < self.out_features, "row {index} of {}", self.out_features);
        assert_eq!(out.len(), self.in_features, "a row has in_features values");
        with_units!(&self.units, units => dequantize_row(units, index, out));
    }
}

fn dequantize_row<U: Unit>(units: &[U], index: usize, out: &mut [f32]) {
    let depth = out.len() / BLOCK / U::BLOCKS;
    let (panel, lane) = (index / LANES, index % LANES);
    let mut blocks = [Block::ZERO; 8];
    let units = &units[panel * depth..][..depth];
    for (unit, out) in units.iter().zip(out.chunks_exact_mut(BLOCK * U::BLOCKS)) {
        unit.unpack(Plain, &mut blocks[..U::BLOCKS]);
        for (i, out) in out.iter_mut().enumerate() {
            let (block, k) = (&blocks[i / BLOCK], i % BLOCK);
            let half = if U::HALVES == 2 { k / (BLOCK / 2) } else { 0 };
            let (scale, q) = (block.scale[half][lane], block.q[k / 4][lane * 4 + k % 4]);
            let q = if U::SIGNED { f32::from(q.cast_signed()) } else { f32::from(q) - f32::from(U::BIAS) };
            *out = scale * q + if U::OFFSET { block.offset[lane] } else { 0.0 };
        }
    }
}

fn pack_units<U: Unit>(bytes: &[u8], out_features: usize, in_features: usize) -> Option<Huge<U>> {
    if !in_features.is_multiple_of(BLOCK * U::BLOCKS) {
        return None;
    }
    let depth = in_features / (BLOCK * U::BLOCKS);
    let row_bytes = depth.checked_mul(U::GGUF_BYTES)?;
    if bytes.len() != out_features.checked_mul(row_bytes)? {
        return None;
    }
    let mut units = Huge::filled(U::ZERO, out_features.div_ceil(LANES) * depth);
    if !units.is_empty() {
        team::pieces(&mut units, depth, |i, panel| {
            let bytes = &bytes[i * LANES * row_bytes..];
            for (lane, row) in bytes.chunks_exact(row_bytes).enumerate().take(LANES) {
                for (unit, gguf) in panel.iter_mut().zip(row.chunks_exact(U::GGUF_BYTES)) {
                    unit.set_row(lane, gguf);
                }
            }
        });
    }
    Some(units)
}

#[cfg(test)]
mod tests;
