//! From a window of sound to timed text, with the checks that keep invented text out.
//!
//! The rules for timestamps and suppressed tokens are OpenAI's (`whisper/decoding.py`). Decoding is greedy; an answer
//! that loops or that the model itself finds unlikely is tried again without the prompt, then with a little
//! temperature, and dropped when that does not mend it: a gap in a transcript is better than invented words.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::decoder::State;
use crate::layers::softmax;
use crate::mel::{self, FRAMES_PER_SECOND};
use crate::{Error, WhisperModel};

/// Silence computed after the window, in frames. Whisper needs some to tell that the speech is over. Word errors of
/// base and tiny.en are the same within noise for 0.5 s, 1 s and the 30 s of training; only the cost differs.
const MARGIN: usize = 50;
/// Frames a timestamp token stands for.
const FRAMES_PER_TIMESTAMP: usize = 2;
/// Prompt tokens carried over from the last window: enough for names and punctuation, cheap to compute.
pub(crate) const MAX_PROMPT: usize = 40;
/// An answer less likely than this per token is not believed (OpenAI's `logprob_threshold`).
const MIN_LOG_PROBABILITY: f32 = -1.0;
/// Above this probability of no speech the answer has to be a likely one.
const MAX_NO_SPEECH: f32 = 0.6;
const MIN_LOG_PROBABILITY_NO_SPEECH: f32 = -0.7;

/// A piece of text between two of Whisper's timestamps, in frames from the start of the window.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Segment {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) tokens: Vec<u32>,
}

impl Segment {
    /// Whether it has more tokens than anybody speaks in its time.
    fn hurried(&self) -> bool {
        self.tokens.len() * FRAMES_PER_SECOND > 10 * (self.end - self.start)
    }

    /// Whether it shares most of its beginning and end with `other`.
    fn echoes(&self, other: &Self) -> bool {
        let same = |(a, b): &(&u32, &u32)| a == b;
        let (a, b) = (&self.tokens, &other.tokens);
        let common = a.iter().zip(b).take_while(same).count()
            + a.iter().rev().zip(b.iter().rev()).take_while(same).count();
        common * 10 >= a.len().max(b.len()) * 6
    }
}

/// What a window came to.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    /// In order; empty when there is no speech that could be believed.
    pub(crate) segments: Vec<Segment>,
    /// Whether any attempt looped or failed: the next window then starts without a prompt.
    pub(crate) doubtful: bool,
}

/// One pass over a window.
struct Attempt {
    tokens: Vec<u32>,
    /// Mean over the tokens.
    log_probability: f32,
    no_speech: f32,
    looped: bool,
}

impl Attempt {
    fn believable(&self) -> bool {
        !self.looped && self.log_probability >= MIN_LOG_PROBABILITY
    }

    fn silent(&self) -> bool {
        self.no_speech > MAX_NO_SPEECH && self.log_probability < MIN_LOG_PROBABILITY_NO_SPEECH
    }
}

/// Probabilities of the spoken language, gathered over windows so that one odd sentence does not switch it.
#[derive(Debug)]
pub(crate) enum Language {
    /// Set by the user, or the only one the model knows.
    Fixed(Option<u32>),
    /// By language in the order of the tokenizer.
    Heard(Vec<f32>),
}

/// A window's sound, ready to be decoded.
pub(crate) struct Window<'a> {
    model: &'a WhisperModel,
    state: State,
    /// Without the margin.
    frames: usize,
    cancel: &'a AtomicBool,
}

impl<'a> Window<'a> {
    /// Encodes log10-mel frames `[n, mels]`, at most 28 s of them.
    pub(crate) fn new(
        model: &'a WhisperModel,
        frames: &[f32],
        cancel: &'a AtomicBool,
    ) -> Result<Self, Error> {
        let n = frames.len() / model.mels;
        let padded = (n + MARGIN).next_multiple_of(2).min(2 * model.encoder.max_positions());
        let mel = mel::normalise(frames, model.mels, padded);
        let sound = model.encoder.forward(&mel, model.mels, cancel)?;
        Ok(Self { model, state: model.decoder.start(&sound), frames: n, cancel })
    }

