#!/usr/bin/env bash
# MPEG-TS over UDP: chapters of a broadcast feed with picture and sound.
#
#   pipelines/mpegts-udp.sh [port]            waits for a sender on this port (5000)
#   pipelines/mpegts-udp.sh 5000 talk.mp4     sends the file to itself with ffmpeg, in real time
#
# A feed has no end that could be seen: Ctrl-C ends it and writes the last chapter.
. "$(dirname "$0")/common.sh"
[ $# -le 2 ] || usage
port=${1:-5000}
need udpsrc tsparse decodebin3
if [ $# = 2 ]; then
  need_file "$2"
  command -v ffmpeg >/dev/null || { echo "ffmpeg is missing: sudo apt-get install ffmpeg" >&2; exit 5; }
  (sleep 3; exec ffmpeg -nostdin -loglevel error -re -i "$2" -c:v libx264 -preset veryfast -g 50 -c:a aac \
    -f mpegts "udp://127.0.0.1:$port?pkt_size=1316") &
  trap 'kill $! 2>/dev/null || true' EXIT
else
  echo "Waiting for a sender, for example: ffmpeg -re -i talk.mp4 -f mpegts udp://127.0.0.1:$port?pkt_size=1316" >&2
fi
gst-launch-1.0 -m -e \
  udpsrc port="$port" buffer-size=2097152 caps=video/mpegts,systemstream=true ! tsparse set-timestamps=true \
  ! decodebin3 name=d \
  d. ! videoconvert ! queue ! gistsummarizer name=g ! fakesink sync=false \
  d. ! audioconvert ! audioresample ! gisttranscriber ! queue ! g.text_0
