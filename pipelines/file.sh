#!/usr/bin/env bash
# File: chapters of a video with sound, as fast as this machine can. -m shows every message, -c the table of contents.
#
#   pipelines/file.sh talk.mp4
#
# For a video without sound leave out the last line of the pipeline.
. "$(dirname "$0")/common.sh"
[ $# = 1 ] || usage
need uridecodebin3
uri=$(uri "$1")
exec gst-launch-1.0 -m -c \
  uridecodebin3 uri="$uri" name=d \
  d. ! videoconvert ! queue ! gistsummarizer name=g ! fakesink sync=false \
  d. ! audioconvert ! audioresample ! gisttranscriber ! queue ! g.text_0