    /// Adds this window's evidence to `language` and returns the token to decode with.
    fn language(&mut self, language: &mut Language) -> Option<u32> {
        let heard = match language {
            Language::Fixed(token) => return *token,
            Language::Heard(heard) => heard,
        };
        let tokenizer = &self.model.tokenizer;
        self.state.reset();
        let hidden = self.model.decoder.forward(&mut self.state, &[tokenizer.start_of_transcript]);
        let logits = self.model.decoder.logits(&hidden);
        let mut row: Vec<f32> = tokenizer.languages.iter().map(|(_, id)| logits[*id as usize]).collect();
        softmax(&mut row);
        heard.resize(row.len(), 0.0);
        // A long window says more than a short one.
        let weight = self.frames as f32 / FRAMES_PER_SECOND as f32;
        heard.iter_mut().zip(&row).for_each(|(h, p)| *h = 0.8 * *h + weight * p);
        let best = heard.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?.0;
        Some(tokenizer.languages[best].1)
    }

    /// Decodes with at most [`MAX_PROMPT`] tokens of what was said before.
    pub(crate) fn decode(&mut self, prompt: &[u32], language: &mut Language) -> Result<Decoded, Error> {
        let language = self.language(language);
        let attempts = [(prompt, 0.0), (&[], 0.0), (&[], 0.4)];
        let skip = usize::from(prompt.is_empty());
        for (i, (prompt, temperature)) in attempts.into_iter().enumerate().skip(skip) {
            let attempt = self.attempt(prompt, language, temperature)?;
            let (p, no_speech) = (attempt.log_probability, attempt.no_speech);
            tracing::debug!(i, p, no_speech, attempt.looped, tokens = attempt.tokens.len(), "attempt");
            if attempt.silent() {
                break;
            }
            if attempt.believable() {
                return Ok(Decoded { segments: self.segments(&attempt.tokens), doubtful: i > skip });
            }
        }
        Ok(Decoded { segments: Vec::new(), doubtful: true })
    }

    fn attempt(&mut self, prompt: &[u32], language: Option<u32>, temperature: f32) -> Result<Attempt, Error> {
        let (tokenizer, decoder) = (&self.model.tokenizer, &self.model.decoder);
        let mut start = Vec::with_capacity(prompt.len() + 4);
        if !prompt.is_empty() {
            start.push(tokenizer.start_of_previous);
            start.extend(&prompt[prompt.len().saturating_sub(MAX_PROMPT)..]);
        }
        let transcript = start.len();
        start.push(tokenizer.start_of_transcript);
        if let Some(language) = language {
            start.extend([language, tokenizer.transcribe]);
        }
        self.state.reset();
        let mut hidden = decoder.forward(&mut self.state, &start);
        let width = hidden.len() / start.len();
        let mut first = decoder.logits(&hidden[transcript * width..][..width]);
        softmax(&mut first);
        let no_speech = first[tokenizer.no_speech as usize];

        // Dense scripts take several tokens a character; nobody speaks faster than this.
        let budget = (self.frames * 25 / FRAMES_PER_SECOND + 16).min(decoder.max_tokens() - start.len() - 1);
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let (mut tokens, mut sum, mut count, mut looped) = (Vec::new(), 0.0, 0, false);
        loop {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
            let mut logits = decoder.logits(&hidden[hidden.len() - width..]);
            self.rules(&mut logits, &tokens);
            let (token, log_probability) = sample(&mut logits, temperature, &mut random);
            sum += log_probability;
            count += 1;
            if token == tokenizer.end_of_text {
                break;
            }
            tokens.push(token);
            looped = loops(&tokens) || tokens.len() >= budget;
            if looped {
                break;
            }
            hidden = decoder.forward(&mut self.state, &[token]);
        }
        Ok(Attempt { tokens, log_probability: sum / count as f32, no_speech, looped })
    }

