//! `streamgist describe`: one question about one picture.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use gist_qwen::{LoadOptions, Quantization, QwenModel, describe::Question};

use super::exit::Class;

/// More memory than a picture of 100 megapixels needs.
const MAX_ALLOC: u64 = 512 << 20;

/// Answers a question about one picture
///
/// The text appears as it is written. The model has to see: a folder in Hugging Face's layout (Qwen3-VL), or a GGUF
/// file with its mmproj.
#[derive(Args, Debug)]
pub(crate) struct DescribeArgs {
    /// A PNG or JPEG file
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
    /// A model that sees: a name as in `streamgist model list` (qwen3-vl-2b), a repository of the hub that was pulled
    /// (OWNER/NAME), a folder, or a GGUF file
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// The vision part of a model in GGUF files, if it is not in the same folder
    #[arg(long, value_name = "FILE")]
    mmproj: Option<PathBuf>,
    /// Quantises the weights as they are read, to take less memory
    #[arg(long, value_enum, value_name = "TYPE")]
    quantize: Option<Quantize>,
    /// What to ask
    #[arg(long, default_value = "Describe this picture.", value_name = "TEXT")]
    prompt: String,
    /// The answer is cut off after this many tokens
    #[arg(long, default_value_t = 512, value_name = "N")]
    max_tokens: usize,
}

/// How weights are held.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Quantize {
    /// 8 bits
    Q8,
    /// 4 bits
    Q4,
}

impl From<Quantize> for Quantization {
    fn from(quantize: Quantize) -> Self {
        match quantize {
            Quantize::Q8 => Self::Q8,
            Quantize::Q4 => Self::Q4,
        }
    }
}

pub(crate) fn run(args: &DescribeArgs) -> anyhow::Result<()> {
    let picture = picture(&args.image)?;
    let path = gist_models::locate(&args.model)?;
    let options = LoadOptions {
        mmproj: args.mmproj.clone(),
        quantize: args.quantize.map(Into::into),
        // Room for a picture of 2 megapixels; what the very picture needs is asked for when it is known.
        context_length: 4096,
        plan: Some(&mut |plan| eprintln!("loading {}: {plan}", args.model)),
        ..LoadOptions::default()
    };
    let model = QwenModel::load(&path, options).map_err(|e| Class::Model.failure(e.to_string()))?;
    let question = Question {
        width: picture.width() as usize,
        height: picture.height() as usize,
        pixels: picture.as_raw(),
        prompt: &args.prompt,
        max_tokens: args.max_tokens,
    };
    let mut out = std::io::stdout().lock();
    let mut failed = None;
    model
        .describe(question, &mut |text| {
            // Model text must not control the terminal.
            let text: String = text.chars().filter(|c| !c.is_control() || *c == '\n').collect();
            failed = failed.take().or(out.write_all(text.as_bytes()).and_then(|()| out.flush()).err());
        })
        .map_err(|e| Class::Model.failure(e.to_string()))?;
    if let Some(error) = failed.or(writeln!(out).err()) {
        return Err(Class::Output.failure(format!("can't write the answer: {error}")));
    }
    Ok(())
}

/// Reads a picture; what is transparent lies on white, as the reference has it.
fn picture(path: &Path) -> anyhow::Result<image::RgbImage> {
    let refused =
        |e: &dyn std::fmt::Display| Class::Input.failure(format!("can't read {}: {e}", path.display()));
    let mut reader =
        image::ImageReader::open(path).and_then(|r| r.with_guessed_format()).map_err(|e| refused(&e))?;
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MAX_ALLOC);
    reader.limits(limits);
    let mut picture = reader.decode().map_err(|e| refused(&e))?.into_rgba8();
    for pixel in picture.pixels_mut() {
        let [red, green, blue, alpha] = pixel.0.map(u32::from);
        let on_white = |c: u32| ((c * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        pixel.0 = [on_white(red), on_white(green), on_white(blue), 255];
    }
    Ok(image::DynamicImage::ImageRgba8(picture).into_rgb8())
}
