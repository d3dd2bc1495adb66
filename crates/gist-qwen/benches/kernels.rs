//! Matrix products with packed weights, and with halves in integers of 14 bits: bytes of weights a second for one row to
//! four, operations a second for 64, each with the share of what the machine could do, measured between them in the same run: a plain sum of memory, a large
//! f32 product.
//!
//!     cargo bench -p gist-qwen --bench kernels
//!     STREAMGIST_CPU=avx2 cargo bench -p gist-qwen --bench kernels -- q4_k

#![allow(clippy::print_stdout, reason = "criterion does not tell shares of limits")]

use std::time::{Duration, Instant};

use candle_core::quantized::GgmlDType;
use criterion::{BenchmarkId, Criterion, Throughput};
use gist_kernels::wide::{WideMatrix, WideRows};
use gist_kernels::{DRAFT, PackedMatrix, QuantizedRows};
use gist_qwen::bench::limits::Limits;

/// The largest matrix of Qwen2.5-1.5B.
const OUTPUTS: usize = 8960;
const INPUTS: usize = 1536;
/// As many matrices as no cache holds.
const BYTES: usize = 256 << 20;

const TYPES: [(&str, GgmlDType); 6] = [
    ("q4_k", GgmlDType::Q4K),
    ("q5_k", GgmlDType::Q5K),
    ("q6_k", GgmlDType::Q6K),
    ("q4_0", GgmlDType::Q4_0),
    ("q5_0", GgmlDType::Q5_0),
    ("q8_0", GgmlDType::Q8_0),
];

fn matrix(dtype: GgmlDType) -> PackedMatrix {
    let size = OUTPUTS * INPUTS / dtype.block_size() * dtype.type_size();
    // Of the bytes, those that are scales are small numbers; speed depends on none of them.
    let bytes: Vec<u8> = (0..size).map(|i| (i * 37 % 23) as u8).collect();
    PackedMatrix::from_bytes(dtype, &bytes, OUTPUTS, INPUTS).expect("a type that can be packed")
}

/// A matrix of halves.
fn wide() -> Option<WideMatrix> {
    WideMatrix::new(OUTPUTS, INPUTS, |row, out| {
        out.iter_mut().enumerate().for_each(|(k, x)| *x = ((row + k) % 23) as f32);
    })
}

fn activations(rows: usize) -> Vec<f32> {
    (0..rows * INPUTS).map(|i| (i as f32 * 0.37).sin()).collect()
}

/// Times `multiply`, which takes a matrix of `weights` bytes by turns, and tells its share of what could be.
fn measure<'a, M>(
    criterion: &mut Criterion,
    limits: &mut Limits,
    (name, rows): (&str, usize),
    (matrices, weights): (&'a [M], usize),
    mut multiply: impl FnMut(&'a M, &mut [f32]),
) -> Option<String> {
    let flops = 2 * OUTPUTS * INPUTS * rows;
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.throughput(if rows <= DRAFT {
        Throughput::Bytes(weights as u64)
    } else {
        Throughput::Elements(flops as u64)
    });
    let mut out = vec![0.0; rows * OUTPUTS];
    let mut best = f64::INFINITY;
    group.bench_function(BenchmarkId::from_parameter(format!("{rows} rows")), |bencher| {
        let mut matrices = matrices.iter().cycle();
        bencher.iter_custom(|times| {
            let start = Instant::now();
            matrices.by_ref().take(times as usize).for_each(|matrix| multiply(matrix, &mut out));
            let took = start.elapsed();
            best = best.min(took.as_secs_f64() / times as f64);
            took
        });
    });
    group.finish();
    // Infinite where it was filtered out.
    best.is_finite().then(|| {
        if rows <= DRAFT {
            let (ours, limit) = (weights as f64 / best, limits.read());
            format!("{name}, {rows} rows: {:.1} GB/s, {:.0} % of reading", ours / 1e9, 100.0 * ours / limit)
        } else {
            let (ours, limit) = (flops as f64 / best, limits.product());
            let share = 100.0 * ours / limit;
            format!("{name}, {rows} rows: {:.0} GFLOP/s, {share:.0} % of an f32 product", ours / 1e9)
        }
    })
}

fn kernels(criterion: &mut Criterion) {
    let mut limits = Limits::default();
    let mut shares = Vec::new();
    for (name, dtype) in TYPES {
        let weights = matrix(dtype).bytes();
        let mut matrices = Vec::new();
        matrices.resize_with(BYTES.div_ceil(weights), || matrix(dtype));
        for rows in [1, 2, 3, DRAFT, 64] {
            let x = QuantizedRows::new(&activations(rows), rows, INPUTS);
            let weights = (&matrices[..], weights);
            shares.extend(measure(criterion, &mut limits, (name, rows), weights, |matrix, out| {
                matrix.forward_quantized(&x, out);
            }));
        }
    }
    let matrices: Vec<WideMatrix> = std::iter::from_fn(wide).take(BYTES / (2 * OUTPUTS * INPUTS)).collect();
    for rows in [1, 64].into_iter().filter(|_| !matrices.is_empty()) {
        let x = WideRows::new(&activations(rows), rows, INPUTS);
        let (name, weights) = (("halves", rows), (&matrices[..], matrices[0].bytes()));
        shares.extend(measure(criterion, &mut limits, name, weights, |matrix, out| matrix.forward(&x, out)));
    }
    for share in shares {
        println!("{share}");
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    kernels(&mut criterion);
    criterion.final_summary();
}
