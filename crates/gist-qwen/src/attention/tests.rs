//! Attention against full attention in f64 over the numbers that pages hold.

use proptest::prelude::*;

use super::*;
use crate::kv::{Cache, KvType, Layout, Part, Pool, SinkPositions, Target};
use gist_kernels::team::Team;

#[derive(Clone, Debug)]
struct Case {
    kv_type: KvType,
    head_dim: usize,
    kv_heads: usize,
    group: usize,
    rows: usize,
    /// Of each region: tokens appended, and those let go again at its beginning.
    regions: [(usize, usize); 3],
    seed: u64,
}

fn case() -> impl Strategy<Value = Case> {
    (
        prop::sample::select(&[KvType::F32, KvType::F16, KvType::Q8, KvType::Q4][..]),
        prop::sample::select(&[8usize, 20, 32, 64, 128][..]),
        1usize..3,
        prop::sample::select(&[1usize, 2, 6, 7, 8][..]),
        prop::sample::select(&[1usize, 2, 4, 5, 33, 64][..]),
        [(0usize..70, 0usize..70), (0usize..150, 0usize..150), (0usize..700, 0usize..300)],
        any::<u64>(),
    )
        .prop_map(|(kv_type, head_dim, kv_heads, group, rows, regions, seed)| Case {
            kv_type,
            head_dim,
            kv_heads,
            group,
            rows,
            regions,
            seed,
        })
}

struct Noise(u64);

impl Noise {
    fn take(&mut self, n: usize, scale: f32) -> Vec<f32> {
        let mut next = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            scale * ((self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0)
        };
        (0..n).map(|_| next()).collect()
    }
}

fn write(cache: &mut Cache, target: Target, n: usize, width: usize, noise: &mut Noise) {
    let region = cache.region_mut(target);
    region.reserve(n);
    region.write(0, Part::Key, &mut noise.take(n * width, 2.0));
    region.write(0, Part::Value, &mut noise.take(n * width, 2.0));
}

