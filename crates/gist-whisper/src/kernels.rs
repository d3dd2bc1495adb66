//! The few loops that candle does not have or has only slowly, compiled for AVX2 where the machine has it.
//!
//! Decoding one token is a chain of matrix-vector products: the speed of memory decides. Weights stay f16, half the
//! traffic of f32, and are widened row by row in the first-level cache.
#![allow(unsafe_code)]

use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

/// Defines `$name`, which runs `$body` compiled for AVX2 and FMA where the machine has them. `FMA` says which it is.
macro_rules! dispatch {
    ($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),*) $(-> $ret:ty)? = $body:ident) => {
        $(#[$doc])*
        pub(crate) fn $name($($arg: $type),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn wide($($arg: $type),*) $(-> $ret)? {
                    $body::<true>($($arg),*)
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    // SAFETY: the features were just found.
                    return unsafe { wide($($arg),*) };
                }
            }
            $body::<false>($($arg),*)
        }
    };
}

const LANES: usize = 16;

#[inline(always)]
fn multiply_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    // Without the instruction `mul_add` is a slow library call.
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
fn dot<const FMA: bool>(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            lanes[i] = multiply_add::<FMA>(a[i], b[i], lanes[i]);
        }
    }
    lanes.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

/// e^x by range reduction and a polynomial of degree 6; relative error below 1e-6, and vectorisable.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding and subtracting 1.5 * 2^23 rounds to an integer that also stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let t = x * std::f32::consts::LOG2_E + ROUND;
    let n = t - ROUND;
    let r = (x - n * 0.693_359_4) + n * 2.121_944_4e-4;
    let p = 1.0
        + r * (1.0
            + r * (0.5 + r * (0.166_666_55 + r * (0.041_665_796 + r * (0.008_333_452 + r * 0.001_388_9)))));
    p * f32::from_bits(
        ((t.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32).wrapping_add(127) << 23) as u32,
    )
}

/// The exact (erf) GELU; erf by Abramowitz and Stegun 7.1.26, error below 2e-7.
#[inline(always)]
fn gelu_body<const FMA: bool>(values: &mut [f32]) {
    for v in values {
        let z = v.abs() * std::f32::consts::FRAC_1_SQRT_2;
        let t = 1.0 / (1.0 + 0.327_591_1 * z);
        let p =
            t * (0.254_829_6 + t * (-0.284_496_74 + t * (1.421_413_7 + t * (-1.453_152 + t * 1.061_405_4))));
        let erf = (1.0 - p * exp(-z * z)).copysign(*v);
        *v = 0.5 * *v * (1.0 + erf);
    }
}

#[inline(always)]
fn softmax_body<const FMA: bool>(row: &mut [f32]) {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
    for v in row.iter_mut() {
        *v = exp(*v - max);
    }
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] += chunk[i];
        }
    }
    let scale = 1.0 / (lanes.iter().sum::<f32>() + rest.iter().sum::<f32>());
    for v in row {
        *v *= scale;
    }
}

/// `out[r * n + t] = weight[r] . x[t]` for the rows of `weight`.
#[inline(always)]
fn rows_body<const FMA: bool>(weight: &[f16], x: &[f32], k: usize, row: &mut [f32], out: &mut [f32]) {
    let n = x.len() / k;
    for (weight, out) in weight.chunks_exact(k).zip(out.chunks_exact_mut(n)) {
        weight.convert_to_f32_slice(row);
        for (x, out) in x.chunks_exact(k).zip(out) {
            *out = dot::<FMA>(row, x);
        }
    }
}

/// One head of attention for one query; `keys` and `values` hold a position every `stride` values.
#[inline(always)]
fn attend_body<const FMA: bool>(
    query: &[f32],
    keys: &[f32],
    values: &[f32],
    stride: usize,
    scores: &mut [f32],
    out: &mut [f32],
) {
    let d = query.len();
    for (score, key) in scores.iter_mut().zip(keys.chunks(stride)) {
        *score = dot::<FMA>(query, &key[..d]);
    }
    softmax_body::<FMA>(scores);
    out.fill(0.0);
    for (score, value) in scores.iter().zip(values.chunks(stride)) {
        for (o, v) in out.iter_mut().zip(&value[..d]) {
            *o = multiply_add::<FMA>(*score, *v, *o);
        }
    }
}

