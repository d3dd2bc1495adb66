//! The packed matrix products against candle's `QMatMul` and against a dequantised f32 product, in the same run, for
//! the shapes of Qwen2.5-1.5B: `cargo run --release -p gist-qwen --example kernel_bench`.
//!
//! Contestants take turns call by call, each over copies of its matrix that together fit no cache when there is one
//! row (decode reads all weights once a token). Prints for each the median and the fastest time, GFLOP/s
//! (2 * rows * out * in / fastest) and GB/s of weights, then the tokens a second that the packed products alone allow.
//! `RAYON_NUM_THREADS` sets the threads.
#![allow(clippy::print_stdout)]

use candle_core::quantized::{GgmlDType, QMatMul, QStorage, QTensor};
use candle_core::{Device, Module, Result, Tensor};
use gist_qwen::kernels::PackedMatrix;
use rayon::prelude::*;
use std::borrow::Cow;
use std::hint::black_box;
use std::time::Instant;

/// One kind of matrix of the model: name, out, in, type, how many in the whole model.
type Shape = (&'static str, usize, usize, GgmlDType, usize);

const HIDDEN: usize = 1536;
const SHAPES: [Shape; 6] = [
    ("q, o", 1536, HIDDEN, GgmlDType::Q4K, 56),
    ("k, v", 256, HIDDEN, GgmlDType::Q4K, 56),
    ("gate, up", 8960, HIDDEN, GgmlDType::Q4K, 56),
    ("down", HIDDEN, 8960, GgmlDType::Q4K, 14),
    ("down", HIDDEN, 8960, GgmlDType::Q6K, 14),
    ("head", 151_936, HIDDEN, GgmlDType::Q6K, 1),
];
/// Types that the smaller model uses, for their speed alone.
const OTHERS: [Shape; 3] = [
    ("others", 4864, 896, GgmlDType::Q5_0, 0),
    ("others", 4864, 896, GgmlDType::Q8_0, 0),
    ("others", 4864, 1024, GgmlDType::Q5K, 0),
];

/// Something to measure: name, bytes of weights a call reads, the call.
type Contestant<'a> = (&'static str, usize, Box<dyn FnMut(usize) -> Result<()> + 'a>);

/// Median and least seconds of each contestant's calls (the argument counts them), over about `budget` seconds each.
fn race(budget: f64, contestants: &mut [Contestant]) -> Result<Vec<(f64, f64)>> {
    let mut times = vec![Vec::new(); contestants.len()];
    let start = Instant::now();
    for turn in 0.. {
        for ((_, _, call), times) in contestants.iter_mut().zip(&mut times) {
            let start = Instant::now();
            call(turn)?;
            times.push(start.elapsed().as_secs_f64());
        }
        if turn >= 8 && start.elapsed().as_secs_f64() > budget * contestants.len() as f64 {
            break;
        }
    }
    let of = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        (times[times.len() / 2], times[0])
    };
    Ok(times.iter_mut().map(of).collect())
}

/// The fastest GB/s of summing 512 MB on all threads: what decode is limited by.
fn memory_bandwidth() -> Result<f64> {
    let data = vec![1u64; 1 << 26];
    let bytes = size_of_val(data.as_slice());
    let read = |_| {
        let sum = data.par_chunks(1 << 18).map(|c| c.iter().fold(0u64, |a, b| a.wrapping_add(*b)));
        black_box(sum.sum::<u64>());
        Ok(())
    };
    Ok(bytes as f64 / race(1.0, &mut [("read", bytes, Box::new(read))])?[0].1 / 1e9)
}

fn copy(weights: &QTensor) -> Result<QTensor> {
    let bytes = Cow::Owned(weights.data()?.into_owned());
    QTensor::new(QStorage::from_data(bytes, &Device::Cpu, weights.dtype())?, weights.shape())
}

fn main() -> Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().build().map_err(candle_core::Error::wrap)?;
    pool.install(run)
}

fn run() -> Result<()> {
    let peers = std::env::args().all(|a| a != "--no-peers");
    println!("memory read: {:.1} GB/s, {} threads", memory_bandwidth()?, rayon::current_num_threads());
    for rows in [1, 64] {
        let mut total = 0.0;
        for shape in SHAPES.into_iter().chain(OTHERS) {
            // Only the last row of a prompt needs the head.
            if rows == 1 || shape.0 != "head" {
                total += shape.4 as f64 * measure(shape, rows, peers)?;
            }
        }
        println!("{rows} rows: the packed products alone allow {:.1} tokens/s", rows as f64 / total);
    }
    Ok(())
}

/// Prints a line for each contestant; returns the least seconds of the packed product.
fn measure((name, out, depth, dtype, _): Shape, rows: usize, peers: bool) -> Result<f64> {
    let device = &Device::Cpu;
    let weights = QTensor::quantize(&Tensor::randn(0f32, 0.02, (out, depth), device)?, dtype)?;
    let x = &Tensor::randn(0f32, 1.0, (rows, depth), device)?;
    let values = x.flatten_all()?.to_vec1::<f32>()?;
    let bytes = weights.storage_size_in_bytes();
    let copies = if rows == 1 { (200_000_000 / bytes).clamp(1, 56) } else { 1 };
    let Some(packed) = (0..copies).map(|_| PackedMatrix::pack(&weights)).collect::<Option<Vec<_>>>() else {
        candle_core::bail!("{dtype:?} is not packed")
    };
    let mut y = vec![0f32; rows * out];
    let mut contestants: Vec<Contestant> = vec![(
        "packed",
        packed[0].bytes(),
        Box::new(|turn| {
            packed[turn % copies].forward(&values, rows, &mut y);
            Ok(())
        }),
    )];
    if peers {
        if rows > 1 {
            let float = weights.dequantize(device)?.t()?;
            contestants.push((
                "f32",
                4 * out * depth,
                Box::new(move |_| x.matmul(&float).map(|y| drop(black_box(y)))),
            ));
        }
        let candle =
            (0..copies).map(|_| QMatMul::from_qtensor(copy(&weights)?)).collect::<Result<Vec<_>>>()?;
        let call = move |turn: usize| candle[turn % copies].forward(x).map(|y| drop(black_box(y)));
        contestants.push(("candle", bytes, Box::new(call)));
    }
    let times = race(0.7, &mut contestants)?;
    for ((who, bytes, _), (median, least)) in contestants.iter().zip(&times) {
        println!(
            "{rows:2} rows {name:8} {out:6}×{depth:4} {dtype:?} {who:6}: median {:8.3} ms, least {:8.3} ms {:6.1} GFLOP/s {:5.1} GB/s",
            median * 1e3,
            least * 1e3,
            2.0 * (rows * out * depth) as f64 / least / 1e9,
            *bytes as f64 / least / 1e9,
        );
    }
    Ok(times[0].1)
}
