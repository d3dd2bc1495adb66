//! The kernels against a slow oracle: candle's dequantised weights, accumulated in f64.

use super::activations::Source;
use super::simd::half_to_f32;
use super::*;
use candle_core::Device;
use candle_core::quantized::QStorage;
use proptest::prelude::*;
use std::borrow::Cow;

const TYPES: [GgmlDType; 6] =
    [GgmlDType::Q4K, GgmlDType::Q5K, GgmlDType::Q6K, GgmlDType::Q4_0, GgmlDType::Q5_0, GgmlDType::Q8_0];

/// xorshift64*, enough to fill matrices.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// What the quants and scales of a test matrix hold.
#[derive(Clone, Copy, Debug)]
enum Fill {
    Random,
    AllOnes,
    AllZeros,
    /// The most negative quant and scale of signed types.
    SignBits,
}

/// GGUF blocks with arbitrary quants and finite f16 scales of either sign, subnormal ones among them.
fn gguf(dtype: GgmlDType, out: usize, depth: usize, fill: Fill, seed: u64) -> Vec<u8> {
    let random = &mut Random(seed | 1);
    let size = dtype.type_size();
    let mut bytes: Vec<u8> = (0..out * depth / dtype.block_size() * size)
        .map(|_| match fill {
            Fill::Random => (random.next() >> 32) as u8,
            Fill::AllOnes => 0xff,
            Fill::AllZeros => 0,
            Fill::SignBits => 0x80,
        })
        .collect();
    let halves: &[usize] = match dtype {
        GgmlDType::Q4K | GgmlDType::Q5K => &[0, 2],
        GgmlDType::Q6K => &[208],
        _ => &[0],
    };
    for block in bytes.chunks_mut(size) {
        for &at in halves {
            let magnitude = 2f32.powi(-(random.next() as u32 as i32 & 15) - 3);
            let half = half::f16::from_f32(random.unit() * magnitude);
            block[at..at + 2].copy_from_slice(&half.to_le_bytes());
        }
    }
    bytes
}

fn qtensor(dtype: GgmlDType, bytes: &[u8], out: usize, depth: usize) -> QTensor {
    let storage = QStorage::from_data(Cow::Owned(bytes.to_vec()), &Device::Cpu, dtype).unwrap();
    QTensor::new(storage, (out, depth)).unwrap()
}

fn dequantized(weights: &QTensor) -> Vec<f32> {
    weights.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// What the kernels see of the activations, row-major, plane after plane of each row; behind what all have in common.
fn seen(x: &QuantizedRows) -> Vec<f32> {
    fn values<const T: usize>(tiles: &[TileBlock<T>], rows: usize, features: usize) -> Vec<f32> {
        let blocks = features / BLOCK;
        let value = |r: usize, k: usize| {
            let block = &tiles[r / T * blocks + k / BLOCK];
            let q = block.q[k % BLOCK / 4][r % T].to_le_bytes()[k % 4].cast_signed();
            assert_ne!(q, i8::MIN);
            block.scale[r % T] * f32::from(q)
        };
        (0..rows * features).map(|i| value(i / features, i % features)).collect()
    }
    let rows = x.rows() * x.planes + usize::from(x.centred);
    match &x.tiles {
        Tiles::One(tiles) => values(tiles, rows, x.features()),
        Tiles::Two(tiles) => values(tiles, rows, x.features()),
        Tiles::Three(tiles) => values(tiles, rows, x.features()),
        Tiles::Draft(tiles) => values(tiles, rows, x.features()),
        Tiles::Few(tiles) => values(tiles, rows, x.features()),
        Tiles::Many(tiles) => values(tiles, rows, x.features()),
    }
}

/// `Σ (|scale * (q - BIAS)| + |offset|) * |x|`: the magnitudes that the kernels add up, which the rounding is relative to.
fn magnitude(matrix: &PackedMatrix, o: usize, x: &[f32]) -> f64 {
    fn of<U: Unit>(units: &[U], o: usize, x: &[f32]) -> f64 {
        let mut blocks = vec![Block::ZERO; x.len() / BLOCK];
        let depth = blocks.len() / U::BLOCKS;
        for (unit, out) in units[o / LANES * depth..].iter().zip(blocks.chunks_mut(U::BLOCKS)) {
            unit.unpack(Plain, out);
        }
        let lane = o % LANES;
        let term = |k: usize| {
            let (block, half) = (&blocks[k / BLOCK], k % BLOCK / (BLOCK / U::HALVES));
            let q = f64::from(block.q[k % BLOCK / 4][lane * 4 + k % 4]);
            let q = if U::SIGNED { 128.0 } else { (q - f64::from(U::BIAS)).abs() };
            let weight = f64::from(block.scale[half][lane].abs()) * q;
            (weight + f64::from(block.offset[lane].abs())) * f64::from(x[k].abs())
        };
        (0..x.len()).map(term).sum()
    }
    with_units!(&matrix.units, units => of(units, o, x))
}

fn forward(matrix: &mut PackedMatrix, cpu: Cpu, x: &QuantizedRows) -> Vec<f32> {
    matrix.cpu = cpu;
    let mut out = vec![f32::NAN; x.rows() * matrix.out_features()];
    matrix.forward_quantized(x, &mut out);
    out
}

/// Checks the kernels of this CPU against the oracle, and the embedding lookup against candle.
fn check(dtype: GgmlDType, out: usize, depth: usize, x: &[f32], fill: Fill, seed: u64) {
    let rows = x.len() / depth;
    let bytes = gguf(dtype, out, depth, fill, seed);
    let weights = qtensor(dtype, &bytes, out, depth);
    let mut matrix = PackedMatrix::pack(&weights).unwrap();
    let w = dequantized(&weights);
    let mut row = vec![0.0; depth];
    for o in [0, out / 2, out - 1] {
        matrix.row(o, &mut row);
        let expected = &w[o * depth..][..depth];
        if dtype == GgmlDType::Q5K {
            let top = expected.iter().fold(0f32, |top, w| top.max(w.abs()));
            assert!(row.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-6 * top), "{dtype:?} row {o}");
        } else {
            assert_eq!(row, expected, "{dtype:?} row {o}");
        }
    }

    check_products(&mut matrix, &w, &QuantizedRows::new(x, rows, depth), x, 254.0);
    check_products(&mut matrix, &w, &QuantizedRows::fine(x, rows, depth), x, 254.0 * 252.0);
}

