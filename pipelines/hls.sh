#!/usr/bin/env bash
# HLS: chapters of a live or recorded web stream with picture and sound.
#
#   pipelines/hls.sh https://example.com/live.m3u8
. "$(dirname "$0")/common.sh"
[ $# = 1 ] || usage
need uridecodebin3 souphttpsrc
exec gst-launch-1.0 -m -e \
  uridecodebin3 uri="$1" name=d \
  d. ! videoconvert ! queue ! gistsummarizer name=g ! fakesink sync=false \
  d. ! audioconvert ! audioresample ! gisttranscriber ! queue ! g.text_0
