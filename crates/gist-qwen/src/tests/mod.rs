//! Tests on a tiny random model, written as a GGUF file on the spot.

mod guesses;
mod hostile;
mod oracle;
mod pairs;
mod recompute;
mod rolling;
mod saved;
mod surprise;
mod tiny;
