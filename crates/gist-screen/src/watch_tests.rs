use super::*;

/// A blank slide with dark rectangles `(left, top, width, height)` in blocks.
fn slide(rectangles: &[(usize, usize, usize, usize)]) -> Thumbnail {
    let mut means = vec![230; BLOCKS];
    for &(left, top, width, height) in rectangles {
        for y in top..top + height {
            means[y * COLUMNS + left..][..width].fill(150);
        }
    }
    Thumbnail(means)
}

/// Looks at each thumbnail in turn, accepting what settles; the times that settled with their `since`.
fn run(looks: impl IntoIterator<Item = Thumbnail>) -> Vec<(u64, u64)> {
    let mut watch = Watch::default();
    let mut settled = Vec::new();
    for (time, thumbnail) in looks.into_iter().enumerate() {
        if let Verdict::Settled { since } = watch.look(time as u64, thumbnail) {
            settled.push((time as u64, since));
            watch.accept();
        }
    }
    settled
}

const ONE: &[(usize, usize, usize, usize)] = &[(4, 4, 30, 2), (4, 10, 20, 1)];
const TWO: &[(usize, usize, usize, usize)] = &[(4, 4, 20, 2), (4, 12, 30, 1), (4, 14, 30, 1)];

#[test]
fn a_slide_settles_at_its_second_look_and_dates_from_its_first() {
    let looks = [ONE, ONE, ONE, TWO, TWO, TWO].map(slide);
    assert_eq!(run(looks), [(1, 0), (4, 3)]);
}

#[test]
fn a_fade_counts_from_its_end() {
    let fade = |t: u8| Thumbnail(slide(ONE).0.iter().map(|&p| p - 40 * t).collect());
    let looks = [fade(0), fade(0), fade(1), fade(2), fade(3), fade(3)];
    assert_eq!(run(looks), [(1, 0), (5, 4)]);
}

#[test]
fn noise_cursor_and_caret_are_nothing_new() {
    let looks = (0..40).map(|t| {
        let mut thumbnail = slide(ONE);
        for (i, p) in thumbnail.0.iter_mut().enumerate() {
            *p = p.wrapping_add(((i * 7 + t * 13) % 6) as u8);
        }
        if t > 4 {
            for block in [t * 53 % BLOCKS, 700 + t % 2] {
                thumbnail.0[block] = 20;
            }
        }
        thumbnail
    });
    assert_eq!(run(looks).len(), 1);
}

#[test]
fn a_talking_head_hides_no_slide_and_makes_none() {
    let looks = (0..60).map(|t| {
        let mut thumbnail = slide(if t < 30 { ONE } else { TWO });
        for y in 26..36 {
            for x in 50..64 {
                thumbnail.0[y * COLUMNS + x] = ((x * 31 + y * 17 + t * 97) % 200) as u8;
            }
        }
        thumbnail
    });
    let settled = run(looks);
    assert_eq!(settled.len(), 2, "{settled:?}");
    assert_eq!(settled[1], (31, 30));
}

#[test]
fn a_film_never_settles_and_the_slide_after_it_dates_from_its_first_look() {
    let film = |t: usize| Thumbnail((0..BLOCKS).map(|i| ((i * 31 + t * 97 + t * i) % 251) as u8).collect());
    let mut watch = Watch::default();
    let verdicts: Vec<_> = (0..40).map(|t| watch.look(t as u64, film(t))).collect();
    assert!(verdicts.iter().all(|v| !matches!(v, Verdict::Settled { .. })));
    assert_eq!(verdicts[39], Verdict::Film);
    let since = (40..60).find_map(|t| match watch.look(t, slide(ONE)) {
        Verdict::Settled { since } => Some(since),
        _ => None,
    });
    assert_eq!(since, Some(40));
}

#[test]
fn a_slide_that_only_flashes_up_is_not_read() {
    assert_eq!(run([ONE, ONE, ONE, TWO, ONE, ONE].map(slide)), [(1, 0)]);
}

#[test]
fn an_added_line_is_a_change() {
    let more = [(4, 4, 30, 2), (4, 10, 20, 1), (4, 16, 8, 1)];
    assert_eq!(run([slide(ONE), slide(ONE), slide(&more), slide(&more)]), [(1, 0), (3, 2)]);
}

#[test]
fn block_means_of_any_size() {
    for (width, height) in [(1, 1), (1, 900), (900, 1), (64, 36), (1280, 720), (4097, 2161)] {
        let pixels = vec![77; width * height];
        let thumbnail = Thumbnail::of(&Picture { width, height, pixels });
        assert!(thumbnail.0.len() == BLOCKS && thumbnail.0.iter().all(|&p| p == 77), "{width}x{height}");
    }
}
