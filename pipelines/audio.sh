#!/usr/bin/env bash
# Audio only: chapters of a podcast, as the JSON file that podcast players read.
#
#   pipelines/audio.sh episode.mp3 chapters.json
#
# gistsummarizer has no picture here: its text pad alone drives it.
. "$(dirname "$0")/common.sh"
[ $# = 2 ] || usage
need uridecodebin3
uri=$(uri "$1")
exec gst-launch-1.0 -m \
  uridecodebin3 uri="$uri" ! audioconvert ! audioresample ! gisttranscriber ! queue ! g.text_0 \
  gistsummarizer name=g \
  g.chapters ! application/x-json ! gistchaptersink location="$2" format=podcast-json
