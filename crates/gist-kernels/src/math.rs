//! Element-wise loops: on all threads, in a form the compiler turns into vector code for this CPU.

use crate::{team, vectorized};

/// Values that one task of an element-wise loop takes: enough to be worth a task, few enough to stay in the cache.
const PIECE: usize = 1 << 14;

/// Runs `f` on pieces of whole rows of `x`, `[rows, width]`, in parallel; `f` gets the number of the first row, too.
pub fn by_rows(x: &mut [f32], width: usize, f: impl Fn(usize, &mut [f32]) + Sync) {
    let rows = PIECE.div_ceil(width);
    team::pieces(x, rows * width, |i, piece| vectorized(|| f(i * rows, piece)));
}

/// The largest element.
#[inline(always)]
pub fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let chunks = x.chunks_exact(16);
    let rest = chunks.remainder().iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = if *x > *lane { *x } else { *lane };
        }
    }
    // Halves on halves: one lane after the other would wait for each.
    for width in [8, 4, 2, 1] {
        let (left, right) = lanes.split_at_mut(width);
        left.iter_mut().zip(right).for_each(|(a, b)| *a = if *b > *a { *b } else { *a });
    }
    rest.max(lanes[0])
}

/// `x = exp(x - top)` in place; returns the sum.
#[inline(always)]
pub fn exp_sum(x: &mut [f32], top: f32) -> f32 {
    let mut lanes = [0.0f32; 16];
    let mut chunks = x.chunks_exact_mut(16);
    for chunk in &mut chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *x = exp(*x - top);
            *lane += *x;
        }
    }
    let mut sum = 0.0;
    for x in chunks.into_remainder() {
        *x = exp(*x - top);
        sum += *x;
    }
    sum + lanes.iter().sum::<f32>()
}

/// `gate = silu(gate) * up`.
pub fn silu_mul(gate: &mut [f32], up: &[f32]) {
    by_rows(gate, 1, |first, gate| {
        for (g, u) in gate.iter_mut().zip(&up[first..]) {
            *g = *g / (1.0 + exp(-*g)) * u;
        }
    });
}

/// `out = x / rms(x) * weight`, row by row.
pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let n = weight.len();
    by_rows(out, n, |first, out| {
        for (x, out) in x[first * n..].chunks_exact(n).zip(out.chunks_exact_mut(n)) {
            let scale = 1.0 / (squares(x) / n as f32 + eps).sqrt();
            for ((out, x), w) in out.iter_mut().zip(x).zip(weight) {
                *out = x * scale * w;
            }
        }
    });
}

/// [`rms_norm`] in place.
pub fn rms_norm_in_place(x: &mut [f32], weight: &[f32], eps: f32) {
    let n = weight.len();
    by_rows(x, n, |_, x| {
        for x in x.chunks_exact_mut(n) {
            let scale = 1.0 / (squares(x) / n as f32 + eps).sqrt();
            x.iter_mut().zip(weight).for_each(|(x, w)| *x *= scale * w);
        }
    });
}

/// `Σ x²`
#[inline(always)]
fn squares(x: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    let chunks = x.chunks_exact(16);
    let rest: f32 = chunks.remainder().iter().map(|x| x * x).sum();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += x * x;
        }
    }
    rest + lanes.iter().sum::<f32>()
}

/// `out = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias`, row by row.
pub fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) {
    let n = weight.len();
    by_rows(out, n, |first, out| {
        for (x, out) in x[first * n..].chunks_exact(n).zip(out.chunks_exact_mut(n)) {
            let middle = moments(x, 0.0).0 / n as f32;
            // The sum above is rounded; what is left over the rounded mean corrects both moments, so that a row far
            // off zero keeps its digits.
            let (rest, squares) = moments(x, middle);
            let rest = rest / n as f32;
            let scale = 1.0 / (squares / n as f32 - rest * rest + eps).sqrt();
            for (((out, x), w), b) in out.iter_mut().zip(x).zip(weight).zip(bias) {
                *out = (x - middle - rest) * scale * w + b;
            }
        }
    });
}