/// `steps`: to how many steps of the largest value of a block an activation is off at most.
fn check_products(matrix: &mut PackedMatrix, w: &[f32], quantized: &QuantizedRows, x: &[f32], steps: f64) {
    let (rows, depth, out, planes) =
        (quantized.rows(), matrix.in_features, matrix.out_features, quantized.planes);
    let seen = seen(quantized);
    let (centre, seen) = seen.split_at(if quantized.centred { depth } else { 0 });
    let of_all: Vec<_> = Cpu::known().into_iter().map(|cpu| forward(matrix, cpu, quantized)).collect();
    // Three roundings a block (two, fused), each relative to what has been added so far.
    let roundings = (depth / 16 * 4 + 8) as f64 * f64::from(f32::EPSILON);
    for r in 0..rows {
        let (x, own) = (&x[r * depth..][..depth], &seen[r * planes * depth..][..planes * depth]);
        // What is rounded.
        let mut rest = x.to_vec();
        rest.iter_mut().zip(centre).for_each(|(rest, centre)| *rest -= centre);
        for o in 0..out {
            let w = &w[o * depth..][..depth];
            let dot =
                |x: &[f32]| -> f64 { w.iter().zip(x).map(|(&w, &x)| f64::from(w) * f64::from(x)).sum() };
            let parts = || own.chunks(depth).chain(centre.chunks(depth));
            let magnitudes = parts().map(|part| magnitude(matrix, o, part));
            let rounding = roundings * magnitudes.sum::<f64>() + 1e-37;
            let exact: f64 = parts().map(dot).sum();
            // The bound of the module's documentation.
            let quantization: f64 = w
                .chunks(BLOCK)
                .zip(rest.chunks(BLOCK))
                .map(|(w, x)| {
                    let top = x.iter().fold(0f32, |top, x| top.max(x.abs()));
                    let weights: f64 = w.iter().map(|w| f64::from(w.abs())).sum();
                    (f64::from(top) / steps * 1.0001 + 1.5e-36) * weights
                })
                .sum();
            for (cpu, result) in Cpu::known().iter().zip(&of_all) {
                let result = f64::from(result[r * out + o]);
                let place = format!("{planes} planes on {} [{r}, {o}]", cpu.name());
                assert!((result - exact).abs() <= rounding, "{place}: {result} is not {exact} ± {rounding}");
                let (error, bound) = ((result - dot(x)).abs(), quantization + rounding);
                assert!(error <= bound, "{place}: off by {error}, bound {bound}");
            }
        }
    }
}

