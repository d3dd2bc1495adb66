#!/usr/bin/env bash
# Camera and microphone of this machine, with the picture in a window. Ctrl-C ends it and writes the last chapter.
#
#   pipelines/camera.sh [/dev/video0]
. "$(dirname "$0")/common.sh"
device=${1:-/dev/video0}
[ -e "$device" ] || { echo "There is no camera at $device; name another: $0 /dev/videoN" >&2; exit 3; }
need v4l2src autoaudiosrc autovideosink
exec gst-launch-1.0 -m -e \
  v4l2src device="$device" do-timestamp=true ! decodebin3 ! videoconvert ! queue \
  ! gistsummarizer name=g stream-name=camera ! videoconvert ! autovideosink \
  autoaudiosrc ! queue ! audioconvert ! audioresample ! gisttranscriber ! queue ! g.text_0
