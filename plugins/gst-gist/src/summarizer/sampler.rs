//! Which frames are looked at, and at what time.
//!
//! Sampling goes by running-time, never by frame counts or the frame rate of the caps (RTSP says 0/1). The time axis
//! handed to the core never goes back: a camera that restarts its timestamps at 0 goes on where it was.

use std::sync::Arc;

use gist_screen::Picture;
use gst_video::VideoFrameExt as _;

/// A sampled frame, in the form its reader wants.
#[derive(Debug)]
pub(super) enum Sampled {
    /// For reading the text on it.
    Grey(Picture),
    /// For a model that sees: red, green and blue, row by row without padding.
    Colour { width: usize, height: usize, pixels: Arc<[u8]> },
}

impl Sampled {
    /// Bytes it holds.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Grey(picture) => picture.pixels.len(),
            Self::Colour { pixels, .. } => pixels.len(),
        }
    }
}

/// Pixels of a picture whose text is read, unless `max-pixels` says otherwise.
const READABLE: u32 = 1280 * 720;

/// A step back of more than this is a restart of the timestamps, not jitter.
const RESTART: u64 = gst::ClockTime::SECOND.nseconds();

/// Makes a running-time that never goes back.
#[derive(Debug, Default)]
pub(super) struct Axis {
    offset: u64,
    last: Option<u64>,
}

/// What a timestamp means.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Time on the axis.
    pub(super) time: u64,
    /// The timestamps began anew, or left out more than the gap threshold.
    pub(super) broken: bool,
    /// The timestamps left out less than that, but more than a slow camera does: from when on.
    pub(super) missed: Option<u64>,
}

impl Axis {
    /// Places a running-time. `discont` is the buffer's flag, `gap` the threshold in nanoseconds.
    pub(super) fn place(&mut self, running_time: u64, discont: bool, gap: u64) -> Moment {
        let mut time = running_time.saturating_add(self.offset);
        let (mut broken, mut missed) = (false, None);
        if let Some(last) = self.last {
            if time.saturating_add(RESTART) < last {
                self.offset = last.saturating_sub(running_time);
                time = last;
                broken = true;
            } else {
                broken = discont && time > last.saturating_add(gap);
                let left_out = discont && !broken && time > last.saturating_add(RESTART);
                missed = left_out.then_some(last);
            }
        }
        self.last = Some(self.last.map_or(time, |last| last.max(time)));
        Moment { time, broken, missed }
    }

    /// Where the axis is.
    pub(super) fn last(&self) -> u64 {
        self.last.unwrap_or(0)
    }

    /// What was added to the running-time.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }
}

/// Says when the next frame is due.
#[derive(Debug, Default)]
pub(super) struct Due(Option<u64>);

impl Due {
    /// Whether the frame at `time` is sampled, with `interval` nanoseconds between samples.
    pub(super) fn take(&mut self, time: u64, interval: u64) -> bool {
        if self.0.is_some_and(|next| time < next && next - time <= interval) {
            return false;
        }
        // The grid is kept under jitter; after a hole it starts anew.
        let next = self.0.filter(|next| *next <= time && time - next < interval).unwrap_or(time);
        self.0 = Some(next + interval);
        true
    }
}

/// Turns frames of any format into pictures: grey ones of bounded size, or colours in full, which the model's own
/// preprocessing scales down.
pub(super) struct Camera {
    colour: bool,
    input: gst_video::VideoInfo,
    output: gst_video::VideoInfo,
    converter: gst_video::VideoConverter,
}

impl Camera {
    /// A converter for frames of `input`. Grey pictures have at most `max_pixels`, 0 for the default.
    pub(super) fn new(
        input: &gst_video::VideoInfo,
        max_pixels: u32,
        colour: bool,
    ) -> Result<Self, gst::glib::BoolError> {
        let (width, height) = (u64::from(input.width()), u64::from(input.height()));
        let most = match (colour, max_pixels) {
            (true, _) => u32::MAX,
            (false, 0) => READABLE,
            (false, most) => most,
        };
        let scale = (f64::from(most) / (width * height).max(1) as f64).sqrt().min(1.0);
        let fit = |side: u64| ((side as f64 * scale) as u32).max(1);
        // The converter refuses to change the frame rate or the interlacing.
        let format = if colour { gst_video::VideoFormat::Rgb } else { gst_video::VideoFormat::Gray8 };
        let output = gst_video::VideoInfo::builder(format, fit(width), fit(height))
            .fps(input.fps())
            .interlace_mode(input.interlace_mode())
            .build()?;
        let converter = gst_video::VideoConverter::new(input, &output, None)?;
        Ok(Self { colour, input: input.clone(), output, converter })
    }

