#!/usr/bin/env bash
# Records a camera (H.264, AAC) without re-encoding while its chapters are written, and joins them at the end.
#
#   pipelines/record.sh rtsp://user:password@camera/stream recording.mkv
#
# Ctrl-C ends the recording; then ffmpeg copies it once more with the chapters in it. Beside it lie
# recording.jsonl (every event) and recording.ffmeta (the chapters).
. "$(dirname "$0")/common.sh"
[ $# = 2 ] || usage
base=${2%.mkv}
need rtspsrc rtph264depay rtpmp4gdepay avdec_h264 avdec_aac matroskamux
command -v ffmpeg >/dev/null || { echo "ffmpeg is missing: sudo apt-get install ffmpeg" >&2; exit 5; }
# Ctrl-C is for the pipeline: it ends in order, and this script goes on.
trap : INT
gst-launch-1.0 -m -e \
  rtspsrc location="$1" latency=200 name=s \
  s. ! rtph264depay ! h264parse ! tee name=v \
  s. ! rtpmp4gdepay ! aacparse ! tee name=a \
  v. ! queue ! matroskamux name=m ! filesink location="$base.part.mkv" \
  a. ! queue ! m. \
  v. ! queue ! avdec_h264 ! gistsummarizer name=g ! fakesink sync=false \
  a. ! queue ! avdec_aac ! audioconvert ! audioresample ! gisttranscriber ! queue ! g.text_0 \
  g.chapters ! application/x-json ! tee name=j \
  j. ! queue ! gistchaptersink location="$base.jsonl" format=json-lines \
  j. ! queue ! gistchaptersink location="$base.ffmeta" format=ffmetadata
ffmpeg -nostdin -loglevel error -y -i "$base.part.mkv" -i "$base.ffmeta" -map 0 -map_chapters 1 -c copy "$base.mkv"
rm "$base.part.mkv"
echo "$base.mkv"
