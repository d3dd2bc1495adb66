//! Sentences inside one of Whisper's segments.
//!
//! Whisper often puts two or three sentences between one pair of timestamps. Where one of them ends in a pause near
//! the place its share of the letters points to, the segment is cut there. Without such a pause it stays whole: a
//! full stop after "Dr" has none.

/// The shortest pause between two sentences, in frames.
const PAUSE: usize = 15;
/// How far from the expected place the pause may lie, in frames.
const REACH: usize = 150;

/// A sentence and its frames.
#[derive(Debug, PartialEq)]
pub(crate) struct Sentence<'a> {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) text: &'a str,
}

/// Cuts `text`, spoken from `start` to `end` (both within `active`, the gate of the window), at its sentence ends.
pub(crate) fn split<'a>(text: &'a str, start: usize, end: usize, active: &[bool]) -> Vec<Sentence<'a>> {
    let spoken = active[start..end].iter().filter(|a| **a).count();
    let expected = |cut: usize| start + nth_active(&active[start..end], spoken * cut / text.len().max(1));
    let ends: Vec<(usize, usize)> = ends(text).map(|cut| (cut, expected(cut))).collect();
    let distance =
        |pause: &(usize, usize), expected: usize| (pause.0 + pause.1).div_ceil(2).abs_diff(expected);
    let (mut from, mut at) = (start, 0);
    let mut sentences = Vec::new();
    for (cut, expected) in &ends {
        // A pause belongs to the nearest end; of its pauses an end takes the longest, but a near one rather than a
        // far one.
        let own = pauses(&active[..end], from).filter(|p| {
            let to_this = distance(p, *expected);
            to_this <= REACH && ends.iter().all(|(_, other)| distance(p, *other) >= to_this)
        });
        let best = own.max_by_key(|p| (4 * (p.1 - p.0)).saturating_sub(distance(p, *expected)));
        if let Some((pause, resume)) = best {
            sentences.push(Sentence { start: from, end: pause, text: text[at..*cut].trim() });
            (from, at) = (resume, *cut);
        }
    }
    sentences.push(Sentence { start: from, end, text: text[at..].trim() });
    sentences
}

/// Byte offsets behind each sentence but the last.
fn ends(text: &str) -> impl Iterator<Item = usize> {
    text.char_indices().filter_map(|(i, c)| {
        let after = i + c.len_utf8();
        let rest = &text[after..];
        let end = match c {
            '.' | '!' | '?' | '…' => rest.starts_with(char::is_whitespace),
            '。' | '！' | '？' | '।' | '؟' => true,
            _ => false,
        };
        (end && !rest.trim().is_empty()).then_some(after)
    })
}

/// Index of the `n`th active frame.
fn nth_active(active: &[bool], n: usize) -> usize {
    active.iter().enumerate().filter(|(_, a)| **a).nth(n).map_or(active.len(), |(i, _)| i)
}

/// The pauses behind the first active frame from `from`, each followed by an active frame.
fn pauses(active: &[bool], from: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut start = None;
    active.iter().enumerate().skip(from).filter_map(move |(i, a)| {
        let pause = start.map(|s| (s, i));
        if *a {
            start = Some(i + 1);
        }
        pause.filter(|p| *a && p.1 - p.0 >= PAUSE)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(runs: &[(usize, bool)]) -> Vec<bool> {
        runs.iter().flat_map(|(n, a)| std::iter::repeat_n(*a, *n)).collect()
    }

    #[test]
    fn a_full_stop_with_a_pause_is_an_end() {
        let active = gate(&[(200, true), (30, false), (300, true)]);
        let sentences = split("We met Dr. Smith today. He was a little late once more.", 0, 530, &active);
        let found: Vec<_> = sentences.iter().map(|s| (s.start, s.end, s.text)).collect();
        assert_eq!(
            found,
            [(0, 200, "We met Dr. Smith today."), (230, 530, "He was a little late once more.")]
        );
    }

    #[test]
    fn without_a_pause_the_text_stays_whole() {
        let active = gate(&[(530, true)]);
        assert_eq!(
            split("One. Two.", 10, 500, &active),
            [Sentence { start: 10, end: 500, text: "One. Two." }]
        );
    }

    #[test]
    fn chinese_needs_no_space() {
        let active = gate(&[(100, true), (40, false), (100, true)]);
        assert_eq!(split("今天学习网络。明天学习程序。", 0, 240, &active).len(), 2);
    }
}
