//! The vector kernels against the portable ones.

use proptest::prelude::*;

use super::*;

/// Compares every operation of `arch` on these vectors and bytes.
#[derive(Clone)]
struct Same {
    x: Vec<f32>,
    bytes: Vec<u8>,
}

fn near(a: f32, b: f32, bound: f32) {
    assert!((a - b).abs() <= bound, "{a} is not {b} to {bound}");
}

impl Same {
    fn codes<A: Arch, C: Codes, const G: usize>(&self, arch: A) {
        // G vectors, their scales and zeros.
        let inner = self.x.len() / (G + 2) / INNER * INNER;
        let (x, rest) = self.x.split_at(G * inner);
        let (scales, zeros) = (&rest[..inner], &rest[inner..2 * inner]);
        let (mut ours, mut theirs) = (vec![[[0; UNIT]; G]; inner / UNIT], vec![[[0; UNIT]; G]; inner / UNIT]);
        let steps = arch.quantize(x, scales, zeros, &mut ours);
        let same = Portable.quantize(x, scales, zeros, &mut theirs);
        assert_eq!(ours, theirs);
        for (step, same) in steps.iter().zip(&same) {
            assert!(step.size == same.size && step.sum == same.sum);
            near(step.offset, same.offset, 1e-3);
        }
        let units = &C::units(&self.bytes)[..inner / UNIT];
        assert_eq!(
            arch.codes::<C, G>(units, &ours, &steps, 64),
            Portable.codes::<C, G>(units, &ours, &steps, 64)
        );
        for unit in units {
            assert_eq!(arch.unpack::<C>(unit), Portable.unpack::<C>(unit));
        }
    }

    fn floats<A: Arch, F: Floats, const G: usize>(&self, arch: A) {
        let x = self.x.as_chunks::<G>().0;
        let lines = &F::lines(&self.bytes)[..x.len().min(self.bytes.len() / size_of::<F::Line>())];
        let (ours, theirs) = (arch.floats::<F, G>(lines, x, 64), Portable.floats::<F, G>(lines, x, 64));
        for (a, b) in ours.as_flattened().iter().zip(theirs.as_flattened()) {
            near(*a, *b, 1e-4 * (1.0 + b.abs()));
        }
        assert!(lines.iter().all(|line| arch.widen::<F>(line) == Portable.widen::<F>(line)));
    }
}

impl Task for Same {
    fn run<A: Arch>(self, arch: A) {
        self.codes::<A, Q8, 1>(arch);
        self.codes::<A, Q8, 6>(arch);
        self.codes::<A, Q4, 2>(arch);
        self.codes::<A, Q4, 5>(arch);
        let mut sum = self.x.clone();
        let mut same = sum.clone();
        let (a, b) = (arch.exp_sum(&mut sum, 3.0), Portable.exp_sum(&mut same, 3.0));
        near(a, b, 1e-5 * b);
        sum.iter().zip(&same).for_each(|(a, b)| near(*a, *b, 1e-6 * b));
        // Bytes of which floats are made hold numbers.
        let floats: Vec<u8> = self.x.iter().flat_map(|x| x.to_le_bytes()).collect();
        let halves: Vec<u8> = self.x.iter().flat_map(|x| half::f16::from_f32(*x).to_le_bytes()).collect();
        let (mut ours, mut theirs) = (vec![0.0; self.x.len()], vec![0.0; self.x.len()]);
        arch.halves(halves.as_chunks().0, &mut ours);
        Portable.halves(halves.as_chunks().0, &mut theirs);
        assert_eq!(ours, theirs);
        Self { bytes: floats, x: self.x.clone() }.floats::<A, F32, 4>(arch);
        Self { bytes: halves, x: self.x }.floats::<A, F16, 3>(arch);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_cpu_computes_the_same(
        x in prop::collection::vec(-4.0f32..4.0, 64..600),
        bytes in prop::collection::vec(any::<u8>(), 64 * 100),
    ) {
        everywhere(&Same { x, bytes });
    }
}

fn everywhere(same: &Same) {
    Cpu::known().into_iter().for_each(|cpu| run_on(cpu, same.clone()));
}

/// Sums of the largest products, as long as a head can be, are where 32 bits would overflow.
#[test]
fn extremes_do_not_overflow() {
    for inner in [64, 128, 256, 512, 1024] {
        for (byte, code) in [(0x7f, 127.0), (0x81, -127.0)] {
            let (x, bytes) = (vec![3.0; 3 * inner], vec![byte; inner * LANES]);
            let mut quantized = vec![[[0; UNIT]; 1]; inner / UNIT];
            let (ones, zeros) = (vec![1.0; inner], vec![0.0; inner]);
            let steps = Portable.quantize(&x[..inner], &ones, &zeros, &mut quantized);
            let [sums] = Portable.codes::<Q8, 1>(Q8::units(&bytes), &quantized, &steps, 0);
            let want = 3.0 * code * inner as f32;
            sums.iter().for_each(|sum| near(*sum, want, 1e-3 * want.abs()));
            everywhere(&Same { x, bytes });
        }
    }
}

struct ExpSum<'a>(&'a mut [f32], &'a mut f32);

impl Task for ExpSum<'_> {
    fn run<A: Arch>(self, arch: A) {
        *self.1 = arch.exp_sum(self.0, 1.0);
    }
}

#[test]
fn a_score_that_is_no_number_stays_visible_on_every_cpu() {
    for at in [0, 5, 17, 63] {
        for cpu in Cpu::known() {
            let mut scores = [0.5; 64];
            scores[at] = f32::NAN;
            let mut sum = 0.0;
            run_on(cpu, ExpSum(&mut scores, &mut sum));
            assert!(sum.is_nan() && scores[at].is_nan(), "at {at} on {}", cpu.name());
        }
    }
}

#[test]
fn what_is_no_number_stays_visible() {
    for fault in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut x = [1.0; 32];
        x[5] = fault;
        let mut quantized = vec![[[0; UNIT]; 1]; 8];
        let steps = Portable.quantize(&x, &[1.0; 32], &[0.0; 32], &mut quantized);
        let [sums] = Portable.codes::<Q8, 1>(Q8::units(&[1; 512]), &quantized, &steps, 0);
        assert!(sums.iter().all(|sum| sum.is_nan()));
    }
}