/// `Σ (x - middle)` and `Σ (x - middle)²`
#[inline(always)]
fn moments(x: &[f32], middle: f32) -> (f32, f32) {
    let (mut sums, mut squares) = ([0.0f32; 16], [0.0f32; 16]);
    let chunks = x.chunks_exact(16);
    for (i, x) in chunks.remainder().iter().enumerate() {
        let d = x - middle;
        (sums[i], squares[i]) = (d, d * d);
    }
    for chunk in chunks {
        for ((sum, square), x) in sums.iter_mut().zip(&mut squares).zip(chunk) {
            let d = x - middle;
            *sum += d;
            *square += d * d;
        }
    }
    (sums.iter().sum(), squares.iter().sum())
}

/// `x = gelu(x + bias)`, row by row, in the tanh form: `x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
pub fn gelu_tanh(x: &mut [f32], bias: &[f32]) {
    // x/2 · (1 + tanh u) = x / (1 + e^(-2u))
    const FACTOR: f32 = -2.0 * 0.797_884_6;
    with_bias(x, bias, |v| v / (1.0 + exp(FACTOR * (v + 0.044_715 * v * v * v))));
}

/// `x = gelu(x + bias)`, row by row, in the exact form: `x/2 · (1 + erf(x / √2))`.
pub fn gelu_erf(x: &mut [f32], bias: &[f32]) {
    with_bias(x, bias, |v| 0.5 * v * (1.0 + erf(v * std::f32::consts::FRAC_1_SQRT_2)));
}

/// `x += bias`, row by row.
pub fn add_bias(x: &mut [f32], bias: &[f32]) {
    with_bias(x, bias, |v| v);
}

/// `x = f(x + bias)`, row by row.
fn with_bias(x: &mut [f32], bias: &[f32], f: impl Fn(f32) -> f32 + Sync) {
    by_rows(x, bias.len(), |_, rows| {
        for row in rows.chunks_exact_mut(bias.len()) {
            row.iter_mut().zip(bias).for_each(|(x, b)| *x = f(*x + b));
        }
    });
}

/// The error function to 4e-7, without a branch: an odd polynomial over an even one, `|x| ≤ 4` (beyond, it is 1 to
/// within f32). The coefficients are those of Eigen and XLA.
#[inline(always)]
#[allow(clippy::excessive_precision, reason = "as published")]
fn erf(x: f32) -> f32 {
    let x = if x < -4.0 { -4.0 } else { x };
    let x = if x > 4.0 { 4.0 } else { x };
    let y = x * x;
    let p = -2.726_142_258_013_06e-10;
    let p = p * y + 2.770_681_424_959_02e-08;
    let p = p * y - 2.101_024_020_821_08e-06;
    let p = p * y - 5.692_506_394_623_46e-05;
    let p = p * y - 7.349_906_303_268_55e-04;
    let p = p * y - 2.954_599_808_540_25e-03;
    let p = p * y - 1.609_603_332_624_15e-02;
    let q = -1.456_607_184_649_96e-05;
    let q = q * y - 2.133_740_552_789_05e-04;
    let q = q * y - 1.682_826_974_382_03e-03;
    let q = q * y - 7.373_329_167_204_68e-03;
    let q = q * y - 1.426_473_905_141_89e-02;
    x * p / q
}

/// `x += y`
pub fn add(x: &mut [f32], y: &[f32]) {
    by_rows(x, 1, |first, x| x.iter_mut().zip(&y[first..]).for_each(|(x, y)| *x += y));
}