    /// Copies the picture out; `None` when the buffer does not hold a frame of the format.
    pub(super) fn picture(&mut self, buffer: &gst::BufferRef) -> Option<Sampled> {
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &self.input).ok()?;
        let copy = gst::Buffer::with_size(self.output.size()).ok()?;
        let mut copy = gst_video::VideoFrame::from_buffer_writable(copy, &self.output).ok()?;
        self.converter.frame_ref(&frame, &mut copy.as_mut_video_frame_ref());
        let (width, height) = (copy.width() as usize, copy.height() as usize);
        let stride = usize::try_from(*copy.plane_stride().first()?).ok()?;
        let line = if self.colour { 3 * width } else { width };
        let mut pixels = Vec::with_capacity(line * height);
        for row in copy.plane_data(0).ok()?.chunks(stride).take(height) {
            pixels.extend_from_slice(row.get(..line)?);
        }
        Some(if self.colour {
            Sampled::Colour { width, height, pixels: pixels.into() }
        } else {
            Sampled::Grey(Picture { width, height, pixels })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_camera_that_restarts_its_clock_goes_on() {
        let mut axis = Axis::default();
        assert_eq!(axis.place(50 * S, true, 5 * S), Moment { time: 50 * S, broken: false, missed: None });
        assert_eq!(axis.place(0, true, 5 * S), Moment { time: 50 * S, broken: true, missed: None });
        assert_eq!(axis.place(S, false, 5 * S), Moment { time: 51 * S, broken: false, missed: None });
    }

    #[test]
    fn jitter_and_sparse_frames_are_no_break() {
        let mut axis = Axis::default();
        axis.place(10 * S, false, 5 * S);
        assert!(!axis.place(10 * S - S / 10, false, 5 * S).broken);
        assert!(!axis.place(40 * S, false, 5 * S).broken, "a slide may stand for half a minute");
        assert!(axis.place(50 * S, true, 5 * S).broken);
        assert_eq!(axis.place(53 * S, true, 5 * S).missed, Some(50 * S));
        assert_eq!(axis.place(56 * S, false, 5 * S).missed, None);
        assert_eq!(axis.place(57 * S, true, 5 * S).missed, None);
    }

    #[test]
    fn one_frame_a_second_whatever_the_frame_rate() {
        let sampled = |step: u64| {
            let mut due = Due::default();
            (0..10 * S / step).filter(|i| due.take(i * step, S)).count()
        };
        assert_eq!(sampled(S / 25), 10);
        assert_eq!(sampled(S / 30), 10);
        assert_eq!(sampled(3 * S), 3, "a slower stream gives every frame");
    }

    #[test]
    fn after_a_step_back_sampling_goes_on() {
        let mut due = Due::default();
        assert!(due.take(100 * S, S));
        assert!(due.take(5 * S, S));
        assert!(!due.take(5 * S + S / 2, S));
    }

    #[test]
    fn every_format_becomes_a_grey_picture_of_bounded_size_or_one_in_colour() {
        gst::init().unwrap();
        for format in
            [gst_video::VideoFormat::Nv12, gst_video::VideoFormat::I420, gst_video::VideoFormat::Rgb]
        {
            let info = gst_video::VideoInfo::builder(format, 1280, 720)
                .fps(gst::Fraction::new(25, 1))
                .build()
                .unwrap();
            let buffer = gst::Buffer::from_slice(vec![255u8; info.size()]);
            let grey = Camera::new(&info, 640 * 360, false).unwrap().picture(&buffer);
            let Some(Sampled::Grey(grey)) = grey else { panic!("no grey picture") };
            assert_eq!((grey.width, grey.height, grey.pixels.len()), (640, 360, 640 * 360));
            assert!(grey.pixels.iter().all(|p| *p > 200), "{format:?}");
            let colour = Camera::new(&info, 640 * 360, true).unwrap().picture(&buffer);
            let Some(Sampled::Colour { width, height, pixels }) = colour else { panic!("no colour picture") };
            assert_eq!((width, height, pixels.len()), (1280, 720, 3 * 1280 * 720), "the model scales it");
            assert!(pixels.chunks(3).all(|p| p == [pixels[0], pixels[1], pixels[2]]), "{format:?}");
        }
    }
}
