#!/usr/bin/env bash
# NDJSON to standard output: every event as a line of JSON, for jq and for programs.
#
#   pipelines/ndjson.sh talk.mp4 | jq -r 'select(.type == "closed") | .title'
. "$(dirname "$0")/common.sh"
[ $# = 1 ] || usage
need uridecodebin3
uri=$(uri "$1")
exec gst-launch-1.0 -q \
  uridecodebin3 uri="$uri" name=d \
  d. ! videoconvert ! queue ! gistsummarizer name=g ! fakesink sync=false \
  d. ! audioconvert ! audioresample ! gisttranscriber ! queue ! g.text_0 \
  g.chapters ! application/x-json ! fdsink fd=1 sync=false