/// `e^x` to 2 units in the last place, without a branch: `2^n · p(r)` with `|r| ≤ ln 2 / 2`, clamped to the range in
/// which neither overflows. The coefficients are Cephes' `expf`.
#[inline(always)]
#[allow(clippy::excessive_precision, reason = "as published")]
fn exp(x: f32) -> f32 {
    // Adding and taking off 1.5 · 2^23 rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let n = x * std::f32::consts::LOG2_E + ROUND - ROUND;
    let r = x - n * 0.693_359_375 + n * 2.121_944_4e-4;
    let p = 1.987_569_15e-4;
    let p = p * r + 1.398_199_95e-3;
    let p = p * r + 8.333_451_9e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_55e-1;
    let p = p * r + 5.000_000_12e-1;
    let p = p * r * r + r + 1.0;
    p * f32::from_bits(((n as i32 + 127) as u32) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_exact_to_a_few_ulps() {
        for i in -8700..=8800 {
            let x = i as f32 / 100.0;
            let (got, want) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((got - want).abs() <= 4e-7 * want, "exp({x}) is {got}, not {want}");
        }
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
        assert!(exp(1000.0).is_finite());
    }

    #[test]
    fn max_and_sum_take_in_the_last_elements() {
        let mut x: Vec<f32> = (0..37).map(|i| i as f32).collect();
        assert_eq!(max(&x), 36.0);
        let sum = exp_sum(&mut x, 36.0);
        assert!((sum - 1.581_977).abs() < 1e-5);
    }

    /// `erf` by its series, which f64 carries to 1e-13 up to 3.5; beyond it is 1 to within 1e-6.
    fn erf_series(x: f64) -> f64 {
        if x.abs() > 3.5 {
            return x.signum();
        }
        let mut term = x;
        let sum: f64 = (1..100).fold(x, |sum, n| {
            term *= -x * x / f64::from(n);
            sum + term / f64::from(2 * n + 1)
        });
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    #[test]
    fn erf_and_both_gelus_keep_to_their_formulas() {
        for i in -8000..=8000 {
            let x = i as f32 / 1000.0;
            let wide = f64::from(x);
            assert!((f64::from(erf(x)) - erf_series(wide)).abs() < 8e-7, "erf({x})");
            let exact = 0.5 * wide * (1.0 + erf_series(wide / 2f64.sqrt()));
            let u = (2.0 / std::f64::consts::PI).sqrt() * (wide + 0.044_715 * wide.powi(3));
            let tanh = 0.5 * wide * (1.0 + u.tanh());
            let (mut a, mut b) = ([x - 0.25], [x - 0.25]);
            gelu_erf(&mut a, &[0.25]);
            gelu_tanh(&mut b, &[0.25]);
            let near = |got: f32, want: f64| (f64::from(got) - want).abs() < 2e-6;
            assert!(near(a[0], exact), "gelu({x}) is {}, not {exact}", a[0]);
            assert!(near(b[0], tanh), "tanh gelu({x}) is {}, not {tanh}", b[0]);
        }
        let mut far = [-1e4, 1e4];
        gelu_tanh(&mut far, &[0.0]);
        assert!(far[0].abs() < 1e-20 && far[1] == 1e4);
    }

    #[test]
    fn layer_norm_keeps_its_digits_far_from_zero() {
        for (n, offset) in [(5, 0.0), (64, 300.0), (1152, -1000.0)] {
            let x: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37).sin() + offset).collect();
            let weight: Vec<f32> = (0..n).map(|i| 1.0 + i as f32 / n as f32).collect();
            let mut out = vec![0.0; n];
            layer_norm(&x, &weight, &vec![0.5; n], 1e-6, &mut out);
            let wide = x.iter().map(|x| f64::from(*x));
            let mean = wide.clone().sum::<f64>() / n as f64;
            let variance = wide.clone().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
            for ((got, x), w) in out.iter().zip(wide).zip(&weight) {
                let want = (x - mean) / (variance + 1e-6).sqrt() * f64::from(*w) + 0.5;
                assert!((f64::from(*got) - want).abs() < 5e-6, "{got} is not {want}");
            }
        }
    }
}