fn activations(rows: usize, depth: usize, seed: u64) -> Vec<f32> {
    let random = &mut Random(seed | 1);
    // Rows and blocks of very different size, as after real norms, with outliers.
    (0..rows * depth)
        .map(|i| {
            let outlier = if random.next().is_multiple_of(97) { 40.0 } else { 1.0 };
            random.unit() * outlier * 10f32.powi((i / BLOCK) as i32 % 7 - 3)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equals_the_oracle(
        dtype in proptest::sample::select(&TYPES[..]),
        out in 1usize..=70,
        units in 1usize..=11,
        rows in prop_oneof![1usize..=6, 7usize..=70],
        seed: u64,
    ) {
        let depth = (units * 32).next_multiple_of(dtype.block_size());
        check(dtype, out, depth, &activations(rows, depth, seed), Fill::Random, seed);
    }

    #[test]
    fn hostile_floats_reach_only_their_own_rows(
        dtype in proptest::sample::select(&TYPES[..]),
        bits in proptest::collection::vec(any::<u32>(), 3 * 256),
        rows in proptest::sample::select(&[3, 40][..]),
        faulty in 0usize..3,
        fault in proptest::sample::select(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY][..]),
    ) {
        let mut x: Vec<f32> = bits.into_iter().map(f32::from_bits).cycle().take(rows * 256).collect();
        for (r, row) in x.chunks_mut(256).enumerate() {
            for x in row.iter_mut().filter(|x| x.is_nan() || x.abs() >= 1e30) {
                *x = 1.0;
            }
            if r == faulty {
                row[100] = fault;
            }
        }
        let bytes = gguf(dtype, 17, 256, Fill::Random, 7);
        let mut matrix = PackedMatrix::from_bytes(dtype, &bytes, 17, 256).unwrap();
        for cpu in Cpu::known() {
            let out = forward(&mut matrix, cpu, &QuantizedRows::new(&x, rows, 256));
            for (r, out) in out.chunks(17).enumerate() {
                prop_assert!(out.iter().all(|y| y.is_nan() == (r == faulty)));
            }
        }
    }
}

/// Sums of the largest products are where 16 bits would overflow.
#[test]
fn extremes_do_not_overflow() {
    for dtype in TYPES {
        for fill in [Fill::AllOnes, Fill::AllZeros, Fill::SignBits] {
            for magnitude in [1.0, 1e30, 1e-30, 1e-38, 1e-44, 0.0] {
                for rows in [1, 3, 5] {
                    for signs in [[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]] {
                        let x: Vec<f32> = (0..rows * 512).map(|i| magnitude * signs[i % 2]).collect();
                        check(dtype, 17, 512, &x, fill, 3);
                    }
                }
            }
        }
    }
}

/// Enough work for the pool, and more rows than one batch of tiles.
#[test]
fn threads_and_batches_cover_everything() {
    for rows in [1, 2, 3, DRAFT, 70] {
        check(GgmlDType::Q4K, 1000, 512, &activations(rows, 512, 11), Fill::Random, 5);
        check(GgmlDType::Q8_0, 333, 1056, &activations(rows, 1056, 12), Fill::Random, 6);
    }
}

#[test]
fn quantises_the_same_on_every_cpu() {
    let x = activations(4, 512, 21);
    let source = Source { x: &x, features: 512, centre: Vec::new() };
    let mut portable = vec![TileBlock::<4>::ZERO; 16];
    let mut fast = portable.clone();
    source.tile(0, &mut portable);
    vectorized(|| source.tile(0, &mut fast));
    for (a, b) in portable.iter().zip(&fast) {
        assert_eq!((a.q, a.scale, a.sum, a.pairs), (b.q, b.scale, b.sum, b.pairs));
    }
}

/// Channels that are large in every row cost the others of their block no precision.
#[test]
fn what_many_rows_have_in_common_is_not_rounded() {
    let (rows, depth) = (41, 64);
    let mut random = Random(31);
    let large = |k: usize| if k.is_multiple_of(BLOCK) { 3000.0 } else { 0.0 };
    let x: Vec<f32> = (0..rows * depth).map(|i| random.unit() + large(i % depth)).collect();
    let (centred, alone) = (QuantizedRows::new(&x, rows, depth), QuantizedRows::new(&x[..depth], 1, depth));
    let (centred, alone) = (seen(&centred), seen(&alone));
    let worst =
        |value: &dyn Fn(usize) -> f32| (0..depth).map(|k| (value(k) - x[k]).abs()).fold(0.0, f32::max);
    let (centred, alone) = (worst(&|k| centred[k] + centred[depth + k]), worst(&|k| alone[k]));
    assert!(centred < alone / 100.0, "off by {centred}, alone by {alone}");
}

#[test]
fn halves_convert_exactly() {
    for bits in 0..=u16::MAX {
        let (ours, theirs) = (half_to_f32(bits), half::f16::from_bits(bits).to_f32());
        assert!(ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan()), "{bits:#x}");
    }
}

#[test]
fn refuses_what_it_cannot_pack() {
    let bytes = gguf(GgmlDType::Q4K, 4, 256, Fill::Random, 1);
    assert!(PackedMatrix::from_bytes(GgmlDType::Q4K, &bytes, 4, 256).is_some());
    assert!(PackedMatrix::from_bytes(GgmlDType::Q4K, &bytes, 5, 256).is_none());
    assert!(PackedMatrix::from_bytes(GgmlDType::Q4K, &bytes[1..], 4, 256).is_none());
    assert!(PackedMatrix::from_bytes(GgmlDType::Q4K, &bytes, 8, 128).is_none());
    assert!(PackedMatrix::from_bytes(GgmlDType::Q4K, &bytes, usize::MAX, usize::MAX & !255).is_none());
    assert!(PackedMatrix::from_bytes(GgmlDType::Q2K, &bytes, 4, 256).is_none());
}
