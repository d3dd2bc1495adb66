#!/usr/bin/env bash
# Plays the demo lecture through gst-launch-1.0 and compares found with true chapters.
#
#   tools/demo.sh file   from the file, as fast as this machine can
#   tools/demo.sh rtsp   from a real RTSP server, in real time
#   tools/demo.sh delay  as rtsp, but measures how long the element holds each video buffer
#   tools/demo.sh vl     title slides, seen by a model with eyes: no OCR, no sound
#
# `make demo`, `make demo-rtsp`, `make demo-delay` and `make demo-vl` set everything up and call this.
set -euo pipefail
cd "$(dirname "$0")/.."
export GST_PLUGIN_PATH=$PWD/target/release
demo=target/demo
film=$demo/lecture
case "${1:-}" in
  file)
    out=$demo
    line=(gst-launch-1.0 -m -c
      filesrc location=$demo/lecture.mkv ! decodebin3 name=d
      d. ! videoconvert ! queue ! gistsummarizer name=g ! fakesink sync=false
      d. ! audioconvert ! audioresample ! gisttranscriber ! queue ! g.text_0
      g.chapters ! application/x-json ! gistchaptersink location=$out/chapters.jsonl format=json-lines)
    ;;
  rtsp | delay)
    out=$demo/$1
    port=${RTSP_PORT:-8554}
    line=(gst-launch-1.0 -m -c
      rtspsrc location=rtsp://127.0.0.1:$port/lecture latency=200 name=s
      s. ! rtph264depay ! h264parse ! avdec_h264 ! queue ! gistsummarizer name=g ! fakesink sync=false
      s. ! rtpmp4gdepay ! aacparse ! avdec_aac ! audioconvert ! audioresample ! gisttranscriber ! queue ! g.text_0
      g.chapters ! application/x-json ! gistchaptersink location=$out/chapters.jsonl format=json-lines)
    ;;
  vl)
    out=$demo/titles
    film=$out/titles
    line=(gst-launch-1.0 -m -c
      filesrc location=$film.mkv ! decodebin3
      ! videoconvert ! queue ! gistsummarizer name=g model=models/nano-vl
      min-chapter-duration=5000000000 look-ahead=3000000000 ! fakesink sync=false
      g.chapters ! application/x-json ! gistchaptersink location=$out/chapters.jsonl format=json-lines)
    ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

mkdir -p "$out"
rm -f "$out/chapters.jsonl"
if [ "$1" = rtsp ] || [ "$1" = delay ]; then
  target/release/lecture serve --file $demo/lecture.mkv --port "$port" --once &
  server=$!
  trap 'kill $server 2>/dev/null || true' EXIT
  for _ in $(seq 100); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
    sleep 0.1
  done
fi

printf '\nGST_PLUGIN_PATH=%s \\\n ' "$GST_PLUGIN_PATH"
printf ' %q' "${line[@]}"
printf '\n\n'
if [ "$1" = delay ]; then
  target/release/lecture delay -- "${line[@]:3}"
  exit
fi
start=$(date +%s.%N)
# All messages go into the log; on the screen those that tell of chapters, shortened.
"${line[@]}" 2>&1 | tee "$out/gst-launch.log" |
  awk '!/^Got message/ || /: gist-/ { print substr($0, 1, 300); fflush() }'
wall=$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { print b - a }')
target/release/lecture report --truth "$film.truth.json" --chapters "$out/chapters.jsonl" \
  --log "$out/gst-launch.log" --wall "$wall" --out "$out/report.json"
