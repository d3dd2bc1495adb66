//! The kernels against products of the floats as they were, in f64.

use proptest::prelude::*;

use super::*;

fn matrix(w: &[f32], out_features: usize, in_features: usize, cpu: Cpu) -> WideMatrix {
    WideMatrix::of_rows(out_features, in_features, cpu, |row, out| {
        out.copy_from_slice(&w[row * in_features..][..in_features]);
    })
}

fn product(matrix: &WideMatrix, x: &[f32], rows: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; rows * matrix.out_features];
    matrix.forward(&WideRows::new(x, rows, matrix.in_features), &mut out);
    out
}

fn top(x: &[f32]) -> f64 {
    x.iter().fold(0.0, |top, x| top.max(x.abs().into()))
}

/// Each product is off by at most half a step of either factor, and both.
fn check(w: &[f32], x: &[f32], rows: usize, in_features: usize, cpu: Cpu) {
    let out_features = w.len() / in_features;
    let out = product(&matrix(w, out_features, in_features, cpu), x, rows);
    for (x, out) in x.chunks_exact(in_features).zip(out.chunks_exact(out_features)) {
        for (w, out) in w.chunks_exact(in_features).zip(out) {
            let half = |top: f64, most: f32| top / f64::from(2.0 * most) * 1.0001;
            let w_half = half(top(w), MOST);
            let (mut want, mut bound) = (0.0, 1e-30);
            for (w, x) in w.chunks(BLOCK).zip(x.chunks(BLOCK)) {
                let sum = x.iter().map(|x| f64::from(x.abs())).sum();
                let x_half = half(top(x), MOST).max(half(sum, MOST_SUM));
                for (w, x) in w.iter().zip(x).map(|(w, x)| (f64::from(*w), f64::from(*x))) {
                    want += w * x;
                    bound += (w.abs() * x_half) + (x.abs() * w_half) + w_half * x_half + 1e-6 * (w * x).abs();
                }
            }
            let error = (f64::from(*out) - want).abs();
            assert!(error <= bound, "{out} is not {want} to {bound} on {}", cpu.name());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_cpu_computes_the_product(
        rows in 1usize..20,
        out_features in 1usize..40,
        in_features in 1usize..600,
        exponents in (-8i32..8, -8i32..8),
        seed in any::<u64>(),
    ) {
        let mut state = seed | 1;
        let mut random = |n: usize, exponent: i32| -> Vec<f32> {
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
            };
            // Some far larger than the others.
            (0..n).map(|_| next() * 2f32.powi(exponent) * if next() > 0.95 { 50.0 } else { 1.0 }).collect()
        };
        let w = random(out_features * in_features, exponents.0);
        let x = random(rows * in_features, exponents.1);
        Cpu::known().into_iter().for_each(|cpu| check(&w, &x, rows, in_features, cpu));
    }
}

/// The largest sums of products are where 32 bits would overflow.
#[test]
fn extremes_do_not_overflow() {
    for sign in [1.0, -1.0] {
        for cpu in Cpu::known() {
            check(&vec![3.0 * sign; 5 * 4304], &vec![7.0; 9 * 4304], 9, 4304, cpu);
        }
    }
}

#[test]
fn more_rows_than_a_batch_are_each_as_alone() {
    let w: Vec<f32> = (0..48 * 1024).map(|i| (i as f32 * 0.37).sin()).collect();
    let x: Vec<f32> = (0..200 * 1024).map(|i| (i as f32 * 0.11).cos()).collect();
    for cpu in Cpu::known() {
        let matrix = matrix(&w, 48, 1024, cpu);
        let all = product(&matrix, &x, 200);
        for row in [0, 5, 6, 97, 199] {
            assert_eq!(all[row * 48..][..48], product(&matrix, &x[row * 1024..][..1024], 1), "row {row}");
        }
    }
}

#[test]
fn what_is_no_number_stays_visible() {
    for fault in [f32::NAN, f32::INFINITY] {
        let (mut w, mut x) = (vec![1.0; 20 * 64], vec![1.0; 7 * 64]);
        (w[3 * 64 + 5], x[2 * 64 + 40]) = (fault, fault);
        for cpu in Cpu::known() {
            for (i, out) in product(&matrix(&w, 20, 64, cpu), &x, 7).iter().enumerate() {
                assert_eq!(out.is_nan(), i / 20 == 2 || i % 20 == 3, "output {i} on {}", cpu.name());
            }
        }
    }
}

#[test]
fn rows_are_those_given_to_half_a_step() {
    let w: Vec<f32> = (0..20 * 45).map(|i| (i as f32 * 0.7).sin()).collect();
    let matrix = matrix(&w, 20, 45, Cpu::Portable);
    let mut row = vec![0.0; 45];
    for (index, w) in w.chunks_exact(45).enumerate() {
        matrix.row(index, &mut row);
        row.iter().zip(w).for_each(|(x, w)| assert!((x - w).abs() <= 0.5001 / MOST, "{x} is not {w}"));
    }
}