/// What row `row` and query head `head` should get.
fn oracle(sections: &[Section<'_>], queries: Queries<'_>, row: usize, head: usize) -> Vec<f64> {
    let Queries { heads, head_dim, .. } = queries;
    let key_head = head / queries.group();
    let (mut scores, mut values) = (Vec::new(), Vec::new());
    let mut buffer = vec![0.0; head_dim];
    for (section, rotated) in sections.iter().zip(queries.rotated) {
        let query = &rotated[(row * heads + head) * head_dim..][..head_dim];
        for token in 0..section.visible(row) {
            section.region.read(0, Part::Key, key_head, token, &mut buffer);
            let dot: f64 = query.iter().zip(&buffer).map(|(q, k)| f64::from(*q) * f64::from(*k)).sum();
            scores.push(dot / (head_dim as f64).sqrt());
            section.region.read(0, Part::Value, key_head, token, &mut buffer);
            values.push(buffer.clone());
        }
    }
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let column = |i: usize| weights.iter().zip(&values).map(|(w, v)| w / sum * f64::from(v[i])).sum();
    (0..head_dim).map(column).collect()
}

fn check(case: &Case) {
    let Case { kv_type, head_dim, kv_heads, group, rows, regions, seed } = *case;
    let (heads, width) = (kv_heads * group, kv_heads * head_dim);
    let layout = Layout { layers: 1, kv_heads, head_dim, kv_type };
    let mut cache = Cache::new(&Pool::new(layout, 20), SinkPositions::Moving);
    let noise = &mut Noise(seed);
    for (target, (tokens, gone)) in [Target::Pinned, Target::Memory, Target::Window].into_iter().zip(regions)
    {
        let mut at = 0;
        while at < tokens {
            let n = 50.min(tokens - at);
            write(&mut cache, target, n, width, noise);
            cache.region_mut(target).commit((at..at + n).map(|t| t as i64), (at + n) as i64);
            at += n;
        }
        cache.region_mut(target).drop_front(gone);
    }
    write(&mut cache, Target::Window, rows, width, noise);
    let sections = cache.sections(Target::Window);
    let rotated: Vec<Vec<f32>> = sections.iter().map(|_| noise.take(rows * heads * head_dim, 1.5)).collect();
    let rotated: Vec<&[f32]> = rotated.iter().map(Vec::as_slice).collect();
    let queries = Queries { rotated: &rotated, rows, heads, kv_heads, head_dim };
    let (mut partials, mut out) = (Vec::new(), vec![0.0; rows * heads * head_dim]);
    // What an earlier call left must not matter.
    for _ in 0..2 {
        attend(0, &sections, queries, None, &mut partials, &mut out);
    }
    for (row, head) in (0..rows).step_by(rows.div_ceil(5)).flat_map(|r| (0..heads).map(move |h| (r, h))) {
        let want = oracle(&sections, queries, row, head);
        for (got, want) in out[(row * heads + head) * head_dim..].iter().zip(&want) {
            // Quantising queries and weights to 16 bits is all that is not exact.
            let bound = if matches!(kv_type, KvType::Q8 | KvType::Q4) { 1e-3 } else { 1e-4 };
            assert!((f64::from(*got) - want).abs() < bound, "row {row}, head {head}: {got} is not {want}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equals_full_attention_over_what_pages_hold(case in case()) {
        check(&case);
    }
}

#[test]
fn any_number_of_threads_comes_to_the_same() {
    let case = Case {
        kv_type: KvType::Q8,
        head_dim: 64,
        kv_heads: 2,
        group: 6,
        rows: 1,
        regions: [(40, 0), (70, 10), (3000, 100)],
        seed: 5,
    };
    for threads in [1, 2, 7, 16] {
        let pool = Team::new(threads).unwrap();
        for rows in [1, 20] {
            pool.install(|| check(&Case { rows, ..case.clone() }));
        }
    }
}

fn with_budget(case: &Case, budget: usize) -> (Vec<f32>, Vec<f32>, f64) {
    let (heads, width) = (case.kv_heads * case.group, case.kv_heads * case.head_dim);
    let layout =
        Layout { layers: 1, kv_heads: case.kv_heads, head_dim: case.head_dim, kv_type: case.kv_type };
    let pool = Pool::new(layout, 64);
    let mut cache = Cache::new(&pool, SinkPositions::Keep);
    let mut noise = Noise(case.seed);
    for _ in 0..case.regions[2].0.div_ceil(64) {
        write(&mut cache, Target::Window, 64, width, &mut noise);
        cache.region_mut(Target::Window).commit((0..64).map(i64::from), 64);
    }
    write(&mut cache, Target::Window, 1, width, &mut noise);
    let query = noise.take(heads * case.head_dim, 3.0);
    let rotated = [&query[..]];
    let sections = cache.sections(Target::Window);
    let queries =
        Queries { rotated: &rotated, rows: 1, heads, kv_heads: case.kv_heads, head_dim: case.head_dim };
    let run = |budget| {
        let (mut partials, mut out) = (Vec::new(), vec![0.0; query.len()]);
        attend(0, &sections, queries, budget, &mut partials, &mut out);
        out
    };
    (run(None), run(Some(budget)), recall(0, &sections, queries, budget))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// All pages are exact attention; of fewer, what is not read is what the share says.
    #[test]
    fn a_budget_keeps_what_its_share_says(case in case(), budget in 1usize..8) {
        let case = Case { group: case.group.min(4), ..case };
        let pages = case.regions[2].0.div_ceil(64);
        let (exact, all, kept) = with_budget(&case, pages + 1);
        prop_assert_eq!(&exact, &all);
        prop_assert!(kept > 0.999_999, "{kept}");
        let (exact, some, kept) = with_budget(&case, budget);
        let packed = matches!(case.kv_type, KvType::Q8 | KvType::Q4);
        prop_assert!((0.0..=1.000_001).contains(&kept));
        if !packed {
            prop_assert_eq!(exact, some, "pages of floats have no summaries: all are read");
        } else if kept > 0.999 {
            let off = exact.iter().zip(&some).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            prop_assert!(off < 0.1, "{off} though {kept} of the weight is there");
        }
    }
}

/// A page with the one key that a query looks for is found among many.
#[test]
fn the_page_that_answers_is_among_the_first() {
    let layout = Layout { layers: 1, kv_heads: 1, head_dim: 64, kv_type: KvType::Q8 };
    let pool = Pool::new(layout, 64);
    let mut cache = Cache::new(&pool, SinkPositions::Keep);
    let mut noise = Noise(5);
    let query = noise.take(64, 1.0);
    for page in 0..40 {
        let region = cache.region_mut(Target::Window);
        region.reserve(64);
        let mut keys = noise.take(64 * 64, 0.5);
        if page == 17 {
            keys[30 * 64..31 * 64].iter_mut().zip(&query).for_each(|(key, q)| *key = 4.0 * q);
        }
        region.write(0, Part::Key, &mut keys);
        region.write(0, Part::Value, &mut noise.take(64 * 64, 1.0));
        region.commit((0..64).map(i64::from), 64);
    }
    write(&mut cache, Target::Window, 1, 64, &mut noise);
    let sections = cache.sections(Target::Window);
    let rotated = [&query[..]];
    let queries = Queries { rotated: &rotated, rows: 1, heads: 1, kv_heads: 1, head_dim: 64 };
    let chosen = sparse::choose(0, &sections, queries, 0, 2);
    assert!(chosen[17], "{chosen:?}");
    assert_eq!(chosen.iter().filter(|c| **c).count(), 3, "two, and the page being filled");
    assert!(recall(0, &sections, queries, 2) > 0.9);
}
