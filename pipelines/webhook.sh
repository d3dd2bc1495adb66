#!/usr/bin/env bash
# Webhook: posts each chapter as it closes, and the digest, signed as Standard Webhooks. What a receiver that is down
# does not take waits on this disk, for this run or the next.
#
#   pipelines/webhook.sh talk.mp4 https://example.com/hook [secret-file]
#   ALLOW=192.168.1.0/24 pipelines/webhook.sh talk.mp4 http://192.168.1.5:8123/api/webhook/chapters
#
# Networks that are not public are refused unless ALLOW names them. The secret file holds one line, whsec_….
. "$(dirname "$0")/common.sh"
[ $# = 2 ] || [ $# = 3 ] || usage
need uridecodebin3
uri=$(uri "$1")
exec gst-launch-1.0 -m \
  uridecodebin3 uri="$uri" name=d \
  d. ! videoconvert ! queue ! gistsummarizer name=g ! fakesink sync=false \
  d. ! audioconvert ! audioresample ! gisttranscriber ! queue ! g.text_0 \
  g.chapters ! application/x-json ! gistwebhooksink url="$2" secret-file="${3:-}" allow-private="${ALLOW:-}"
