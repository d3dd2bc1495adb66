#!/usr/bin/env bash
# Captions in: chapters of a video with the captions that belong to it, instead of listening. No speech model needed.
#
#   pipelines/captions.sh talk.mp4 talk.vtt     (WebVTT or SubRip)
. "$(dirname "$0")/common.sh"
[ $# = 2 ] || usage
need uridecodebin3 subparse
need_file "$2"
uri=$(uri "$1")
exec gst-launch-1.0 -m -c \
  uridecodebin3 uri="$uri" name=d \
  d. ! videoconvert ! queue ! gistsummarizer name=g ! fakesink sync=false \
  filesrc location="$2" ! subparse ! g.text_0
