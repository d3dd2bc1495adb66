//! Which frames are looked at, and at what time.
//!
//! Sampling goes by running-time, never by frame counts or the frame rate of the caps (RTSP says 0/1). The time axis
//! handed to the core never goes back: a camera that restarts its timestamps at 0 goes on where it was.

use gist_screen::Picture;
use gst_video::VideoFrameExt as _;

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
}

impl Axis {
    /// Places a running-time. `discont` is the buffer's flag, `gap` the threshold in nanoseconds.
    pub(super) fn place(&mut self, running_time: u64, discont: bool, gap: u64) -> Moment {
        let mut time = running_time.saturating_add(self.offset);
        let mut broken = false;
        if let Some(last) = self.last {
            if time.saturating_add(RESTART) < last {
                self.offset = last.saturating_sub(running_time);
                time = last;
                broken = true;
            } else {
                broken = discont && time > last.saturating_add(gap);
            }
        }
        self.last = Some(self.last.map_or(time, |last| last.max(time)));
        Moment { time, broken }
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

/// Turns frames of any format into grey pictures of bounded size.
pub(super) struct Grey {
    input: gst_video::VideoInfo,
    output: gst_video::VideoInfo,
    converter: gst_video::VideoConverter,
}

impl Grey {
    /// A converter for frames of `input`.
    pub(super) fn new(input: &gst_video::VideoInfo, max_pixels: u32) -> Result<Self, gst::glib::BoolError> {
        let (width, height) = (u64::from(input.width()), u64::from(input.height()));
        let scale = (f64::from(max_pixels) / (width * height).max(1) as f64).sqrt().min(1.0);
        let fit = |side: u64| ((side as f64 * scale) as u32).max(1);
        // The converter refuses to change the frame rate or the interlacing.
        let output = gst_video::VideoInfo::builder(gst_video::VideoFormat::Gray8, fit(width), fit(height))
            .fps(input.fps())
            .interlace_mode(input.interlace_mode())
            .build()?;
        let converter = gst_video::VideoConverter::new(input, &output, None)?;
        Ok(Self { input: input.clone(), output, converter })
    }

    /// Copies the picture out; `None` when the buffer does not hold a frame of the format.
    pub(super) fn picture(&mut self, buffer: &gst::BufferRef) -> Option<Picture> {
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &self.input).ok()?;
        let grey = gst::Buffer::with_size(self.output.size()).ok()?;
        let mut grey = gst_video::VideoFrame::from_buffer_writable(grey, &self.output).ok()?;
        self.converter.frame_ref(&frame, &mut grey.as_mut_video_frame_ref());
        let (width, height) = (grey.width() as usize, grey.height() as usize);
        let stride = usize::try_from(*grey.plane_stride().first()?).ok()?;
        let rows = grey.plane_data(0).ok()?.chunks(stride).take(height);
        let pixels = rows.flat_map(|row| row.iter().take(width).copied()).collect();
        Some(Picture { width, height, pixels })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_camera_that_restarts_its_clock_goes_on() {
        let mut axis = Axis::default();
        assert_eq!(axis.place(50 * S, true, 5 * S), Moment { time: 50 * S, broken: false });
        assert_eq!(axis.place(0, true, 5 * S), Moment { time: 50 * S, broken: true });
        assert_eq!(axis.place(S, false, 5 * S), Moment { time: 51 * S, broken: false });
    }

    #[test]
    fn jitter_and_sparse_frames_are_no_break() {
        let mut axis = Axis::default();
        axis.place(10 * S, false, 5 * S);
        assert!(!axis.place(10 * S - S / 10, false, 5 * S).broken);
        assert!(!axis.place(40 * S, false, 5 * S).broken, "a slide may stand for half a minute");
        assert!(axis.place(50 * S, true, 5 * S).broken);
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
    fn every_format_becomes_a_grey_picture_of_bounded_size() {
        gst::init().unwrap();
        for format in
            [gst_video::VideoFormat::Nv12, gst_video::VideoFormat::I420, gst_video::VideoFormat::Rgb]
        {
            let info = gst_video::VideoInfo::builder(format, 1280, 720)
                .fps(gst::Fraction::new(25, 1))
                .build()
                .unwrap();
            let buffer = gst::Buffer::from_slice(vec![255u8; info.size()]);
            let picture = Grey::new(&info, 640 * 360).unwrap().picture(&buffer).expect("a picture");
            assert_eq!((picture.width, picture.height, picture.pixels.len()), (640, 360, 640 * 360));
            assert!(picture.pixels.iter().all(|p| *p > 200), "{format:?}");
        }
    }
}
