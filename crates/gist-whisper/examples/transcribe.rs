//! Transcribes a 16 kHz mono 16-bit WAV file as a stream and says how fast:
//! `cargo run -p gist-whisper --example transcribe -- MODEL_FOLDER FILE.wav [LANGUAGE]`
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::sync::Arc;
use std::time::Instant;

use gist_whisper::{Error, Options, Output, SAMPLE_RATE, Transcriber, WhisperModel};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(model), Some(file)) = (args.next(), args.next()) else {
        return Err("usage: transcribe MODEL_FOLDER FILE.wav [LANGUAGE]".into());
    };
    let bytes = std::fs::read(file)?;
    let data = bytes.windows(4).position(|w| w == b"data").ok_or("not a WAV file")? + 8;
    let samples: Vec<f32> =
        bytes[data..].as_chunks().0.iter().map(|b| f32::from(i16::from_le_bytes(*b)) / 32768.0).collect();

    let clock = Instant::now();
    let model = Arc::new(WhisperModel::load(model.as_ref())?);
    eprintln!("loaded in {:.2?}", clock.elapsed());
    let mut transcriber = Transcriber::new(model, Options { language: args.next(), ..Options::default() })?;
    let clock = Instant::now();
    for second in samples.chunks(SAMPLE_RATE) {
        transcriber.push(second);
        print(&mut transcriber)?;
    }
    transcriber.finish();
    print(&mut transcriber)?;
    let (took, length) = (clock.elapsed().as_secs_f64(), samples.len() as f64 / SAMPLE_RATE as f64);
    eprintln!("{length:.1} s in {took:.1} s: {:.1} times real time", length / took);
    Ok(())
}

fn print(transcriber: &mut Transcriber) -> Result<(), Error> {
    while let Some(output) = transcriber.poll()? {
        if let Output::Line(line) = output {
            println!("{:7.2} {:7.2}  {}", line.start as f64 / 1e9, line.end as f64 / 1e9, line.text);
        }
    }
    Ok(())
}
