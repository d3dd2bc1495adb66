#!/usr/bin/env bash
# RTSP: chapters of a camera while it runs. Video passes with no delay; if the model is too slow, sampled pictures are
# dropped and the messages say so. Ctrl-C ends the stream and writes the last chapter.
#
#   pipelines/rtsp.sh rtsp://user:password@camera/stream [stream-name]
#
# For a camera without sound leave out the last line of the pipeline.
. "$(dirname "$0")/common.sh"
[ $# -ge 1 ] || usage
need uridecodebin3 rtspsrc
exec gst-launch-1.0 -m -e \
  uridecodebin3 uri="$1" name=d \
  d. ! videoconvert ! queue ! gistsummarizer name=g stream-name="${2:-camera}" ! fakesink sync=false \
  d. ! audioconvert ! audioresample ! gisttranscriber ! queue ! g.text_0
