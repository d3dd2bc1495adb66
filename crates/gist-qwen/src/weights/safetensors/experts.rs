//! The weights of a mixture of experts: one tensor for all of a layer, gate and up projections side by side.
//!
//! Released files hold them transposed, `[experts, hidden, 2 * width]` and `[experts, width, hidden]`; files that
//! transformers 5 saved hold `[experts, 2 * width, hidden]` and `[experts, hidden, width]`. Only the shape tells.

use crate::config::{Config, Experts};
use crate::error::LoadError;

/// Which part of what is stored makes up a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// All of it.
    Whole,
    /// Of each of the stored matrices `[rows, columns]` some rows.
    Rows { rows: usize, columns: usize, first: usize, count: usize },
    /// Of each of the stored matrices `[rows, columns]` some columns, transposed.
    Columns { rows: usize, columns: usize, first: usize, count: usize },
}

/// A tensor: its name, shape and place.
type Placed = (String, Vec<usize>, Cut);

/// Gate and up projections, `[experts, width, hidden]` each.
pub(super) fn gate_up(layer: &str, shape: &[usize], config: &Config) -> Result<Vec<Placed>, String> {
    let Some(Experts { count, intermediate, .. }) = config.experts else { return Ok(Vec::new()) };
    let transposed = is_transposed(shape, count, 2 * intermediate, config.hidden)?;
    Ok(["gate", "up"]
        .into_iter()
        .zip([0, intermediate])
        .map(|(part, first)| {
            let (rows, columns) = (shape[1], shape[2]);
            let cut = if transposed {
                Cut::Columns { rows, columns, first, count: intermediate }
            } else {
                Cut::Rows { rows, columns, first, count: intermediate }
            };
            (format!("{layer}.ffn_{part}_exps.weight"), vec![count, intermediate, config.hidden], cut)
        })
        .collect())
}

/// Down projections, `[experts, hidden, width]`.
pub(super) fn down(layer: &str, shape: &[usize], config: &Config) -> Result<Vec<Placed>, String> {
    let Some(Experts { count, intermediate, .. }) = config.experts else { return Ok(Vec::new()) };
    let cut = if is_transposed(shape, count, config.hidden, intermediate)? {
        Cut::Columns { rows: shape[1], columns: shape[2], first: 0, count: config.hidden }
    } else {
        Cut::Whole
    };
    Ok(vec![(format!("{layer}.ffn_down_exps.weight"), vec![count, config.hidden, intermediate], cut)])
}

fn is_transposed(shape: &[usize], experts: usize, outputs: usize, inputs: usize) -> Result<bool, String> {
    let plain = shape == [experts, outputs, inputs];
    let transposed = shape == [experts, inputs, outputs];
    match (plain, transposed) {
        (true, true) => Err(format!(
            "has shape {shape:?}, from which it cannot be told whether it is transposed; take a GGUF file of this model"
        )),
        (false, false) => {
            Err(format!("has shape {shape:?}, not [{experts}, {outputs}, {inputs}] in either order"))
        }
        _ => Ok(transposed),
    }
}

impl Cut {
    /// Fills `out`, which is as long as the tensor; `fill` reads from an offset within what is stored, `value` is the
    /// size of a value in bytes.
    pub(super) fn read(
        &self,
        out: &mut [u8],
        value: usize,
        fill: impl Fn(&mut [u8], u64) -> Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        match *self {
            Self::Whole => fill(out, 0),
            Self::Rows { rows, columns, first, count } => {
                let (size, row) = (rows * columns * value, columns * value);
                for (i, part) in out.chunks_exact_mut(count * row).enumerate() {
                    fill(part, (i * size + first * row) as u64)?;
                }
                Ok(())
            }
            Self::Columns { rows, columns, first, count } => {
                let size = rows * columns * value;
                let mut matrix = vec![0; size];
                for (i, part) in out.chunks_exact_mut(rows * count * value).enumerate() {
                    fill(&mut matrix, (i * size) as u64)?;
                    transpose(&matrix, columns * value, first * value, part, rows * value, value);
                }
                Ok(())
            }
        }
    }
}

/// Rows of the stored matrix that are transposed at once, so that the lines they lie in stay in the cache.
const STRIP: usize = 32;

/// Writes the columns from byte `first` of each line of `matrix` on as lines of `out`; a line of `matrix` is `line`
/// bytes long, one of `out` `out_line`.
fn transpose(matrix: &[u8], line: usize, first: usize, out: &mut [u8], out_line: usize, value: usize) {
    for (strip, lines) in matrix.chunks(line * STRIP).enumerate() {
        for (column, target) in out.chunks_exact_mut(out_line).enumerate() {
            let from = first + column * value;
            let to = target[strip * STRIP * value..].chunks_exact_mut(value);
            for (to, stored) in to.zip(lines.chunks_exact(line)) {
                to.copy_from_slice(&stored[from..from + value]);
            }
        }
    }
}