dispatch! {
    /// GELU in place.
    fn gelu_slice(values: &mut [f32]) = gelu_body
}
dispatch! {
    /// Softmax of one row in place.
    fn softmax(row: &mut [f32]) = softmax_body
}
dispatch! {
    fn rows(weight: &[f16], x: &[f32], k: usize, row: &mut [f32], out: &mut [f32]) = rows_body
}
dispatch! {
    /// One head of attention for one query over `scores.len()` positions.
    fn attend(
        query: &[f32], keys: &[f32], values: &[f32], stride: usize, scores: &mut [f32], out: &mut [f32]
    ) = attend_body
}

/// GELU in place, on all cores.
pub(crate) fn gelu(values: &mut [f32]) {
    values.par_chunks_mut(1 << 14).for_each(gelu_slice);
}

/// Softmax of each row of `width` in place, on all cores.
pub(crate) fn softmax_rows(values: &mut [f32], width: usize) {
    values.par_chunks_mut(width * 16).for_each(|rows| rows.chunks_mut(width).for_each(softmax));
}

/// `x [n, k]` times the transpose of `weight [m, k]`: `[n, m]`.
pub(crate) fn matmul(x: &[f32], weight: &[f16], k: usize) -> Vec<f32> {
    const ROWS: usize = 64;
    let (n, m) = (x.len() / k, weight.len() / k);
    let mut columns = vec![0.0; n * m];
    let tasks = columns.par_chunks_mut(n * ROWS).zip(weight.par_chunks(k * ROWS));
    tasks.for_each_init(|| vec![0.0; k], |row, (out, weight)| rows(weight, x, k, row, out));
    if n == 1 {
        return columns;
    }
    let mut out = vec![0.0; n * m];
    for (r, column) in columns.chunks_exact(n).enumerate() {
        for (t, v) in column.iter().enumerate() {
            out[t * m + r] = *v;
        }
    }
    out
}

/// Layer normalisation of each row of `gamma.len()`, with Whisper's epsilon.
pub(crate) fn layer_norm(x: &[f32], gamma: &[f32], beta: &[f32]) -> Vec<f32> {
    let d = gamma.len();
    let mut out = x.to_vec();
    for row in out.chunks_exact_mut(d) {
        let mean = row.iter().sum::<f32>() / d as f32;
        let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / d as f32;
        let scale = 1.0 / (variance + 1e-5).sqrt();
        for ((v, g), b) in row.iter_mut().zip(gamma).zip(beta) {
            *v = (*v - mean) * scale * g + b;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gelu_is_exact_to_six_digits() {
        // From scipy: x * norm.cdf(x).
        for (x, want) in [
            (-3.0, -0.004_049_694),
            (-0.5, -0.154_268_77),
            (0.0, 0.0),
            (1.0, 0.841_344_7),
            (4.0, 3.999_873_3),
        ] {
            let mut v = [x];
            gelu_slice(&mut v);
            assert!((v[0] - want).abs() < 2e-6, "gelu({x}) = {}, not {want}", v[0]);
        }
    }

    #[test]
    fn softmax_sums_to_one_and_survives_masks() {
        let mut row: Vec<f32> = (0..37).map(|i| i as f32 * 3.0 - 40.0).collect();
        row[5] = f32::NEG_INFINITY;
        softmax(&mut row);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert!(row[5] < 1e-30);
    }

    #[test]
    fn matmul_agrees_with_the_definition() {
        let (n, k, m) = (3, 37, 130);
        let x: Vec<f32> = (0..n * k).map(|i| ((i * 7 % 11) as f32 - 5.0) / 4.0).collect();
        let w: Vec<f16> = (0..m * k).map(|i| f16::from_f32(((i * 5 % 13) as f32 - 6.0) / 8.0)).collect();
        let out = matmul(&x, &w, k);
        for t in 0..n {
            for r in 0..m {
                let want: f32 = (0..k).map(|i| x[t * k + i] * w[r * k + i].to_f32()).sum();
                assert!((out[t * m + r] - want).abs() < 1e-3);
            }
        }
    }
}
