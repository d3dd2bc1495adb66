#!/usr/bin/env bash
# Several streams: two inputs in one process share one model in memory and take turns on it.
#
#   pipelines/several.sh rtsp://hall-a/stream rtsp://hall-b/stream
#   pipelines/several.sh a.mp4 b.mp4
#
# Both need picture and sound. Each event says which stream it belongs to.
. "$(dirname "$0")/common.sh"
[ $# = 2 ] || usage
need uridecodebin3
one=$(uri "$1")
two=$(uri "$2")
exec gst-launch-1.0 -m -e \
  uridecodebin3 uri="$one" name=d1 \
  d1. ! videoconvert ! queue ! gistsummarizer name=g1 stream-name=one ! fakesink sync=false \
  d1. ! audioconvert ! audioresample ! gisttranscriber ! queue ! g1.text_0 \
  uridecodebin3 uri="$two" name=d2 \
  d2. ! videoconvert ! queue ! gistsummarizer name=g2 stream-name=two ! fakesink sync=false \
  d2. ! audioconvert ! audioresample ! gisttranscriber ! queue ! g2.text_0