    /// Rules out what Whisper must not write after `tokens`.
    fn rules(&self, logits: &mut [f32], tokens: &[u32]) {
        const NEVER: f32 = f32::NEG_INFINITY;
        let tokenizer = &self.model.tokenizer;
        let (eot, first_timestamp) = (tokenizer.end_of_text as usize, tokenizer.first_timestamp as usize);
        let is_timestamp = |t: &u32| *t >= tokenizer.first_timestamp;
        for id in &tokenizer.suppressed {
            logits.get_mut(*id as usize).into_iter().for_each(|l| *l = NEVER);
        }
        // All control tokens but the end of text.
        logits[eot + 1..first_timestamp].fill(NEVER);
        // No time outside the window.
        let end = first_timestamp + self.frames.div_ceil(FRAMES_PER_TIMESTAMP) + 1;
        logits[end.min(first_timestamp + 1501)..].fill(NEVER);
        let [.., last] = tokens else {
            for id in &tokenizer.suppressed_first {
                logits.get_mut(*id as usize).into_iter().for_each(|l| *l = NEVER);
            }
            // The gate has cut the silence off: speech starts within a second.
            logits[..first_timestamp].fill(NEVER);
            logits[(first_timestamp + 51).min(end)..].fill(NEVER);
            return;
        };
        let closed = is_timestamp(last);
        // Times come in pairs, but for the first: end of one segment, start of the next.
        if closed && tokens.len().checked_sub(2).is_none_or(|i| is_timestamp(&tokens[i])) {
            logits[first_timestamp..].fill(NEVER);
        } else if closed {
            logits[..eot].fill(NEVER);
        }
        if let Some(latest) = tokens.iter().rfind(|t| is_timestamp(t)) {
            // A segment may start where the last one ended, but not end where it started.
            let from = *latest as usize + usize::from(!closed);
            logits[first_timestamp..from.min(end)].fill(NEVER);
        }
        // When a time is likelier than any one word, it is time for a time.
        let times = log_sum_exp(&logits[first_timestamp..]);
        let word = logits[..first_timestamp].iter().copied().fold(NEVER, f32::max);
        if times > word {
            logits[..first_timestamp].fill(NEVER);
        }
    }

    fn segments(&self, tokens: &[u32]) -> Vec<Segment> {
        let tokenizer = &self.model.tokenizer;
        let mut segments = Vec::new();
        let mut start = 0;
        let mut text = Vec::new();
        let mut close = |start: usize, end: usize, text: &mut Vec<u32>| {
            if !text.is_empty() {
                segments.push(Segment { start, end: end.max(start + 1), tokens: std::mem::take(text) });
            }
        };
        for token in tokens {
            if tokenizer.is_text(*token) {
                text.push(*token);
            } else if *token >= tokenizer.first_timestamp {
                let time = (*token - tokenizer.first_timestamp) as usize * FRAMES_PER_TIMESTAMP;
                close(start, time.min(self.frames), &mut text);
                start = time.min(self.frames);
            }
        }
        close(start, self.frames, &mut text);
        // At the end of a window Whisper sometimes says the last sentence once more, in no time at all.
        segments.dedup_by(|b, a| b.hurried() && b.echoes(a));
        segments
    }
}

/// Whether the tokens end in one pattern again and again: the language-neutral sign of a loop.
fn loops(tokens: &[u32]) -> bool {
    // A single token may well repeat (digits, dots, "no, no, no"), a long phrase should not even twice.
    (1..=24).any(|period| {
        let repeats = match period {
            1 => 8,
            2..=3 => 5,
            4..=7 => 4,
            _ => 3,
        };
        let n = period * repeats;
        tokens.len() >= n && tokens[tokens.len() - n..].windows(period + 1).all(|w| w[0] == w[period])
    })
}

fn log_sum_exp(logits: &[f32]) -> f32 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if max == f32::NEG_INFINITY {
        max
    } else {
        logits.iter().map(|l| (l - max).exp()).sum::<f32>().ln() + max
    }
}

/// The token and its log probability at temperature 1.
fn sample(logits: &mut [f32], temperature: f32, random: &mut Random) -> (u32, f32) {
    let norm = log_sum_exp(logits);
    let best = |l: &[f32]| l.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(i, _)| i);
    let token = if temperature > 0.0 {
        // Gumbel noise turns the maximum into a sample of the softmax.
        let noise = |random: &mut Random| -(-random.uniform().ln()).ln();
        best(&logits.iter().map(|l| l / temperature + noise(random)).collect::<Vec<_>>())
    } else {
        best(logits)
    };
    (token as u32, logits[token] - norm)
}

/// xorshift64*: the same answer for the same sound, always.
struct Random(u64);

impl Random {
    /// Within (0, 1).
    fn uniform(&mut self) -> f32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 41;
        (bits as f32 + 0.5) / (1u64 << 23) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_said_again_and_again_is_a_loop() {
        let phrase = [5, 6, 7, 8, 9];
        assert!(!loops(&phrase.repeat(3)));
        assert!(loops(&phrase.repeat(4)));
        assert!(loops(&[1, 2, 3].iter().copied().chain(vec![4; 8]).collect::<Vec<_>>()));
        assert!(!loops(&(0..200).collect::<Vec<_>>()));
    }

    #[test]
    fn random_numbers_stay_within_bounds() {
        let mut random = Random(1);
        assert!((0..10_000).map(|_| random.uniform()).all(|x| x > 0.0 && x < 1.0));
    }
}
